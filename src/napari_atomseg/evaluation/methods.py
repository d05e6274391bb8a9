"""Methods to compare: models, and images that another program restored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from napari_atomseg import weights
from napari_atomseg._shared.types import Image
from napari_atomseg.evaluation.baselines import (
    BLOBS,
    FILTERS,
    OTSU,
    Blobs,
    Filter,
    OtsuCentroids,
    peaks,
)
from napari_atomseg.evaluation.case import Case, Method, Outcome
from napari_atomseg.evaluation.tasks import scorable
from napari_atomseg.inference import predict, restore
from napari_atomseg.io import IMAGE_SUFFIXES, read_image
from napari_atomseg.localization import localize
from napari_atomseg.localization.settings import Refine
from napari_atomseg.networks.card import read_card
from napari_atomseg.networks.tasks import COLUMNS, ELEMENTS, INTENSITIES, predictable

BASELINES = (*FILTERS, BLOBS, OTSU)
"""Names of the baselines; `otsu` applies to each model that maps columns."""


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
    refine: Refine = "gaussian"
    device: str = "auto"

    @property
    def name(self) -> str:
        """Name on the model's card."""
        return read_card(weights.resolve(self.model)).name

    def __call__(self, case: Case) -> Outcome:
        """See `Method.__call__`."""
        tasks = read_card(weights.resolve(self.model)).tasks
        restored = restore(case.image, **self._chosen(case)) if "denoise" in tasks else None
        if not _maps_columns(self.model):
            return Outcome(restored, None if restored is None else peaks(restored, case.sampling))
        columns = localize(case.image, refine=self.refine, **self._chosen(case))
        if ELEMENTS in tasks:
            columns["species"] = self._species(case, columns)
        return Outcome(restored, columns)

    def maps(self, case: Case) -> dict[str, Image]:
        """See `Mapper.maps`; intensities and masks are asked for as `restore` and `segment` do."""
        tasks = scorable(case, predictable(read_card(weights.resolve(self.model)).tasks))
        made: dict[str, Image] = {}
        for some in (
            [task for task in tasks if task in INTENSITIES],
            [task for task in tasks if task in COLUMNS],
        ):
            if some:
                made |= predict(case.image, some, **self._chosen(case)).maps
        return made

    def _species(self, case: Case, columns: pd.DataFrame) -> list[str]:
        """Species with the largest probability at each column."""
        made = predict(case.image, (ELEMENTS,), **self._chosen(case))
        place = columns[["y", "x"]].to_numpy(float).round().astype(int)
        rows, cols = np.clip(place, 0, np.array(case.image.shape) - 1).T
        likeliest = made.maps[ELEMENTS][:, rows, cols].argmax(axis=0)
        return [made.species[each] for each in likeliest]

    def _chosen(self, case: Case) -> dict[str, Any]:
        return {"model": self.model, "sampling": case.sampling, "device": self.device}


@dataclass(frozen=True)
class Restored:
    """Images that another program restored: `NAME` of the case with any suffix of an image.

    Attributes
    ----------
    folder : folder of the images, whose name is that of the method.
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


def open_methods(
    models: Sequence[str | Path | Method],
    baselines: Sequence[str],
    *,
    refine: Refine = "gaussian",
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
