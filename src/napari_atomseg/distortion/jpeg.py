"""Compression with loss: blocks of eight by eight pixels with few of their frequencies left."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
from torch import Generator, Tensor

from napari_atomseg.distortion.base import Distortion, Drawn, Values, View, within
from napari_atomseg.ranges import Range, uniform
from napari_atomseg.settings import setting

BLOCK = 8
"""Pixels of a block each way."""
WHITE = 255.0
STEPS = torch.tensor(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ],
    dtype=torch.float32,
)
"""Steps to which the standard's example rounds frequencies of brightness at quality 50 (ITU-T T.81,
table K.1)."""


def cosines() -> Tensor:
    """(8, 8) orthonormal discrete cosine transform, a frequency a row (ITU-T T.81, A.3.3)."""
    k = torch.arange(BLOCK, dtype=torch.float64)
    waves = torch.cos(math.pi * (2 * k + 1) * k[:, None] / (2 * BLOCK)) * math.sqrt(2 / BLOCK)
    waves[0] /= math.sqrt(2.0)
    return waves.float()


def rounding(quality: float) -> Tensor:
    """(8, 8) steps of a quality from 1 to 100, as common programs scale the table: from 1 on."""
    percent = 5000.0 // quality if quality < 50 else 200.0 - 2.0 * quality
    return ((STEPS * percent + 50.0) / 100.0).floor().clamp(1.0, WHITE)


def compress(image: Tensor, quality: Tensor) -> Tensor:
    """Images as JPEG files show them, in the grey levels of eight bits from darkest to brightest.

    Parameters
    ----------
    image : (B, H, W).
    quality : (B,) from 1 to 100.

    Returns
    -------
    (B, H, W) in the units of the image. Blocks are counted from the first pixel; borders that are
    no multiple of eight are repeated into the last blocks.
    """
    height, width = image.shape[1:]
    low, high = image.amin(dim=(1, 2), keepdim=True), image.amax(dim=(1, 2), keepdim=True)
    scale = WHITE / (high - low).clamp_min(1e-12)
    grey = ((image - low) * scale).round() - 128.0
    padded = torch.nn.functional.pad(
        grey[:, None], (0, -width % BLOCK, 0, -height % BLOCK), mode="replicate"
    )[:, 0]
    rows, cols = padded.shape[1] // BLOCK, padded.shape[2] // BLOCK
    blocks = padded.reshape(-1, rows, BLOCK, cols, BLOCK).transpose(2, 3)
    waves = cosines().to(image.device)
    steps = torch.stack([rounding(float(q)) for q in quality]).to(image.device)[:, None, None]
    # One image after the other: the order of a product's sums may depend on the batch.
    coded = torch.stack([waves @ one @ waves.T for one in blocks])
    coded = (coded / steps).round() * steps
    decoded = torch.stack([waves.T @ one @ waves for one in coded])
    joined = decoded.transpose(2, 3).flatten(3, 4).flatten(1, 2)[:, :height, :width]
    return (joined + 128.0).round().clamp(0.0, WHITE) / scale + low


class Jpeg(Distortion):
    """JPEG compression of images that were exported for the eye (ITU-T T.81)."""

    kind: Literal["jpeg"] = "jpeg"
    equation: ClassVar[str] = "eight bits, then blocks of 8 × 8 pixels with rounded frequencies"
    example: ClassVar[Mapping[str, Any]] = {"quality": (15, 15)}
    quality: Annotated[Range, within(1.0, 100.0)] = setting(
        (20.0, 95.0), "Quality", "Quality of the compression, 1 to 100."
    )

    def draw(self, rng: np.random.Generator, view: View) -> Drawn:
        """`quality`."""
        return {"quality": uniform(rng, self.quality)}

    def apply(self, image: Tensor, values: Values, generators: Sequence[Generator]) -> Tensor:
        """Compress each image and open it again."""
        return compress(image, values["quality"])
