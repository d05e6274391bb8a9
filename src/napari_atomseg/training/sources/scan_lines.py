"""Images whose scan lines are moved, with the displacement of each line as their truth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Generator, Tensor

from napari_atomseg.distortion import Distortion, View
from napari_atomseg.distortion.base import Drawn, Values
from napari_atomseg.distortion.scan import LineMotion
from napari_atomseg.training.sources.base import (
    LINE_SHIFTS,
    VALIDATION,
    PairBatch,
    PairSource,
    Stream,
)

LINES = 7
"""Tag of the random numbers of this source."""
TAPS = 8
"""Pixels that a displaced one is interpolated from."""
SHARPNESS = 6.0
"""Parameter β of the Kaiser window over them."""


class ScanLinesSource(Stream):
    """Images of a source, moved line by line and distorted anew each time.

    Parameters
    ----------
    source : of images without distortions.
    distortions : in this order; motions of lines come first.
    seed : of the distortions.
    margin : pixels of the source's images beyond each border, which lines bring in.
    turned : chance that the lines run down the image; its rows are not displaced then.
    """

    def __init__(
        self,
        source: PairSource,
        distortions: Sequence[Distortion],
        seed: int,
        margin: int,
        turned: float = 0.0,
    ) -> None:
        super().__init__((LINE_SHIFTS,))
        self._source, self._seed, self._margin = source, seed, margin
        self._distortions, self._turned = distortions, turned

    def samples(self, indices: Sequence[int], crop: int, device: str) -> PairBatch:
        """See `PairSource.samples`."""
        pairs = self._source.samples(indices, crop + 2 * self._margin, device)
        return self._distorted(pairs.image[:, 0], self._seed, indices)

    def validation(self, count: int, crop: int, device: str) -> PairBatch:
        """See `PairSource.validation`."""
        pairs = self._source.validation(count, crop + 2 * self._margin, device)
        return self._distorted(pairs.image[:, 0], self._seed + VALIDATION, range(count))

    def _distorted(self, images: Tensor, seed: int, indices: Sequence[int]) -> PairBatch:
        made = [
            self._one(image[None], np.random.default_rng((seed, index, LINES)))
            for image, index in zip(images, indices, strict=True)
        ]
        image = torch.stack([each for each, _ in made])
        shifts = torch.stack([each for _, each in made])
        maps = shifts.mT[..., None].expand(-1, -1, -1, image.shape[-1])
        return PairBatch(image, {LINE_SHIFTS: maps.to(images.device)})

    def _one(self, image: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """An image (1, H, W) and its shifts (H, 2) from a canvas (1, H + 2 M, W + 2 M)."""
        margin, rows = self._margin, image.shape[1]
        side = rows - 2 * margin
        view = View(1.0, 1.0, (side, side))
        generators = [Generator(image.device).manual_seed(int(rng.integers(2**62)))]
        image = image / image.max().clamp_min(1e-6)
        drawn = [(d, d.draw(rng, view)) for d in self._distortions if rng.random() < d.probability]
        motion = image.new_zeros(1, rows, 2)
        for distortion, values in drawn:
            if isinstance(distortion, LineMotion):
                motion += distortion.shifts(rows, _tensors(values, image), generators)
        inner = slice(margin, margin + side)
        image = displaced(image, motion)[:, inner, inner]
        for distortion, values in drawn:
            if not isinstance(distortion, LineMotion):
                image = _applied(distortion, image, _tensors(values, image), generators)
        if rng.random() < self._turned:
            return image.mT, torch.zeros_like(motion[0, inner])
        return image, motion[0, inner]


def _applied(
    distortion: Distortion, image: Tensor, values: Values, generators: Sequence[Generator]
) -> Tensor:
    """Images (B, H, W) after a distortion."""
    if distortion.shared:
        return distortion.apply(image[:, None], values, generators)[:, 0]
    return distortion.apply(image, values, generators)


def _tensors(values: Drawn, like: Tensor) -> dict[str, Tensor]:
    """Numbers of one image as those of a batch of it."""
    return {
        name: torch.from_numpy(np.asarray(value, dtype=np.float32)[None]).to(like.device)
        for name, value in values.items()
    }


def displaced(image: Tensor, shifts: Tensor) -> Tensor:
    """I(i, j) = I0(i - δy_i, j - δx_i), by a Kaiser-windowed sinc over `TAPS` pixels.

    Sharper across the lines than `distortion.scan.shift_lines`, whose cubic smooths narrow columns
    by an amount that tells the displacement, and local along them, for images that do not repeat.

    Parameters
    ----------
    image : (B, H, W); beyond its borders the outermost pixels are repeated.
    shifts : (B, H, 2) displacement (y, x) of each line in pixels.
    """
    count, height, width = image.shape
    rows = torch.arange(height, device=image.device) - shifts[..., 0]
    base, weights = rows.floor(), _kaiser_sinc(rows - rows.floor())
    batch = torch.arange(count, device=image.device)[:, None]
    moved = torch.zeros_like(image)
    for tap in range(TAPS):
        row = (base.long() + tap - TAPS // 2 + 1).clamp(0, height - 1)
        moved += image[batch, row] * weights[..., tap, None]
    start = -shifts[..., 1]
    base, weights = start.floor(), _kaiser_sinc(start - start.floor())
    column = torch.arange(width, device=image.device) + base.long()[..., None]
    result = torch.zeros_like(image)
    for tap in range(TAPS):
        place = (column + (tap - TAPS // 2 + 1)).clamp(0, width - 1)
        result += moved.gather(2, place) * weights[..., tap, None]
    return result


def _kaiser_sinc(fraction: Tensor) -> Tensor:
    """(..., TAPS) weights of the pixels around a point at `fraction` between the middle two."""
    at = torch.arange(TAPS, device=fraction.device) - (TAPS // 2 - 1) - fraction[..., None]
    window = torch.i0(SHARPNESS * (1.0 - (2.0 * at / TAPS).square()).clamp_min(0.0).sqrt())
    weights = torch.sinc(at) * window
    return weights / weights.sum(dim=-1, keepdim=True)
