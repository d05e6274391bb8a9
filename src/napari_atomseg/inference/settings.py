"""Options of everything that applies a model to an image."""

from __future__ import annotations

from math import inf
from pathlib import Path
from typing import Literal, TypedDict

from napari_atomseg.inference.scan.settings import ScanSettings
from napari_atomseg.networks.tasks import Modality
from napari_atomseg.settings import Settings, setting

ADVANCED = "Advanced"
SMALLEST_TILE = 128

Contrast = Literal["auto", "bright", "dark"]
Precision = Literal["auto", "full", "half"]
Quality = Literal["standard", "best"]
RestorationTask = Literal["denoise", "denoise_background", "superresolution", "upinterpolation"]


class ModelSettings(Settings):
    """The model that is applied to images, and the device."""

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
        none="stem-hr",
        section=ADVANCED,
    )
    device: str = setting(
        "auto",
        "Device",
        "Where to compute: auto, cpu, cuda or mps; auto takes a GPU where there is one.",
        section=ADVANCED,
    )
    quality: Quality = setting(
        "standard",
        "Quality",
        "Best: the mean over mirror images, four that keep the scan lines, or eight for models of "
        "TEM. It has less error and takes four or eight times as long.",
        section=ADVANCED,
    )


class InferenceSettings(ModelSettings):
    """How a model is applied to images."""

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


class RestorationSettings(ScanSettings):
    """What `restore` makes of an image, and whether the result is tested."""

    task: RestorationTask = setting(
        "denoise",
        "Task",
        "Denoise: remove noise and scan errors. Denoise and remove background: also what varies "
        "slowly between the atoms. Super-resolution: also narrow the atoms, as a sharper probe "
        "would. Denoise and double the pixels: four pixels in the place of each, for smooth "
        "profiles.",
        choices={
            "denoise": "Denoise",
            "denoise_background": "Denoise and remove background",
            "superresolution": "Super-resolution",
            "upinterpolation": "Denoise and double the pixels",
        },
    )
    modality: Modality | None = setting(
        None,
        "Modality",
        "Proposes a model for the images of a scanning transmission microscope (STEM), a "
        "transmission microscope (TEM, HRTEM) or a scanning microscope (SEM), and says why. A "
        "model that you choose yourself stays.",
        none="not stated",
    )
    consistency: bool = setting(
        False,
        "Consistency map",
        "Also test whether the result explains the raw image: a map that is negative (blue) where "
        "the result shows light that was not recorded, such as an invented atom, and positive "
        "(orange) where it lacks some.",
    )


class InferenceOptions(TypedDict, total=False):
    """The settings but the model, as keywords of functions."""

    contrast: Contrast
    device: str
    quality: Quality
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
