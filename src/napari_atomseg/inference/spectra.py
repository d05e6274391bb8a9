"""Power spectra of images: the part that is looked at, and the power of its noise."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_atomseg._shared.types import Array

CROP = 1024
"""Side of the central part of the image that is analysed, pixels."""
NOISY = 1 / 6
"""Frequency (cycles per pixel) above which mostly noise is expected."""
BANDS = 16
"""Number of bands of higher frequencies in which the noise power is measured."""
QUIET = 0.3
"""Quantile by which the noise of a band is measured; lattice spots fill less than the rest."""


def middle(image: NDArray[Any]) -> NDArray[Any]:
    """The middle part of an image (H, W), at most `CROP` pixels a side."""
    top, left = ((n - min(n, CROP)) // 2 for n in image.shape)
    return image[top : top + CROP, left : left + CROP]


def noise_power(power: Array, k: Array) -> Array:
    """(H, W) mean power of the noise at each frequency k (H, W), the same in all directions.

    It is read at high frequencies and continued to low ones as that of white noise behind a
    detector with a Gaussian response: its logarithm falls with the square of the frequency.
    """
    edges = np.linspace(NOISY, 0.5, BANDS + 1)
    bands = [power[(k >= low) & (k < high)] for low, high in pairwise(edges)]
    if not all(map(len, bands)):
        return np.zeros_like(power)
    # Noise power is exponentially distributed: its quantile q is its mean times -ln(1 - q).
    means = np.array([np.quantile(band, QUIET) / -np.log1p(-QUIET) for band in bands])
    middles = 0.5 * (edges[1:] + edges[:-1])
    fall = 0.0
    if (means > 0).all():
        fall = min(0.0, float(np.polyfit(middles**2, np.log(means), 1)[0]))
    lower = means[0] * np.exp(fall * (k**2 - middles[0] ** 2))
    return np.asarray(np.where(k < middles[0], lower, np.interp(k, middles, means)))
