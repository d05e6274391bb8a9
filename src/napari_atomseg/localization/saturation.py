"""Pixels that say only that there was more light than the detector could tell."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

SMALLEST = 9
"""Pixels at the top value, at least; fewer are the brightest of the noise."""
LARGEST = 0.05
"""Part of the image, at most; more is a drawing in a few grey values, not a detector's limit."""
TOGETHER = 1.5
"""How many of the four neighbours of such a pixel are at the top, too, in the mean at least."""


def saturated(image: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(H, W) pixels of plateaus at the highest value of an image, none where it has no plateaus.

    A maximum of noise is reached in single pixels. Where many pixels have exactly the highest
    value, and lie together, it is that of the detector or of the file.
    """
    finite = np.isfinite(image)
    if not finite.any():
        return np.zeros(image.shape, dtype=bool)
    top: NDArray[np.bool_] = image == image[finite].max()
    count = int(top.sum())
    if not SMALLEST <= count <= LARGEST * image.size:
        return np.zeros_like(top)
    cross = ndimage.generate_binary_structure(2, 1)
    beside = ndimage.convolve(top.astype(np.int8), cross.astype(np.int8), mode="nearest") - 1
    return top if beside[top].mean() >= TOGETHER else np.zeros_like(top)
