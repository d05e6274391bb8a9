"""What is compared: images with their truth, methods, and what these make of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
import pandas as pd

from napari_atomseg._shared.geometry import median_spacing
from napari_atomseg._shared.types import Image
from napari_atomseg.localization import cramer_rao_bounds

NEAR = 0.2
"""Largest distance of a detection from its column, in spacings of the columns."""
NEAREST = 1.5
"""Least value of that distance, pixels."""
EDGE = 0.5
"""Width of the border, in spacings, where columns are cut and positions are not measured."""


@dataclass(frozen=True)
class Case:
    """An image with its truth.

    Attributes
    ----------
    name : unique in the run, and valid as the name of a file.
    image : (H, W) float32, as recorded.
    truth : (H, W) float32, the image without noise, or None.
    columns : table of the true columns with ``y`` and ``x`` in pixels, or None where unknown. It
        may hold ``snr``, the signal of a column over its noise; ``bound``, the smallest standard
        error of y and of x together, in pixels; ``volume``, in units of the image times px²; and
        ``elements``, the name of its species.
    sampling : Å a pixel, or None.
    targets : truth of further tasks, by the names of the simulation's targets.
    """

    name: str
    image: Image
    truth: Image | None = None
    columns: pd.DataFrame | None = None
    sampling: float | None = None
    targets: Mapping[str, Image] = field(default_factory=dict)

    @property
    def spacing(self) -> float:
        """Median distance of nearest true columns, pixels; NaN for fewer than two."""
        if self.columns is None:
            return float("nan")
        return median_spacing(self.columns[["y", "x"]].to_numpy(float))

    @property
    def radius(self) -> float:
        """Pixels within which a column counts as found."""
        return float(np.fmax(NEAREST, NEAR * self.spacing))

    @property
    def edge(self) -> float:
        """Pixels from the border within which positions are not measured."""
        return float(np.fmax(NEAREST, EDGE * self.spacing))


class Dataset(Protocol):
    """Cases of one kind at one dose, each made on request.

    Attributes
    ----------
    name : name of the kind.
    dose : e⁻/Å², or None where it is not defined.
    """

    @property
    def name(self) -> str:
        """See the class."""
        ...

    @property
    def dose(self) -> float | None:
        """See the class."""
        ...

    def __len__(self) -> int:
        """Number of cases."""
        ...

    def case(self, index: int) -> Case:
        """Case number `index`; every call gives the same one."""
        ...


def case_name(dataset: Dataset, index: int) -> str:
    """Name of a case, from its data set, dose and number."""
    dose = "" if dataset.dose is None else f"-{dataset.dose:g}"
    return f"{dataset.name}{dose}-{index:04d}"


def known_columns(
    columns: pd.DataFrame, ideal: Image, sampling: float, counts: float
) -> pd.DataFrame:
    """Simulated columns in the form of a `Case`.

    The bound is that of a single Gaussian column of the same width and height on the local
    background, with shot noise only. It is NaN in phase contrast.

    Parameters
    ----------
    columns : as `Simulation.columns`.
    ideal : (H, W) undistorted image.
    sampling : Å a pixel.
    counts : electrons in a pixel where the signal is 1.
    """
    known = columns[["y", "x"]].astype(float).reset_index(drop=True)
    if "elements" in columns:
        known["elements"] = columns["elements"].to_numpy()
    peak = columns["intensity"].to_numpy(float)
    volume = columns["cross_section"].to_numpy(float) / sampling**2
    known["snr"] = known["bound"] = known["volume"] = np.nan
    seen = (peak > 0) & columns["snr"].notna().to_numpy()
    known.loc[~(peak > 0), "snr"] = 0.0
    if not seen.any() or not np.isfinite(counts):
        return known
    rows, cols = ideal.shape
    at = (known["y"].round().astype(int), known["x"].round().astype(int))
    here = ideal[at[0].clip(0, rows - 1), at[1].clip(0, cols - 1)].astype(float)
    under = np.maximum(here - peak, 0.0)[seen]
    area = volume[seen] / peak[seen]
    bound = cramer_rao_bounds(peak[seen], np.sqrt(area / (2 * np.pi)), under, gain=1.0 / counts)
    signal = peak[seen] * np.sqrt(area * counts / (peak[seen] + 2.0 * under))
    known.loc[seen, ["snr", "bound", "volume"]] = np.column_stack(
        [signal, np.hypot(bound.y, bound.x), volume[seen]]
    )
    return known


@dataclass(frozen=True)
class Outcome:
    """Result of a method for a case; parts that the method does not give are None.

    Attributes
    ----------
    restored : (H, W) image.
    columns : table with ``y`` and ``x`` in pixels, and further columns as from `localize`; with
        names in ``species`` where the method distinguishes species.
    """

    restored: Image | None = None
    columns: pd.DataFrame | None = None


class Method(Protocol):
    """A method that restores images or finds columns, with a name."""

    @property
    def name(self) -> str:
        """Name in tables."""
        ...

    def __call__(self, case: Case) -> Outcome:
        """Apply the method, without the truth of the case."""
        ...


@runtime_checkable
class Mapper(Protocol):
    """A method with more tasks than one restored image and one table of columns."""

    def maps(self, case: Case) -> dict[str, Image]:
        """A map for each further task whose truth is in the case, see `tasks.TRUTH`."""
        ...


@dataclass(frozen=True)
class EvaluationResults:
    """All measurements of a run.

    Attributes
    ----------
    cases, columns : as `summarize` takes them.
    tasks : as `summarize_tasks` takes them.
    datasets, methods : those of the run; the first `models` methods are not baselines.
    """

    cases: pd.DataFrame
    columns: pd.DataFrame
    tasks: pd.DataFrame
    datasets: Sequence[Dataset]
    methods: Sequence[Method]
    models: int
