"""What one would do without these networks: filters, detectors, and AtomSegNet's centroids."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy import ndimage
from skimage.feature import blob_log
from skimage.filters import threshold_otsu
from skimage.measure import label

from napari_atomseg import weights
from napari_atomseg.evaluation.case import Case, Image
from napari_atomseg.evaluation.filters import FILTERS, mean_deviation
from napari_atomseg.evaluation.outcome import Outcome
from napari_atomseg.inference import estimate_spacing, predict
from napari_atomseg.inference.scale import guess_contrast
from napari_atomseg.localization import localize
from napari_atomseg.localization.fits import fit_gaussians
from napari_atomseg.networks.card import read_card
from napari_atomseg.networks.tasks import COLUMNS

BLOBS, OTSU = "blobs", "otsu"

BLOB_SIGMAS = (0.12, 0.3)
"""Smallest and largest scale of blobs over the columns' spacing."""
BLOB_SCALES = 5
FAINTEST_BLOB = 0.02
"""Over the range of the image."""
BLOB_SIGNIFICANCE = 4.0
"""Faintest blob over the deviation of the filtered noise."""


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
    """AtomSegNet's way from a network's map to columns (Lin et al. 2021, Methods).

    Otsu's threshold of the map, connected components, and their centroids.
    """

    model: str
    device: str = "auto"

    @property
    def name(self) -> str:
        """Name of the model and of the way."""
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
