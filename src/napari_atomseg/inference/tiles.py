"""Overlapping tiles whose blended results show no seams."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor


def upsampled(image: Tensor) -> Tensor:
    """Double an image (..., H, W) to (..., 2H, 2W) by Fourier interpolation.

    Four pixels replace each; their centres are a quarter of a pixel off its own, as in the
    simulator's `no_noise_upinterpolation_2x`. The image is mirrored at its borders,
    so that neither edge rings into the other: exact for sums of cosines below Nyquist's frequency
    that are even about the borders (those of the discrete cosine transform). Being linear, it turns
    the best estimate of an image under squared error into that of the finer image.
    """
    return _doubled(_doubled(image, -1), -2)


def _doubled(image: Tensor, axis: int) -> Tensor:
    length = image.shape[axis]
    mirrored = torch.cat([image, image.flip(axis)], dim=axis).movedim(axis, -1)
    frequencies = torch.fft.rfftfreq(2 * length, dtype=image.dtype, device=image.device)
    shift = torch.exp(0.5j * math.pi * frequencies)
    behind = torch.fft.irfft(torch.fft.rfft(mirrored) * shift, n=2 * length)
    # The mirrored half holds the shift in the opposite direction.
    before = behind.flip(-1)
    fine = torch.stack([before[..., :length], behind[..., :length]], dim=-1).flatten(-2)
    return fine.movedim(-1, axis)


OVERLAP = 96
"""Pixels that neighbouring tiles share: about the receptive field of the networks."""
FAINTEST = 1e-6
"""Weight of a tile's pixels that lack context, which counts where no other tile has them."""
ALIGNMENT = 32
"""Tiles start at multiples of this, so that all are folded and pooled on the same grid."""


@dataclass(frozen=True)
class Tile:
    """A window of the image."""

    top: int
    left: int
    bottom: int
    right: int


def tiles(shape: tuple[int, int], size: int, overlap: int = OVERLAP) -> Iterator[Tile]:
    """Windows of at most `size` pixels a side that cover `shape` and share `overlap` pixels."""
    for top, bottom in _spans(shape[0], size, overlap):
        for left, right in _spans(shape[1], size, overlap):
            yield Tile(top, left, bottom, right)


def _spans(length: int, size: int, overlap: int) -> list[tuple[int, int]]:
    """Windows along one axis, as few as possible and about equally wide."""
    if length <= size:
        return [(0, length)]
    most = max(1, (size - overlap) // ALIGNMENT)
    count = -(-(length - overlap) // (most * ALIGNMENT))
    step = -(-(length - overlap) // (count * ALIGNMENT)) * ALIGNMENT
    starts = range(0, length - overlap, step)
    return [(start, min(start + step + overlap, length)) for start in starts]


class Blender:
    """Sum of tiles weighted by ramps over their overlap, divided by the sum of the weights."""

    def __init__(self, channels: int, shape: tuple[int, int]) -> None:
        self.total = torch.zeros((channels, *shape))
        self.weight = torch.zeros(shape)

    def add(self, tile: Tile, maps: Tensor) -> None:
        """Add the maps (C, h, w) of one tile."""
        weight = weight_of(tile, (self.weight.shape[0], self.weight.shape[1]))
        window = (slice(tile.top, tile.bottom), slice(tile.left, tile.right))
        self.total[(slice(None), *window)] += maps * weight
        self.weight[window] += weight

    def result(self) -> Tensor:
        """(C, H, W) blended maps; nothing can be added afterwards."""
        return self.total.div_(self.weight)


def weight_of(tile: Tile, shape: tuple[int, int]) -> Tensor:
    """(h, w) weight of a tile of an image (H, W); those of all tiles add up to 1 but for 1e-6."""
    return torch.outer(
        _ramp(tile.top, tile.bottom, shape[0]), _ramp(tile.left, tile.right, shape[1])
    )


def _ramp(start: int, stop: int, length: int) -> Tensor:
    """Weights along one axis: nothing near inner borders, where a tile lacks context."""
    position = torch.arange(start, stop, dtype=torch.float32) + 0.5
    quarter = OVERLAP / 4
    ramp = torch.ones(stop - start)
    if start > 0:
        ramp = torch.minimum(ramp, (position - start - quarter) / (2 * quarter))
    if stop < length:
        ramp = torch.minimum(ramp, (stop - position - quarter) / (2 * quarter))
    return ramp.clamp(FAINTEST, 1.0)
