"""Every kind of distortion that a recipe may name."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from napari_atomseg.distortion.annotations import Annotations
from napari_atomseg.distortion.camera import (
    CameraTransfer,
    DarkCurrent,
    FixedPattern,
    Flicker,
    Reset,
)
from napari_atomseg.distortion.captions import Caption
from napari_atomseg.distortion.counting import Photomultiplier, Shot
from napari_atomseg.distortion.detector import HotPixels, Readout, WhiteNoise
from napari_atomseg.distortion.jpeg import Jpeg
from napari_atomseg.distortion.lines import FastScan, LineNoise, RowLines, ScanBlur
from napari_atomseg.distortion.pixels import (
    BlackPixels,
    MissingPixels,
    Quantization,
    UpperClip,
    Zingers,
)
from napari_atomseg.distortion.postprocess import Crop, GaussianBlur, Interpolation
from napari_atomseg.distortion.scan import Drift, LineFrequency, ScanJitter, Shear

AnyDistortion = Annotated[
    CameraTransfer
    | Shot
    | FixedPattern
    | DarkCurrent
    | Readout
    | WhiteNoise
    | Flicker
    | Reset
    | BlackPixels
    | Zingers
    | HotPixels
    | UpperClip
    | Quantization
    | ScanJitter
    | LineFrequency
    | Drift
    | Shear
    | Photomultiplier
    | FastScan
    | ScanBlur
    | RowLines
    | LineNoise
    | Interpolation
    | GaussianBlur
    | Annotations
    | Caption
    | Jpeg
    | Crop
    | MissingPixels,
    Field(discriminator="kind"),
]
"""A distortion of a recipe, told by its `kind`."""
