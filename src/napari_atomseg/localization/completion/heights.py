"""The height of a column at every pixel, by least squares in a window, and its local noise."""

from __future__ import annotations

import math

import numpy as np
from scipy import ndimage
from scipy.special import ndtri

from napari_atomseg._shared.types import Array, Mask
from napari_atomseg.progress import checkpoint

WINDOW = 2.5
"""Half side of the window over the sigma of a column."""
MEASURED = 0.55
"""A height is measured where this part of its window is: half of it at the image's border."""
BLOCK = 3.0
"""Side of the blocks that the noise is estimated in, over the spacing of the columns."""
SAMPLES = 20
"""Heights that a block needs for an estimate of its own."""
NORMAL = 1.4826
"""Standard deviation of normal numbers over their median absolute deviation."""
UPPER = 0.98
"""Quantile of the heights that their skewness is read from."""


class HeightFilter:
    """Heights of Gaussians, each with a constant and a plane, in windows of an (H, W) image.

    A Gaussian is even in both directions, so that a plane takes no part of its height: the normal
    equations are those of a Gaussian and a constant, whose sums are separable convolutions.

    Parameters
    ----------
    measured : (H, W) pixels that count.
    sigma : width of the columns, pixels.
    """

    def __init__(self, measured: Mask, sigma: float) -> None:
        half = max(2, math.ceil(WINDOW * sigma))
        step = np.arange(-half, half + 1)
        self._bell = np.exp(-0.5 * (step / sigma) ** 2)
        self._box = np.ones(len(step))
        self._measured, self._step, self.sigma = measured, step, sigma
        weight = None if measured.all() else measured.astype(np.float64)
        self._one, self._first, self._second = (
            self._sum(kernel, weight) for kernel in (self._box, self._bell, self._bell**2)
        )
        determinant = self._second * self._one - self._first**2
        self.known: Mask = (self._one >= MEASURED * len(step) ** 2) & measured
        self._known = np.where(self.known, self._one / np.where(self.known, determinant, 1), np.nan)

    def __call__(self, image: Array) -> Array:
        """(H, W) heights; NaN where too little of the window is measured."""
        values = np.where(self._measured, image, 0.0)
        own = _separable(values, self._bell)
        level = _separable(values, self._box) / np.maximum(self._one, 1.0)
        return np.asarray((own - self._first * level) * self._known)

    def response(self, sigma: Array) -> Array:
        """(N,) height that is measured of a column of height 1 and other widths (N,)."""
        other = np.exp(-0.5 * (self._step / sigma[:, None]) ** 2)
        size = len(self._step) ** 2
        first, second = self._bell.sum() ** 2, (self._bell**2).sum() ** 2
        common = (other @ self._bell) ** 2 - first * other.sum(axis=1) ** 2 / size
        return np.asarray(common / (second - first**2 / size))

    def _sum(self, kernel: Array, weight: Array | None) -> Array:
        if weight is not None:
            return _separable(weight, kernel)
        rows, cols = (
            ndimage.convolve1d(np.ones(length), kernel, mode="constant")
            for length in self._measured.shape
        )
        return np.asarray(np.outer(rows, cols))


def _separable(plane: Array, kernel: Array) -> Array:
    rows = ndimage.correlate1d(plane, kernel, axis=0, mode="constant")
    return np.asarray(ndimage.correlate1d(rows, kernel, axis=1, mode="constant"))


class LocalNoise:
    """Standard deviation of heights in blocks of a few spacings, from their median deviation.

    All that varies at the scale of a column counts: noise, whether neighbouring pixels share it or
    not, the speckle of a film, and what Gaussians do not describe of the columns.

    Parameters
    ----------
    heights : (H, W) of the residual, NaN where there is none.
    free : (H, W) pixels away from the fitted columns, which have taken the noise with them.
    spacing, sigma : of the columns, pixels.

    Attributes
    ----------
    skew : sixth part of the skewness of heights over their noise, not negative.
    """

    def __init__(self, heights: Array, free: Mask, spacing: float, sigma: float) -> None:
        checkpoint()
        stride = max(1, int(sigma))
        some, there = heights[::stride, ::stride], free[::stride, ::stride]
        there = there & np.isfinite(some)
        if not there.any():
            there = np.isfinite(some)
        row, col = np.nonzero(there)
        values = some[row, col]
        side = max(BLOCK * spacing, SAMPLES**0.5 * stride)
        count = tuple(max(1, round(length / side)) for length in heights.shape)
        scale = [n / length for n, length in zip(count, heights.shape, strict=True)]
        self._count, self._scale = count, scale
        block = np.minimum((row * stride * scale[0]).astype(int), count[0] - 1) * count[1]
        block += np.minimum((col * stride * scale[1]).astype(int), count[1] - 1)
        whole = NORMAL * float(np.median(np.abs(values))) if len(values) else 0.0
        self._table = _block_deviations(values, block, count, whole)
        self.typical = whole
        tiny = np.finfo(float).tiny
        z = values / np.maximum(self.at(*(stride * np.stack([row, col])).astype(np.float64)), tiny)
        upper = float(ndtri(UPPER))
        excess = float(np.quantile(z, UPPER)) - upper if len(z) else 0.0
        self.skew = max(0.0, excess / (upper**2 - 1.0))

    def at(self, y: Array, x: Array) -> Array:
        """(N,) standard deviation at places, pixels."""
        places = [(v + 0.5) * s - 0.5 for v, s in zip((y, x), self._scale, strict=True)]
        found = ndimage.map_coordinates(self._table, places, order=1, mode="nearest")
        return np.asarray(found)

    def threshold(self, z: float) -> float:
        """The z of skewed heights that is as rare as `z` is of normal ones.

        The first term of Cornish & Fisher's expansion (Rev. Inst. Int. Stat. 5, 307 (1938)).
        """
        return z + self.skew * (z * z - 1.0)


def _block_deviations(values: Array, block: Array, count: tuple[int, ...], whole: float) -> Array:
    """Median absolute deviations of blocks; those of few heights have that of the whole image."""
    table = np.full(count[0] * count[1], np.nan)
    size = np.abs(values)
    # By size, then by block: a stable sort of small integers is a fast one.
    order = np.argsort(size)
    order = order[np.argsort(block[order].astype(np.min_scalar_type(len(table))), kind="stable")]
    many = np.bincount(block, minlength=len(table))
    enough = many >= SAMPLES
    first, number = (np.cumsum(many) - many)[enough], many[enough]
    low, high = size[order[first + (number - 1) // 2]], size[order[first + number // 2]]
    table[enough] = NORMAL * 0.5 * (low + high)
    table = np.where(np.isnan(table), whole, table).reshape(count)
    # Blocks of a sharp object have neighbours without its noise: the larger of both counts.
    smooth = np.sqrt(np.maximum(ndimage.uniform_filter(table**2, 3, mode="nearest"), 0.0))
    return np.asarray(np.maximum(table, smooth))
