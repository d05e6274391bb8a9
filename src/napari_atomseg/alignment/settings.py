"""Options of `align`: how frames of one field are laid on each other, and averaged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from napari_atomseg.settings import Settings, setting

Motion = Literal["frames", "lines"]
Directions = Literal["same", "orthogonal"]
Weights = Literal["equal", "noise"]
Field = Literal["first", "all", "common"]
ADVANCED = "Advanced"
NOISE = "noise_correlation"
"""Key of how far the pixels of an average share their noise, in the record of its file or layer."""

AVERAGE = "average"
"""The part of an alignment, in the record of its file or layer, that is its result."""


class AlignSettings(Settings):
    """How the frames of a stack are aligned and averaged."""

    motion: Motion = setting(
        "frames",
        "Align",
        "Whole frames are shifted. Lines: the drift within each frame and the shift of each scan "
        "line are found too, against the average of the other frames.",
        choices={"frames": "whole frames", "lines": "frames, lines"},
    )
    directions: Directions = setting(
        "same",
        "Scan directions",
        "Whether the scan lines of all frames run along the rows, or those of every second frame "
        "along the columns: two such scans of one field correct each other's drift and lines.",
        choices={"same": "rows", "orthogonal": "rows, columns"},
    )
    turned: int = setting(
        0,
        "Turn second frames",
        "Counter-clockwise turn that brings every second frame of orthogonal scans onto the first; "
        "a microscope records them turned by 90°.",
        unit="°",
        choices={0: "no", 90: "by 90°", -90: "by -90°"},
    )
    weights: Weights = setting(
        "equal",
        "Weights",
        "Frames count the same, which is best for counts of one dose, or by how little noise they "
        "have, scaled to one contrast.",
        choices={"equal": "all the same", "noise": "by their noise"},
    )
    field: Field = setting(
        "first",
        "Field seen by",
        "The field of the first frame, all that any frame saw, or what all frames saw. Pixels that "
        "no frame saw are NaN.",
        choices={"first": "first frame", "all": "any frame", "common": "all frames"},
    )
    max_shift: float | None = setting(
        None,
        "Largest step",
        "Largest shift from one frame to the next.",
        unit="px",
        limits=(1.0, 1e5),
        decimals=1,
        none="a quarter of the field",
        section=ADVANCED,
    )
    order: int = setting(
        2,
        "Order of drift",
        "Degree of the polynomial that the drift within a frame follows, beside the shifts of its "
        "lines.",
        limits=(0, 5),
        section=ADVANCED,
    )
    keep_all: bool = setting(
        False,
        "Keep all frames",
        "Average also frames that show little of what the others show, such as blank ones.",
        section=ADVANCED,
    )


def noise_of(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keyword of `localize` for the noise that an average has by its record, if it is
    one.
    """
    found = record.get(NOISE)
    return {} if found is None else {"noise": found}
