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
"""A column is found where something is found within this part of the columns' spacing."""
NEAREST = 1.5
"""Pixels within which it is found however close the columns are."""
EDGE = 0.5
"""Positions nearer to the border than this part of the spacing are not measured: it cuts them."""


@dataclass(frozen=True)
class Case:
    """An image, and what is known of it.

    Attributes
    ----------
    name : unlike that of any other case of the run, and fit for a file's name.
    image : (H, W) float32, as recorded.
    truth : (H, W) float32, as it should have been, or None.
    columns : table of the true columns with ``y`` and ``x`` in pixels, or None where they are not
        known. It may hold ``snr``, the signal of a column over its noise; ``bound``, the smallest
        standard error of y and of x together, in pixels; ``volume``, in units of the image
        times px²; and ``elements``, the name of its species.
    sampling : Å a pixel, or None.
    targets : what is known of further tasks, by the names of the simulation's targets.
    """

    name: str
    image: Image
    truth: Image | None = None
    columns: pd.DataFrame | None = None
    sampling: float | None = None
    targets: Mapping[str, Image] = field(default_factory=dict)

    @property
    def spacing(self) -> float:
        """Median distance of nearest true columns in pixels; NaN where there are not two."""
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
    """Cases of one kind at one dose, each made when it is asked for.

    Attributes
    ----------
    name : of the kind.
    dose : e⁻/Å², or None where there is no such number.
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
        """Case number `index`; the same whenever it is asked for."""
        ...


def case_name(dataset: Dataset, index: int) -> str:
    """Name of a case: those of its data set and dose, and its number."""
    dose = "" if dataset.dose is None else f"-{dataset.dose:g}"
    return f"{dataset.name}{dose}-{index:04d}"


def known_columns(
    columns: pd.DataFrame, ideal: Image, sampling: float, counts: float
) -> pd.DataFrame:
    """Simulated columns as a `Case` holds them.

    The bound is that of a lone Gaussian column as wide and as high as the simulated one, on what
    lies under it, with shot noise alone. It is NaN in phase contrast.

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
    """What a method makes of a case, each part None where the method gives none.

    Attributes
    ----------
    restored : (H, W) image.
    columns : table with ``y`` and ``x`` in pixels, and whatever else `localize` gives; with
        ``species``, their names, where the method tells species.
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


@runtime_checkable
class Mapper(Protocol):
    """A method with more tasks than one restored image and one table of columns."""

    def maps(self, case: Case) -> dict[str, Image]:
        """A map for each further task whose truth the case knows, see `tasks.TRUTH`."""
        ...


@dataclass(frozen=True)
class EvaluationResults:
    """Everything measured in a run.

    Attributes
    ----------
    cases, columns : as `summarize` takes them.
    tasks : as `summarize_tasks` takes them.
    datasets, methods : what was run; the first `models` methods are no baselines.
    """

    cases: pd.DataFrame
    columns: pd.DataFrame
    tasks: pd.DataFrame
    datasets: Sequence[Dataset]
    methods: Sequence[Method]
    models: int
