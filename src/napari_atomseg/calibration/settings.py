"""Options of `calibrate`: by what the size of a pixel is known."""

from __future__ import annotations

from typing import Literal

from napari_atomseg._shared.sampling import Sampling, read_sampling
from napari_atomseg.settings import Settings, setting

By = Literal["pixel", "line", "bar", "crystal"]
Unit = Literal["pm", "Å", "nm", "µm"]


class CalibrationSettings(Settings):
    """By what the size of a pixel is known."""

    by: By = setting(
        "pixel",
        "Calibrate by",
        "The size of a pixel, a line of known length, the burnt-in bar and the length written at "
        "it, or a known crystal, whose lattice also shows whether pixels are square and the scan "
        "is sheared.",
        choices={
            "pixel": "size of a pixel",
            "line": "line of known length",
            "bar": "burnt-in bar",
            "crystal": "known crystal",
        },
    )
    pixel: Sampling | None = setting(
        None,
        "Pixel",
        "Size of a pixel in the unit below: one number, or along y and x.",
        none="not given",
        read=read_sampling,
    )
    length: float | None = setting(
        None,
        "Length",
        "Length of the line, or the one that is written at the bar, in the unit below.",
        limits=(1e-9, 1e9),
        decimals=4,
        none="not given",
    )
    unit: Unit = setting("nm", "Unit", "Unit of the pixel's size or of the length.")
    crystal: str | None = setting(
        None,
        "Crystal",
        "Name of a crystal, or a structure file; its lattice constants count as exact.",
        none="not given",
    )
    zone_axis: str | None = setting(
        None,
        "Zone axis",
        "Zone axis of the crystal, such as 1 1 0, where it is known.",
        none="the one that fits",
    )
    tolerance: float = setting(
        0.05,
        "Tolerance",
        "Error of lengths and angles that may be expected before, as a part of them.",
        limits=(1e-3, 0.2),
        decimals=3,
    )
