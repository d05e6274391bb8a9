"""Columns without a network: maxima of the Laplacian of Gaussian at the scale of the lattice."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.feature import peak_local_max
from skimage.segmentation import watershed

from napari_atomseg.localization.detect import Detections

Image = NDArray[np.float32]

SCALE = 0.17
"""Sigma of the filter over the spacing of the columns."""
CLOSEST = 0.45
"""Maxima nearer than this fraction of the spacing are one column."""
SIGNIFICANCE = 5.0
"""A column stands this many standard deviations of the filtered noise above its surroundings."""
FAINTEST = 0.12
"""Peaks below this fraction of a strong column's are ripples of the filter and of backgrounds."""


def columns_from_peaks(image: Image, spacing: float) -> Detections:
    """Find bright columns as maxima of the filtered image.

    Parameters
    ----------
    image : (H, W) finite.
    spacing : distance between neighbouring columns, pixels, within about a factor of 1.5.

    Returns
    -------
    Detections with the peak over that of a strong column as score, at most 1.
    """
    sigma = SCALE * spacing
    response = _response(image.astype(np.float64), sigma)
    # Sum of squares of the filter's kernel: 1 / (2 π σ²), by Parseval's theorem.
    noise = _pixel_noise(image, spacing) / (np.sqrt(2 * np.pi) * sigma)
    distance = max(1, round(CLOSEST * spacing))
    peaks = peak_local_max(
        response,
        min_distance=distance,
        threshold_abs=1e-6 * float(np.ptp(image)),
        exclude_border=False,
    )
    at = tuple(peaks.T)
    peaks = peaks[response[at] > SIGNIFICANCE * noise[at]]
    if len(peaks) == 0:
        return Detections(np.zeros(0), np.zeros(0), np.zeros(0), np.zeros(image.shape, np.int32))
    height = response[tuple(peaks.T)]
    strong = float(np.quantile(height, 0.9))
    peaks = peaks[height > FAINTEST * strong]
    peaks = peaks[np.lexsort((peaks[:, 1], peaks[:, 0]))]
    markers = np.zeros(image.shape, np.int32)
    markers[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    height = response[tuple(peaks.T)]
    labels = watershed(-response, markers, mask=response > 0).astype(np.int32)
    weight = np.maximum(response, 0.0)
    y, x = np.array(ndimage.center_of_mass(weight, labels, np.arange(1, len(peaks) + 1))).T
    return Detections(y, x, np.minimum(height / strong, 1.0), labels)


def _response(image: NDArray[np.float64], sigma: float) -> NDArray[np.float64]:
    """-σ² times the Laplacian of Gaussian; a slope goes on beyond the border, and gives nothing."""
    margin = min(int(4 * sigma) + 1, min(image.shape) - 1)
    framed = np.pad(image, margin, mode="reflect", reflect_type="odd") if margin else image
    filtered = -(sigma**2) * ndimage.gaussian_laplace(framed, sigma)
    rows, cols = image.shape
    response: NDArray[np.float64] = filtered[margin : margin + rows, margin : margin + cols]
    return response


def _pixel_noise(image: Image, spacing: float) -> NDArray[np.float64]:
    """(H, W) standard deviation of white noise about each pixel (Immerkær 1996, made local)."""
    kernel = np.outer([1, -2, 1], [1, -2, 1])
    second = ndimage.convolve(image.astype(np.float64), kernel, mode="reflect")
    noise: NDArray[np.float64] = np.sqrt(ndimage.gaussian_filter(second**2, spacing)) / 6.0
    return noise
