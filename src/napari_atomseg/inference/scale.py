"""How far apart the columns of an image are, and whether they are bright or dark."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from napari_atomseg.inference.arrays import Image

SMALLEST, LARGEST = 4.0, 120.0
"""Spacings, in pixels, that are looked for."""
TYPICAL_SPACING = 2.0
"""Å between neighbouring columns of most crystals along low-index axes."""


def estimate_spacing(image: Image, sampling: float | None = None) -> float:
    """Distance between neighbouring columns in pixels, from the image alone.

    The autocorrelation, averaged over directions, has its first maximum at the distance of the
    neighbours. White noise stays at its origin, a slow background only tilts it.

    Parameters
    ----------
    image : (H, W) finite float32.
    sampling : Å a pixel where known; then spacings outside 0.8–6 Å are not considered.

    Returns
    -------
    Spacing in pixels; for an image without structure `TYPICAL_SPACING` over the sampling, or 12.
    """
    low, high = SMALLEST, min(LARGEST, 0.5 * min(image.shape))
    fallback = 12.0
    if sampling is not None:
        low, high = max(low, 0.8 / sampling), min(high, max(6.0 / sampling, 2 * low))
        fallback = float(np.clip(TYPICAL_SPACING / sampling, SMALLEST, LARGEST))
    profile = _radial_autocorrelation(image, int(min(2 * LARGEST, min(image.shape) // 2)))
    peaks = _ring_maxima(profile, low, high)
    return peaks if peaks is not None else fallback


def _radial_autocorrelation(image: Image, reach: int) -> np.ndarray:
    window = np.outer(np.hanning(image.shape[0]), np.hanning(image.shape[1]))
    flat = image - ndimage.gaussian_filter(image, max(4.0, min(image.shape) / 12))
    spectrum = np.abs(np.fft.rfft2(flat * window)) ** 2
    correlation = np.fft.fftshift(np.fft.irfft2(spectrum, s=image.shape))
    centre = np.array(image.shape) // 2
    part = correlation[
        max(0, centre[0] - reach) : centre[0] + reach + 1,
        max(0, centre[1] - reach) : centre[1] + reach + 1,
    ]
    rows = np.arange(part.shape[0]) - min(reach, centre[0])
    cols = np.arange(part.shape[1]) - min(reach, centre[1])
    radius = np.hypot(rows[:, None], cols[None]).round().astype(int)
    inside = radius < reach
    total = np.bincount(radius[inside], part[inside], minlength=reach)
    return np.asarray(total / np.bincount(radius[inside], minlength=reach))


def _ring_maxima(profile: np.ndarray, low: float, high: float) -> float | None:
    """The first clear maximum beyond the first minimum."""
    smooth = ndimage.gaussian_filter1d(profile[2:], 0.7)
    rise = np.diff(smooth)
    falls_then_rises = np.flatnonzero((rise[:-1] <= 0) & (rise[1:] > 0)) + 1
    tops = np.flatnonzero((rise[:-1] > 0) & (rise[1:] <= 0)) + 1
    best, best_height = None, 0.0
    for top in tops:
        radius = float(top + 2)
        before = falls_then_rises[falls_then_rises < top]
        if not low <= radius <= high or not len(before):
            continue
        height = smooth[top] - smooth[before].min()
        # A later ring must be much higher to be preferred: rings of further neighbours are.
        if height > 1.6 * best_height:
            best, best_height = radius, float(height)
    if best is None or best_height < 0.02 * abs(smooth[0]):
        return None
    return best


def guess_contrast(image: Image, spacing: float) -> str:
    """"bright" or "dark": the sign of the skewness of the image at the scale of the columns.

    Columns fill less than half of the area, so their side of the histogram has the longer tail.
    """
    flat = ndimage.gaussian_filter(image, 0.12 * spacing)
    flat -= ndimage.gaussian_filter(image, 1.0 * spacing)
    deviation = flat.std()
    if not deviation > 0:
        return "bright"
    return "bright" if np.mean((flat / deviation) ** 3) > -0.15 else "dark"
