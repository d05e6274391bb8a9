"""Baselines without a network: filters tuned by the noise of the image, and detectors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy import fft, ndimage
from skimage.feature import blob_log
from skimage.filters import threshold_otsu
from skimage.measure import label
from skimage.restoration import denoise_nl_means

from napari_atomseg import weights
from napari_atomseg._shared.types import Array, Image
from napari_atomseg.evaluation.case import Case, Outcome
from napari_atomseg.inference import estimate_spacing, predict
from napari_atomseg.inference.scale import guess_contrast
from napari_atomseg.localization import localize
from napari_atomseg.localization.fit.independent import fit_gaussians
from napari_atomseg.localization.fit.noise import ResidualNoise, estimate_noise
from napari_atomseg.networks.card import read_card
from napari_atomseg.networks.tasks import COLUMNS

WIDTHS = np.geomspace(0.3, 12.0, 40)
"""Sigmas tried for the Gaussian filter, pixels."""
LOCAL = 1.0
"""Sigma of the local mean intensity that the noise depends on, pixels."""
SMOOTHED = 1.5
"""Sigma, in steps of the cosine transform, over which the power of an image is averaged."""
PATCH, REACH = 7, 21
"""Side of the patches of non-local means and of the search window, pixels."""
STRENGTH = 0.4
"""Cut-off of the non-local means over the noise: best on crystals at 5e2 to 5e4 e⁻/Å²."""


def raw(image: Image) -> Image:
    """The image unchanged."""
    return image


def gaussian(image: Image) -> Image:
    """Gaussian filter of the width of least risk (Stein, Ann. Statist. 9, 1135, 1981).

    The risk is an estimate of the mean squared error from the image and its noise alone:
    ``mean((filtered - image)²) + 2 variance kernel(0) - variance``. It is exact for a linear filter
    where the variance is the image's mean one.
    """
    variance = _mean_variance(image)
    risks = []
    for width in WIDTHS:
        residual = ndimage.gaussian_filter(image.astype(float), width) - image
        risks.append(float(np.mean(residual**2)) + 2.0 * variance * _kernel_centre(width))
    best = WIDTHS[int(np.argmin(risks))]
    return np.asarray(ndimage.gaussian_filter(image, best), dtype=np.float32)


def wiener(image: Image) -> Image:
    """Wiener filter by the image's own power spectrum (Kilaas, J. Microsc. 190, 45, 1998).

    Power above that of white noise is signal. The cosine transform avoids the jump between opposite
    borders; the power is averaged over neighbouring frequencies.
    """
    variance = _mean_variance(image)
    spectrum = fft.dctn(image.astype(float), norm="ortho")
    power = ndimage.gaussian_filter(spectrum**2, SMOOTHED)
    gain = np.clip(1.0 - variance / np.maximum(power, 1e-30), 0.0, 1.0)
    gain[0, 0] = 1.0
    return np.asarray(fft.idctn(gain * spectrum, norm="ortho"), dtype=np.float32)


def non_local_means(image: Image) -> Image:
    """Non-local means (Buades et al. 2005) of the image with stabilised variance."""

    def smooth(even: Array) -> Array:
        smoothed = denoise_nl_means(even, PATCH, REACH, h=STRENGTH, sigma=1.0, fast_mode=True)
        return np.asarray(smoothed)

    return _with_stable_variance(image, smooth)


def bm3d(image: Image) -> Image:
    """BM3D (Mäkinen et al. 2020) of the image with stabilised variance.

    Raises
    ------
    ImportError
        The package is not installed.
    """
    try:
        from bm3d import bm3d as compute
    except ImportError as error:
        raise ImportError(
            'BM3D needs another package: pip install "napari-atomseg[bm3d]"; its licence allows '
            "non-commercial use only"
        ) from error
    return _with_stable_variance(image, lambda even: np.asarray(compute(even, 1.0)))


FILTERS: dict[str, Callable[[Image], Image]] = {
    "raw": raw,
    "gaussian": gaussian,
    "wiener": wiener,
    "nlm": non_local_means,
    "bm3d": bm3d,
}
"""Filters by name of the baseline."""


def image_noise(image: Image) -> ResidualNoise:
    """Noise of an image: variance as a linear function of intensity.

    Second differences along both axes (Immerkær, Comput. Vis. Image Underst. 64, 300, 1996) contain
    little of the structure of an image.
    """
    kernel = np.outer([1.0, -2.0, 1.0], [1.0, -2.0, 1.0])
    second = ndimage.convolve(image.astype(float), kernel, mode="reflect")[1:-1, 1:-1]
    mean = ndimage.gaussian_filter(image.astype(float), LOCAL)[1:-1, 1:-1]
    squared = second**2 / float(np.sum(kernel**2))
    return estimate_noise(torch.from_numpy(mean.ravel()), torch.from_numpy(squared.ravel()))


def mean_deviation(image: Image) -> float:
    """Root of the mean variance of an image's noise, in its units."""
    return float(np.sqrt(_mean_variance(image)))


def _mean_variance(image: Image) -> float:
    mean = torch.from_numpy(ndimage.gaussian_filter(image.astype(float), LOCAL))
    return float(image_noise(image).variance(mean).mean())


def _kernel_centre(width: float) -> float:
    """Weight that `gaussian_filter` gives to the pixel itself."""
    impulse = np.zeros(2 * int(4 * width + 0.5) + 1)
    impulse[len(impulse) // 2] = 1.0
    return float(ndimage.gaussian_filter1d(impulse, width)[len(impulse) // 2]) ** 2


def _with_stable_variance(image: Image, smooth: Callable[[Array], Array]) -> Image:
    """Filter after a transform to unit noise.

    Generalized Anscombe transform, and its closed-form unbiased inverse (Mäkitalo & Foi, IEEE
    Trans. Image Process. 22, 91, 2013). Without shot noise the image is only scaled.
    """
    noise = image_noise(image)
    values = image.astype(float)
    if noise.gain <= 0:
        deviation = mean_deviation(image)
        return np.asarray(smooth(values / deviation) * deviation, dtype=np.float32)
    counts, rest = values / noise.gain, noise.offset / noise.gain**2
    even = 2.0 * np.sqrt(np.maximum(counts + 0.375 + rest, 0.0))
    # Below the transform of zero counts the inverse would diverge.
    smoothed = np.maximum(smooth(even), 2.0 * np.sqrt(0.375 + max(rest, 0.0)))
    root = np.sqrt(1.5)
    inverse = 0.25 * smoothed**2 + 0.25 * root / smoothed - 1.375 / smoothed**2
    inverse += 0.625 * root / smoothed**3 - 0.125 - rest
    return np.asarray(inverse * noise.gain, dtype=np.float32)


BLOBS, OTSU = "blobs", "otsu"

BLOB_SIGMAS = (0.12, 0.3)
"""Smallest and largest scale of blobs over the columns' spacing."""
BLOB_SCALES = 5
FAINTEST_BLOB = 0.02
"""Threshold of a blob over the range of the image."""
BLOB_SIGNIFICANCE = 4.0
"""Threshold of a blob over the standard deviation of the filtered noise."""


@dataclass(frozen=True)
class Filter:
    """One of `FILTERS`, then maxima and Gaussian fits on the filtered image."""

    name: str

    def __call__(self, case: Case) -> Outcome:
        """See `Method.__call__`."""
        filtered = FILTERS[self.name](case.image)
        return Outcome(filtered, peaks(filtered, case.sampling))


@dataclass(frozen=True)
class Blobs:
    """Blobs of the Laplacian of Gaussian (`skimage.feature.blob_log`), then Gaussian fits."""

    name: str = BLOBS

    def __call__(self, case: Case) -> Outcome:
        """See `Method.__call__`."""
        spacing = estimate_spacing(case.image, case.sampling)
        bright = case.image if guess_contrast(case.image, spacing) == "bright" else -case.image
        unit = (bright - bright.min()) / max(float(np.ptp(bright)), 1e-30)
        low, high = (share * spacing for share in BLOB_SIGMAS)
        noise = mean_deviation(unit) / (np.sqrt(2 * np.pi) * low)
        threshold = max(FAINTEST_BLOB, BLOB_SIGNIFICANCE * noise)
        found = blob_log(unit, low, high, BLOB_SCALES, threshold)
        if len(found) == 0:
            return Outcome(columns=_table(np.zeros((0, 2))))
        start = np.ascontiguousarray(found[:, :2].T, dtype=float)
        fits = fit_gaussians(torch.from_numpy(bright.astype(float)), *start)
        measured = {name: getattr(fits, name) for name in ("y_err", "x_err")}
        volume = 2 * np.pi * fits.sigma**2 * fits.amplitude
        table = _table(np.column_stack([fits.y, fits.x]))
        return Outcome(columns=table.assign(**measured, volume=volume))


@dataclass(frozen=True)
class OtsuCentroids:
    """Columns from the map of a network as in AtomSegNet (Lin et al. 2021, Methods).

    Otsu's threshold of the map, connected components, and their centroids.
    """

    model: str
    device: str = "auto"

    @property
    def name(self) -> str:
        """Name of the model and of the method."""
        return f"{read_card(weights.resolve(self.model)).name} + {OTSU}"

    def __call__(self, case: Case) -> Outcome:
        """See `Method.__call__`."""
        made = predict(
            case.image,
            (COLUMNS[0],),
            model=self.model,
            sampling=case.sampling,
            device=self.device,
        )
        return Outcome(columns=_table(otsu_centroids(made.maps[COLUMNS[0]])))


def otsu_centroids(column_map: Image) -> NDArray[np.float64]:
    """(N, 2) centroids (y, x) of the parts of a map above Otsu's threshold."""
    if np.ptp(column_map) == 0:
        return np.zeros((0, 2))
    parts, count = label(column_map > threshold_otsu(column_map), return_num=True)
    numbers = np.arange(1, count + 1)
    there = np.ones_like(column_map)
    return np.array(ndimage.center_of_mass(there, parts, numbers)).reshape(-1, 2)


def peaks(image: Image, sampling: float | None) -> pd.DataFrame:
    """Columns of an image without a network: maxima and Gaussian fits."""
    return localize(image, sampling=sampling, detector="peaks")


def _table(points: NDArray[np.float64]) -> pd.DataFrame:
    return pd.DataFrame(points, columns=["y", "x"])
