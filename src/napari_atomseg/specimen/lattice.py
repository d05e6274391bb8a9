"""Atomic columns of a crystal seen along a zone axis."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from math import gcd
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_atomseg.specimen.columns import Array, Columns
from napari_atomseg.specimen.structure import GAMMA

if TYPE_CHECKING:
    from ase import Atoms

SAME_COLUMN = 0.3
"""Atoms whose projections lie closer than this (Å) belong to one column."""


@dataclass(frozen=True)
class ColumnLattice:
    """A two-dimensional lattice with a basis of atomic columns.

    Attributes
    ----------
    vectors : (2, 2) lattice vectors in Å, each row (y, x).
    positions : (N, 2) basis in fractions of the vectors.
    weights : (N,) projected scattering of each column, relative.
    elements : composition of each basis column per period along the beam.
    """

    vectors: Array
    positions: Array
    weights: Array
    elements: tuple[dict[str, int], ...] = ()

    def rotated(self, degrees: float) -> ColumnLattice:
        """The lattice turned in its plane."""
        cosine, sine = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
        turn = np.array([[cosine, -sine], [sine, cosine]])
        return ColumnLattice(self.vectors @ turn, self.positions, self.weights, self.elements)

    def scaled(self, factor: float) -> ColumnLattice:
        """The lattice with all lengths multiplied by `factor`."""
        return ColumnLattice(self.vectors * factor, self.positions, self.weights, self.elements)

    def fill(self, lower: Array, upper: Array, offset: Array) -> Columns:
        """All columns with lower ≤ (y, x) ≤ upper (Å), the lattice's origin lying at `offset`."""
        corners = np.array(list(product(*zip(lower, upper, strict=True)))) - offset
        cells = corners @ np.linalg.inv(self.vectors)
        first = np.floor(cells.min(axis=0)).astype(int) - 1
        last = np.ceil(cells.max(axis=0)).astype(int) + 1
        grid = np.stack(
            np.meshgrid(*(np.arange(a, b + 1) for a, b in zip(first, last, strict=True))), axis=-1
        ).reshape(-1, 1, 2)
        points = ((grid + self.positions) @ self.vectors + offset).reshape(-1, 2)
        species = np.tile(np.arange(len(self.positions)), len(grid))
        inside = np.all((points >= lower) & (points <= upper), axis=1)
        points, species = points[inside], species[inside]
        counts, numbers = self._composition
        return Columns(
            points[:, 0],
            points[:, 1],
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

    def nearest_spacing(self) -> float:
        """Distance between the two closest columns, in Å."""
        reach = 3.0 * np.abs(self.vectors).sum()
        columns = self.fill(np.full(2, -reach), np.full(2, reach), np.zeros(2))
        home = self.positions @ self.vectors
        points = np.stack([columns.y, columns.x], axis=1)
        distance = np.linalg.norm(home[:, None] - points[None], axis=-1)
        return float(distance[distance > 1e-6].min())


def project(
    atoms: Atoms, zone_axis: tuple[int, int, int] = (0, 0, 1), gamma: float = GAMMA
) -> ColumnLattice:
    """Columns of a crystal along a zone axis.

    Parameters
    ----------
    atoms : unit cell.
    zone_axis : direction [uvw] of the beam in units of the cell vectors.
    gamma : each atom scatters as Z to this power (incoherent dark field: 1.6 to 2).

    Raises
    ------
    ValueError
        The zone axis is zero or not three integers.
    """
    axis = _primitive_axis(zone_axis)
    cell = np.asarray(atoms.cell.array, dtype=float)
    beam = axis @ cell
    beam /= np.linalg.norm(beam)
    first, second = _transverse_vectors(axis, cell, beam)
    frame = np.stack([first, second, axis])
    along = first @ cell - beam * (first @ cell @ beam)
    e_x = along / np.linalg.norm(along)
    e_y = np.cross(beam, e_x)
    # The one place where ASE's (x, y) becomes the image's (row, col).
    vectors = np.array([[v @ cell @ e_y, v @ cell @ e_x] for v in (first, second)])
    fractions = np.asarray(atoms.get_scaled_positions(wrap=True)) @ np.linalg.inv(frame)
    plane = fractions[:, :2] % 1.0
    groups = _group(plane, vectors)
    numbers, symbols = atoms.get_atomic_numbers(), atoms.get_chemical_symbols()
    positions, weights, elements = [], [], []
    for members in groups:
        strength = numbers[members].astype(float) ** gamma
        origin = plane[members[0]]
        offsets = (plane[members] - origin + 0.5) % 1.0 - 0.5
        positions.append((origin + np.average(offsets, axis=0, weights=strength)) % 1.0)
        weights.append(strength.sum())
        elements.append(dict(Counter(symbols[i] for i in members)))
    return ColumnLattice(vectors, np.array(positions), np.array(weights), tuple(elements))


def _primitive_axis(zone_axis: tuple[int, int, int]) -> NDArray[np.int64]:
    axis = np.asarray(zone_axis)
    if axis.shape != (3,) or np.any(axis != np.round(axis)) or not np.any(axis):
        raise ValueError(f"zone_axis={zone_axis!r} must be three integers [uvw], not all zero")
    axis = axis.astype(np.int64)
    return axis // gcd(*(int(abs(i)) for i in axis))


def _transverse_vectors(
    axis: NDArray[np.int64], cell: Array, beam: Array
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Two lattice vectors that, with the axis, span the lattice, as short and square as found."""
    reach = int(max(2, np.abs(axis).max()))
    trials = np.array(list(product(range(-reach, reach + 1), repeat=3)))
    plane = trials @ cell
    lengths = np.linalg.norm(plane - np.outer(plane @ beam, beam), axis=1)
    order = np.argsort(lengths, kind="stable")
    trials, lengths = trials[order], lengths[order]
    trials = trials[lengths > 1e-6][:120]
    crosses = np.cross(trials[:, None], trials[None])
    for total in range(1, 2 * len(trials)):
        for i in range(max(0, total - len(trials) + 1), (total + 1) // 2):
            if round(float(crosses[i, total - i] @ axis)) == 1:
                return trials[i], trials[total - i]
            if round(float(crosses[i, total - i] @ axis)) == -1:
                return trials[i], -trials[total - i]
    raise ValueError(f"zone_axis={tuple(axis)} is too high; use indices up to about 5")


def _group(plane: Array, vectors: Array) -> list[NDArray[np.int64]]:
    """Indices of atoms whose projections coincide, periodically."""
    free = np.ones(len(plane), dtype=bool)
    groups = []
    for i in range(len(plane)):
        if free[i]:
            offsets = (plane - plane[i] + 0.5) % 1.0 - 0.5
            near = free & (np.linalg.norm(offsets @ vectors, axis=1) < SAME_COLUMN)
            groups.append(np.flatnonzero(near))
            free &= ~near
    return groups
