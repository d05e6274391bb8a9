"""Whether two images of one field are bright where the other is dark."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_atomseg._shared.types import Array

SIDE = 1024
"""Side of the part of an image that is compared, pixels."""
BLUR = 1.5
"""Blur against noise, pixels."""
OPPOSITE = -0.3
"""Correlation below which one image is bright where the other is dark."""
DRIFT = 0.25
"""Part of the sides by which one image may lie beside the other."""


def clear_middle(image: NDArray[Any]) -> Array:
    """The middle of an image (H, W), blurred against noise, and without gaps."""
    starts = [max(0, (side - SIDE) // 2) for side in image.shape]
    part = np.asarray(image[starts[0] : starts[0] + SIDE, starts[1] : starts[1] + SIDE], np.float64)
    finite = np.isfinite(part)
    if not finite.any():
        return np.zeros_like(part)
    return np.asarray(ndimage.gaussian_filter(np.where(finite, part, part[finite].mean()), BLUR))


def correlation(first: Array, second: Array) -> float:
    """Pearson's correlation of two images of one shape; zero where one is constant."""
    one, two = first - first.mean(), second - second.mean()
    size = float(np.sqrt((one**2).sum() * (two**2).sum()))
    return float((one * two).sum()) / size if size > 0 else 0.0


def are_opposite(first: Array, second: Array) -> bool:
    """Whether one image is bright where the other is dark, as detectors see one field.

    Images that lie beside each other are not: columns of a lattice that moved by half a period
    lie on gaps, but on columns again after a further half.

    Parameters
    ----------
    first, second : (H, W), of `clear_middle`.
    """
    here = correlation(first, second)
    if here > OPPOSITE:
        return False
    one, two = first - first.mean(), second - second.mean()
    spectrum = np.fft.rfft2(one) * np.conj(np.fft.rfft2(two))
    moved = np.fft.irfft2(spectrum, s=one.shape) / np.sqrt((one**2).sum() * (two**2).sum())
    rows, columns = (max(1, int(DRIFT * side)) for side in one.shape)
    near = np.roll(moved, (rows, columns), (0, 1))[: 2 * rows + 1, : 2 * columns + 1]
    return -here > float(near.max())
