"""Evidence of the raw image for single columns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_atomseg._shared.geometry import median_spacing
from napari_atomseg._shared.types import Array
from napari_atomseg.progress import checkpoint
from napari_atomseg.trust.consistency import Consistency
from napari_atomseg.trust.order import TOGETHER, two_dimensional_order

CELL = 2.5
"""Radius of the window about a column over its sigma."""
SMOOTHED, SHARPEST = 0.12, 0.7
"""Width of the filter before curvatures are taken, over the distance of nearest columns, and its
least, pixels."""


@dataclass(frozen=True)
class Evidence:
    """Evidence of the raw image for N columns, each array (N,).

    Attributes
    ----------
    consistency : z of `Consistency` at the column, negative where the restoration shows more of a
        column than the raw image does, whether columns are bright or dark.
    signal : height of the column in the raw image over its standard error.
    contrast : height in the restored image over the standard deviation of that image.
    roundness : weaker over stronger curvature of the restored image, 0 on ridges and edges, 1 for
        round columns.
    order : see `two_dimensional_order`.
    """

    consistency: Array
    signal: Array
    contrast: Array
    roundness: Array
    order: Array

    @classmethod
    def unknown(cls, count: int) -> Evidence:
        """Evidence for columns whose image was not restored."""
        return cls(*np.full((5, count), np.nan))


def evidence(
    test: Consistency, frame: int, y: Array, x: Array, sign: float = 1.0, spread: float = 0.0
) -> Evidence:
    """Look up columns in one frame of a test.

    Parameters
    ----------
    test : result for an image or stack; `frame` counts over all its leading axes.
    y, x : (N,) pixels.
    sign : 1 for bright columns, -1 for dark ones.
    spread : standard deviation of the raw image that the frame is a window of, to whose contrast
        heights are compared where that is larger than the window's own; 0 for whole images.
    """
    if len(y) == 0:
        return Evidence.unknown(0)
    z, residual, expected, deviation = (
        plane.reshape(-1, *plane.shape[-2:])[frame].astype(np.float64)
        for plane in (test.z, test.residual, test.expected, test.deviation)
    )
    weight = 1.0 / deviation**2
    checkpoint()
    raw, error = _heights(expected + residual * deviation, weight, y, x, test.sigma)
    checkpoint()
    made, _ = _heights(expected, weight, y, x, test.sigma)
    # The height is that of a Gaussian above the mean of its disc.
    error = error * np.sqrt(max(1.0, _height_excess(test, frame)))
    whole = max(0.0, spread**2 - float(np.mean(deviation**2))) ** 0.5
    scale = max(float(expected.std()), whole, np.finfo(float).tiny)
    checkpoint()
    at = ndimage.map_coordinates(z, [y, x], order=1, mode="nearest")
    return Evidence(
        sign * at,
        sign * raw / error,
        sign * made / scale,
        _roundness(sign * expected, y, x),
        two_dimensional_order(y, x, expected.shape),
    )


def _roundness(image: NDArray[np.float64], y: Array, x: Array) -> Array:
    """(N,) weaker over stronger curvature at columns of an image; 0 where one is not downwards."""
    near = median_spacing(np.stack([y, x], axis=1)) if len(y) > 1 else 0.0
    width = max(SHARPEST, SMOOTHED * near)
    # SciPy's kernels of second derivatives do not quite sum to zero: an offset would count.
    image = image - image.mean()
    yy, xx, yx = (
        ndimage.map_coordinates(
            ndimage.gaussian_filter(image, width, order=order), [y, x], order=1, mode="nearest"
        )
        for order in ((2, 0), (0, 2), (1, 1))
    )
    middle, half = -0.5 * (yy + xx), np.hypot(0.5 * (yy - xx), yx)
    strong = middle + half
    return np.where(
        strong > 0, np.clip(middle - half, 0.0, None) / np.where(strong > 0, strong, 1.0), 0.0
    )


def _height_excess(test: Consistency, frame: int) -> float:
    """Variance of a height over that of white noise, as neighbouring pixels share their noise."""
    reach = int(np.ceil(CELL * test.sigma))
    step = np.arange(-reach, reach + 1)
    square = np.add.outer(step**2, step**2)
    disc = square <= (CELL * test.sigma) ** 2
    shape = np.exp(-0.5 * square / test.sigma**2)
    return test.correlation[frame].excess(np.where(disc, shape - shape[disc].mean(), 0.0))


def _heights(
    image: NDArray[np.float64], weight: NDArray[np.float64], y: Array, x: Array, sigma: float
) -> tuple[Array, Array]:
    """(N,) heights and their standard errors, see `_some_heights`."""
    parts = []
    for first in range(0, len(y), TOGETHER):
        checkpoint()
        some = slice(first, first + TOGETHER)
        parts.append(_some_heights(image, weight, y[some], x[some], sigma))
    heights, errors = zip(*parts, strict=True)
    return np.concatenate(heights), np.concatenate(errors)


def _some_heights(
    image: NDArray[np.float64], weight: NDArray[np.float64], y: Array, x: Array, sigma: float
) -> tuple[Array, Array]:
    """(N,) heights and their standard errors: a Gaussian and a constant, by weighted least squares.

    Pixels beyond the border are left out.
    """
    reach = int(np.ceil(CELL * sigma))
    step = np.arange(-reach, reach + 1)
    rows, cols = np.rint(y).astype(int)[:, None] + step, np.rint(x).astype(int)[:, None] + step
    height, width = image.shape
    inside = ((rows >= 0) & (rows < height))[:, :, None] & ((cols >= 0) & (cols < width))[:, None]
    place = (rows.clip(0, height - 1)[:, :, None], cols.clip(0, width - 1)[:, None])
    square = ((rows - y[:, None]) ** 2)[:, :, None] + ((cols - x[:, None]) ** 2)[:, None]
    w = np.where(inside & (square <= (CELL * sigma) ** 2), weight[place], 0.0)
    shape, values = np.exp(-0.5 * square / sigma**2), image[place]

    def total(*factors: NDArray[np.float64]) -> Array:
        return np.asarray(np.prod([w, *factors], axis=0).sum(axis=(1, 2)))

    one, first, second = total(), total(shape), total(shape, shape)
    determinant = np.maximum(one * second - first**2, np.finfo(float).tiny)
    amplitude = (one * total(shape, values) - first * total(values)) / determinant
    return amplitude, np.sqrt(one / determinant)
