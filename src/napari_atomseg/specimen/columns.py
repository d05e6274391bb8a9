"""Sets of points in a field of view: the columns that are the truth, the atoms that scatter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from napari_atomseg._shared.types import Array, Indices


def _no_counts() -> Array:
    return np.zeros((0, 0))


@dataclass(frozen=True)
class Columns:
    """Columns in a field of view.

    Attributes
    ----------
    y, x : (N,) positions in Å; the origin is the centre of the first pixel.
    weight : (N,) projected scattering per column, relative.
    species : (N,) index into the names of the specimen's species, -1 where there is none.
    counts : (N, E) atoms of each element in each column; E = 0 for columns of no element.
    numbers : atomic numbers of the E elements.
    """

    y: Array
    x: Array
    weight: Array
    species: Indices
    counts: Array = field(default_factory=_no_counts)
    numbers: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not self.numbers:
            object.__setattr__(self, "counts", np.zeros((len(self.y), 0)))

    def __len__(self) -> int:
        return len(self.y)

    @property
    def points(self) -> Array:
        """(N, 2) positions (y, x) in Å."""
        return np.stack([self.y, self.x], axis=1)

    def select(self, keep: NDArray[np.bool_] | Indices) -> Columns:
        """The columns for which `keep` is true, or those of the given indices."""
        return replace(
            self,
            y=self.y[keep],
            x=self.x[keep],
            weight=self.weight[keep],
            species=self.species[keep],
            counts=self.counts[keep],
        )

    def reweighted(self, factor: Array) -> Columns:
        """The same columns with weights and numbers of atoms multiplied by `factor`."""
        return replace(self, weight=self.weight * factor, counts=self.counts * factor[:, None])

    def shifted(self, dy: Array | float, dx: Array | float) -> Columns:
        """The same columns moved by (dy, dx) Å."""
        return replace(self, y=self.y + dy, x=self.x + dx)

    @staticmethod
    def join(parts: Sequence[Columns]) -> Columns:
        """All columns of several sets; species keep their index."""
        numbers = tuple(sorted({n for part in parts for n in part.numbers}))
        counts = []
        for part in parts:
            wide = np.zeros((len(part), len(numbers)))
            wide[:, [numbers.index(n) for n in part.numbers]] = part.counts
            counts.append(wide)
        return Columns(
            np.concatenate([part.y for part in parts]),
            np.concatenate([part.x for part in parts]),
            np.concatenate([part.weight for part in parts]),
            np.concatenate([part.species for part in parts]),
            np.concatenate(counts),
            numbers,
        )

    @staticmethod
    def empty() -> Columns:
        """No columns."""
        none = np.zeros(0)
        return Columns(none, none, none, np.zeros(0, dtype=np.int64))

    def scatterers(self) -> Scatterers:
        """Return a point for each column and element; columns without elements give points of
        atomic number 0 whose amount is the weight.
        """
        if not self.numbers:
            return Scatterers(self.y, self.x, self.weight, np.zeros(len(self), dtype=np.int64))
        row, element = np.nonzero(self.counts)
        numbers = np.array(self.numbers, dtype=np.int64)
        return Scatterers(self.y[row], self.x[row], self.counts[row, element], numbers[element])


@dataclass(frozen=True)
class Scatterers:
    """Points that scatter.

    Attributes
    ----------
    y, x : (N,) positions in Å; the origin is the centre of the first pixel.
    amount : (N,) how many atoms stand there.
    number : (N,) their atomic number; 0 where the amount is itself the scattered intensity.
    """

    y: Array
    x: Array
    amount: Array
    number: Indices

    def __len__(self) -> int:
        return len(self.y)

    def select(self, keep: NDArray[np.bool_] | Indices) -> Scatterers:
        """The points for which `keep` is true, or those of the given indices."""
        return Scatterers(self.y[keep], self.x[keep], self.amount[keep], self.number[keep])

    @staticmethod
    def join(parts: Sequence[Scatterers]) -> Scatterers:
        """All points of several sets."""
        return Scatterers(
            np.concatenate([part.y for part in parts]),
            np.concatenate([part.x for part in parts]),
            np.concatenate([part.amount for part in parts]),
            np.concatenate([part.number for part in parts]),
        )


SPARROW = 1.7
"""Two equal Gaussian spots show a dip between them from 2 sigma (Sparrow); a network that knows the
spot's shape separates them a little earlier."""


def resolve_columns(
    columns: Columns, sigma: float, faintest: float = 0.04, limit: float = SPARROW
) -> Columns:
    """The columns an ideal observer at this resolution would mark.

    Columns closer than the resolution limit are one column at their common centre; a weak column
    must stand further from a strong one, by the logarithm of their ratio. Columns fainter than
    `faintest` times the brightest are left out.

    Parameters
    ----------
    columns : columns with positions in Å.
    sigma : width of the probe's central peak, in Å.
    faintest : smallest visible weight relative to the largest.
    limit : least distance of two equal columns in `sigma`; with 0, none are joined.
    """
    if len(columns) == 0:
        return columns
    columns = columns.select(columns.weight >= faintest * columns.weight.max())
    order = np.argsort(-columns.weight, kind="stable")
    points = np.stack([columns.y, columns.x], axis=1)[order]
    weight = columns.weight[order]
    moment = points * weight[:, None]
    total = weight.copy()
    counts = columns.counts[order]
    alive = np.ones(len(points), dtype=bool)
    reach = limit * sigma * (1.0 + 0.35 * np.log(1.0 / faintest))
    pairs = cKDTree(points).query_pairs(reach, output_type="ndarray")
    i, j = pairs.T
    distance = np.linalg.norm(points[i] - points[j], axis=1)
    merged = pairs[distance < limit * sigma * (1.0 + 0.35 * np.log(weight[i] / weight[j]))]
    # Strongest first, so that each weak column joins the strongest it cannot be told from.
    for i, j in merged[np.lexsort(merged.T[::-1])].tolist():
        if alive[i] and alive[j]:
            alive[j] = False
            moment[i] += moment[j]
            total[i] += total[j]
            counts[i] += counts[j]
    centre = moment[alive] / total[alive, None]
    return replace(
        columns.select(order[alive]),
        y=centre[:, 0],
        x=centre[:, 1],
        weight=total[alive],
        counts=counts[alive],
    )
