"""Options of everything that applies a model to an image."""

from __future__ import annotations

from math import inf
from pathlib import Path
from typing import Literal, TypedDict

from napari_atomseg.settings import Settings, setting

ADVANCED = "Advanced"
SMALLEST_TILE = 128

Contrast = Literal["auto", "bright", "dark"]
Precision = Literal["auto", "full", "half"]


class InferenceSettings(Settings):
    """How a model is applied to images."""

    contrast: Contrast = setting(
        "auto",
        "Atoms are",
        "Bright atoms (ADF, HAADF) or dark ones (BF, ABF, some HRTEM); auto looks at the image.",
        choices={"auto": "automatic", "bright": "bright", "dark": "dark"},
    )
    model: str | Path | None = setting(
        None,
        "Model",
        "Name of a trained model, or path of a weights file (.safetensors).",
        none="the default, stem-hr",
        section=ADVANCED,
    )
    device: str = setting(
        "auto",
        "Device",
        "Where to compute: auto, cpu, cuda or mps; auto takes a GPU where there is one.",
        section=ADVANCED,
    )
    precision: Precision = setting(
        "auto",
        "Precision",
        "Full computes in float32, half in bfloat16 where the device is fast at it.",
        section=ADVANCED,
    )
    tile_size: int = setting(
        1024,
        "Tile size",
        "Side of the largest piece of an image that is computed at once.",
        unit="px",
        limits=(SMALLEST_TILE, inf),
        section=ADVANCED,
    )


class InferenceOptions(TypedDict, total=False):
    """The settings but the model, as keywords of functions."""

    contrast: Contrast
    device: str
    precision: Precision
    tile_size: int


def inference_settings(
    base: InferenceSettings | None, model: str | Path | None, options: InferenceOptions
) -> InferenceSettings:
    """Settings with the options of a call in place of theirs; without a model theirs stays.

    Raises
    ------
    ValueError, TypeError
        There is no such option, or its value is not accepted; the message names both.
    """
    given = {**options} if model is None else {**options, "model": model}
    return (base or InferenceSettings()).updated(**given)
