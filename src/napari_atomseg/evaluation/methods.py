"""What is compared: models, filters, detectors, and images that another program restored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

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
from napari_atomseg.inference import estimate_spacing, predict, restore
from napari_atomseg.inference.scale import guess_contrast
from napari_atomseg.io import IMAGE_SUFFIXES, read_image
from napari_atomseg.localization import localize
from napari_atomseg.localization.fits import fit_gaussians
from napari_atomseg.networks.card import read_card
from napari_atomseg.networks.tasks import COLUMNS, ELEMENTS

BLOBS, OTSU = "blobs", "otsu"
BASELINES = (*FILTERS, BLOBS, OTSU)
"""Names of the baselines; `otsu` applies to each model that maps columns."""

BLOB_SIGMAS = (0.12, 0.3)
"""Smallest and largest scale of blobs over the columns' spacing."""
BLOB_SCALES = 5
FAINTEST_BLOB = 0.02
"""Over the range of the image."""
BLOB_SIGNIFICANCE = 4.0
"""Faintest blob over the deviation of the filtered noise."""


@dataclass(frozen=True)
class Outcome:
    """What a method makes of a case: the restored image (H, W) and the table of columns, each None
    where the method gives none.
    """

    restored: Image | None = None
    columns: pd.DataFrame | None = None


class Method(Protocol):
    """Anything that restores images or finds columns, under a name of its own."""

    @property
    def name(self) -> str:
        """What tables call it."""
        ...

    def __call__(self, case: Case) -> Outcome:
        """Apply it; the truth of the case is not looked at."""
        ...


@dataclass(frozen=True)
class Model:
    """A network that restores, finds columns, or both.

    One that only restores is followed by maxima and Gaussian fits on the restored image.

    Attributes
    ----------
    model : name of a model or path of a weights file.
    refine, device : see `localize`.
    """

    model: str
    refine: str = "gaussian"
    device: str = "auto"

    @property
    def name(self) -> str:
        """Name on the model's card."""
        return read_card(weights.resolve(self.model)).name

    def __call__(self, case: Case) -> Outcome:
        """See `Method.__call__`."""
        tasks = read_card(weights.resolve(self.model)).tasks
        chosen: dict[str, Any] = {
            "model": self.model,
            "sampling": case.sampling,
            "device": self.device,
        }
        restored = restore(case.image, **chosen) if "denoise" in tasks else None
        if COLUMNS[0] in tasks or ELEMENTS in tasks:
            return Outcome(restored, localize(case.image, refine=self.refine, **chosen))
        return Outcome(restored, None if restored is None else peaks(restored, case.sampling))


@dataclass(frozen=True)
class Restored:
    """Images that another program restored: `NAME` of the case with any suffix of an image.

    Attributes
    ----------
    folder : where they lie; its name is the method's.
    """

    folder: Path

    @property
    def name(self) -> str:
        """Name of the folder."""
        return self.folder.resolve().name

    def __call__(self, case: Case) -> Outcome:
        """See `Method.__call__`.

        Raises
        ------
        OSError
            There is no such image.
        ValueError
            It is not of the case's shape.
        """
        names = (self.folder / f"{case.name}{suffix}" for suffix in IMAGE_SUFFIXES)
        path = next((path for path in names if path.is_file()), None)
        if path is None:
            raise FileNotFoundError(f"{self.folder}: no image named {case.name}")
        restored = np.asarray(read_image(path).data, dtype=np.float32)
        if restored.shape != case.image.shape:
            raise ValueError(f"{path}: of shape {restored.shape}, not {case.image.shape}")
        return Outcome(restored, peaks(restored, case.sampling))


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


def open_methods(
    models: Sequence[str | Path | Method],
    baselines: Sequence[str],
    *,
    refine: str = "gaussian",
    device: str = "auto",
) -> list[Method]:
    """Methods by name, models first.

    Parameters
    ----------
    models : names, weights files, folders of restored images, or methods.
    baselines : among `BASELINES`.

    Raises
    ------
    ValueError
        A name is not known, or two methods have one name.
    """
    unknown = [name for name in baselines if name not in BASELINES]
    if unknown:
        raise ValueError(f"baseline={unknown[0]!r}; choose one of {', '.join(BASELINES)}")
    methods: list[Method] = []
    for each in models:
        if not isinstance(each, str | Path):
            methods.append(each)
        elif Path(each).is_dir():
            methods.append(Restored(Path(each)))
        else:
            methods.append(Model(str(weights.resolve(each)), refine, device))
    mapping = [m for m in methods if isinstance(m, Model) and _maps_columns(m.model)]
    for name in baselines:
        if name == OTSU:
            methods += [OtsuCentroids(m.model, device) for m in mapping]
        else:
            methods.append(Blobs() if name == BLOBS else Filter(name))
    names = [method.name for method in methods]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise ValueError(f"two methods are called {twice[0]!r}")
    return methods


def _maps_columns(model: str) -> bool:
    tasks = read_card(weights.resolve(model)).tasks
    return COLUMNS[0] in tasks or ELEMENTS in tasks


def _table(points: NDArray[np.float64]) -> pd.DataFrame:
    return pd.DataFrame(points, columns=["y", "x"])
