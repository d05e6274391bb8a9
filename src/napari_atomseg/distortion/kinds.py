"""Every kind of distortion that a recipe may name."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from napari_atomseg.distortion.counting import Photomultiplier, Shot
from napari_atomseg.distortion.detector import HotPixels, Readout
from napari_atomseg.distortion.lines import LineNoise, ScanBlur
from napari_atomseg.distortion.scan import Drift, LineFrequency, ScanJitter, Shear

AnyDistortion = Annotated[
    Shot
    | Photomultiplier
    | Readout
    | HotPixels
    | ScanJitter
    | LineFrequency
    | Drift
    | Shear
    | ScanBlur
    | LineNoise,
    Field(discriminator="kind"),
]
"""A distortion of a recipe, told by its `kind`."""
