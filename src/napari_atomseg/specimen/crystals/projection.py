"""Atomic columns of a crystal seen along a zone axis."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import cKDTree

from napari_atomseg._shared.types import Array, Indices
from napari_atomseg.specimen.columns import Columns
from napari_atomseg.specimen.crystals.axis import View
from napari_atomseg.specimen.crystals.mixed import mean_strength
from napari_atomseg.specimen.crystals.zone import OrientedCell, in_plane_turn, orient
from napari_atomseg.specimen.structure import GAMMA

if TYPE_CHECKING:
    from ase import Atoms

RESOLVED = 0.36
"""Columns are spread so unevenly in some projections that their closest distance says little: a
lattice's typical spacing is at least this share of the root of the area a bright column has."""

BRIGHT = 0.2
"""Columns above this share of the brightest one set a lattice's typical spacing."""


@dataclass(frozen=True)
class ColumnLattice:
    """A two-dimensional lattice with a basis of atomic columns.

    Attributes
    ----------
    vectors : (2, 2) lattice vectors in Å, each row (y, x).
    positions : (N, 2) basis in fractions of the vectors.
    weights : (N,) projected scattering of each column per period along the beam, relative.
    elements : composition of each basis column per period along the beam, of mixed sites the mean.
    period : Å along the beam after which the columns repeat.
    """

    vectors: Array
    positions: Array
    weights: Array
    elements: tuple[dict[str, float], ...] = ()
    period: float = 1.0

    def rotated(self, degrees: float) -> ColumnLattice:
        """The lattice turned in its plane, counter-clockwise as an image of it is shown."""
        return replace(self, vectors=self.vectors @ in_plane_turn(degrees))

    def scaled(self, factor: float) -> ColumnLattice:
        """The lattice with all lengths multiplied by `factor`."""
        return replace(self, vectors=self.vectors * factor, period=self.period * factor)

    def fill(self, lower: Array, upper: Array, offset: Array) -> Columns:
        """All columns with lower ≤ (y, x) ≤ upper (Å), the lattice's origin lying at `offset`."""
        grid = covering_cells(self.vectors, lower - offset, upper - offset, self.positions)
        points = ((grid[:, None] + self.positions) @ self.vectors + offset).reshape(-1, 2)
        inside = np.flatnonzero(
            (points[:, 0] >= lower[0])
            & (points[:, 0] <= upper[0])
            & (points[:, 1] >= lower[1])
            & (points[:, 1] <= upper[1])
        )
        species = inside % len(self.positions)
        counts, numbers = self._composition
        return Columns(
            points[inside, 0],
            points[inside, 1],
            self.weights[species],
            species,
            counts[species],
            numbers,
        )

    @cached_property
    def _composition(self) -> tuple[Array, tuple[int, ...]]:
        """Atoms of each element in each basis column, and the elements' atomic numbers."""
        from ase.data import atomic_numbers

        numbers = sorted({atomic_numbers[s] for column in self.elements for s in column})
        counts = np.zeros((len(self.positions), len(numbers)))
        for row, column in enumerate(self.elements):
            for symbol, count in column.items():
                counts[row, numbers.index(atomic_numbers[symbol])] = count
        return counts, tuple(numbers)

    @cached_property
    def species(self) -> tuple[Indices, tuple[str, ...]]:
        """(N,) kind of each basis column, and the kinds' names as "TiO": columns of the same
        elements are of one kind, numbered by falling scattering as in `Structure.columns`.
        """
        counts, numbers = self._composition
        return rank_species(counts, numbers)

    def nearest_spacing(self) -> float:
        """Distance between the two closest columns, in Å."""
        cells = np.stack(np.meshgrid(*[np.arange(-2, 3)] * 2), axis=-1).reshape(-1, 1, 2)
        points = ((cells + self.positions) @ self.vectors).reshape(-1, 2)
        distance, _ = cKDTree(points).query(self.positions @ self.vectors, k=2)
        return float(np.asarray(distance)[:, 1].min())

    @cached_property
    def typical_spacing(self) -> float:
        """Å between the closest bright columns, or what is typical where a few nearly coincide."""
        bright = self.weights > BRIGHT * self.weights.max()
        area = abs(np.linalg.det(self.vectors)) / bright.sum()
        closest = ColumnLattice(self.vectors, self.positions[bright], self.weights[bright])
        return max(closest.nearest_spacing(), RESOLVED * float(np.sqrt(area)))


def covering_cells(vectors: Array, lower: Array, upper: Array, positions: Array) -> Array:
    """(G, 2) cells of a plane lattice that hold every point of a box.

    Parameters
    ----------
    vectors : (2, 2) lattice vectors, each row (y, x).
    lower, upper : corners (y, x) of the box, from the lattice's origin.
    positions : (N, 2) basis in fractions, which may reach a little beyond the cell.
    """
    corners = np.array([[y, x] for y in (lower[0], upper[0]) for x in (lower[1], upper[1])])
    cells = corners @ np.linalg.inv(vectors)
    first = np.floor(cells.min(axis=0) - positions.max(axis=0)).astype(np.int64)
    last = np.ceil(cells.max(axis=0) - positions.min(axis=0)).astype(np.int64)
    rows, cols = np.arange(first[0], last[0] + 1), np.arange(first[1], last[1] + 1)
    grid = np.stack([np.repeat(rows, len(cols)), np.tile(cols, len(rows))], axis=1)
    points = grid @ vectors
    reach = np.abs(positions @ vectors).max(axis=0)
    near = np.all((points >= lower - reach) & (points <= upper + reach), axis=1)
    return np.asarray(grid[near], dtype=np.float64)


def rank_species(counts: Array, numbers: tuple[int, ...]) -> tuple[Indices, tuple[str, ...]]:
    """Kinds of columns by the elements they hold.

    Parameters
    ----------
    counts : (N, E) atoms of each element in each column.
    numbers : atomic numbers of the E elements.

    Returns
    -------
    (N,) kind of each column, numbered by falling scattering, and the names of the kinds: symbols
    by falling atomic number.
    """
    from ase.data import chemical_symbols

    kinds, kind = np.unique(counts > 0, axis=0, return_inverse=True)
    order = np.argsort(-(kinds @ np.array(numbers, dtype=np.float64) ** GAMMA), kind="stable")
    names = tuple(
        "".join(
            chemical_symbols[n] for n in sorted(np.array(numbers, dtype=int)[row], reverse=True)
        )
        for row in kinds[order]
    )
    return np.argsort(order)[kind.reshape(-1)], names


def project(
    atoms: Atoms,
    zone_axis: tuple[int, ...] = (0, 0, 1),
    gamma: float = GAMMA,
    view: View = "towards",
) -> ColumnLattice:
    """Columns of a crystal along a zone axis.

    Parameters
    ----------
    atoms : unit cell.
    zone_axis, view : as for `orient`.
    gamma : each atom scatters as Z to this power (incoherent dark field: 1.6 to 2).

    Raises
    ------
    ValueError
        As `orient`.
    """
    return project_cell(orient(atoms, zone_axis, view), gamma)


def project_cell(cell: OrientedCell, gamma: float = GAMMA) -> ColumnLattice:
    """Columns of a crystal that is already turned towards the beam."""
    from ase.data import chemical_symbols

    positions, weights, elements = [], [], []
    scattering = mean_strength(cell.numbers, cell.sites, cell.mixtures, gamma)
    for index in range(int(cell.column.max()) + 1):
        members = np.flatnonzero(cell.column == index)
        strength = scattering[members]
        positions.append(np.average(cell.positions[members, :2], axis=0, weights=strength))
        weights.append(strength.sum())
        content: dict[str, float] = {}
        for number, site in zip(cell.numbers[members], cell.sites[members], strict=True):
            pure = {chemical_symbols[number]: 1}
            for symbol, share in (cell.mixtures[site] if site >= 0 else pure).items():
                content[symbol] = content.get(symbol, 0) + share
        elements.append(content)
    return ColumnLattice(
        cell.vectors[:2, :2],
        np.array(positions),
        np.array(weights),
        tuple(elements),
        cell.period,
    )
