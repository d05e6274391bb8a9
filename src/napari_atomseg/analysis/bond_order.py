"""Orientation of a lattice from the bonds around its columns, and the symmetry that it has."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_atomseg._shared.geometry import delaunay_triangles, median_spacing, sides_of
from napari_atomseg._shared.types import Array, Indices

FOLDS = (6, 4, 2)
"""Symmetries of the bonds around a column that are looked for."""
NEIGHBOURS = 1.35
"""Distances of the nearest column within which columns count as neighbours."""
FACING = 2.5
"""Such distances, within which columns of two grains face each other."""
LONG = 0.05
"""Difference in length of bonds that are alike in the higher symmetry, as a part, from which on the
lattice has two folds: more than scans distort."""
EVEN = 0.35
"""Median deviation of that difference from column to column, as a part, below which it is one of
the lattice, not one of a bend."""
SURE = 0.8
"""Agreement of the columns on how their long bonds lie, 1 at most, that this needs."""
FINER = 1.15
"""A symmetry of more folds is taken where it is not weaker by more than this factor."""


@dataclass(frozen=True)
class Bonds:
    """Neighbours of columns.

    Attributes
    ----------
    points : (N, 2) places (y, x).
    pairs : (B, 2) indices of neighbouring columns.
    angles : (B,) of the way from the first to the second, radians from x towards y.
    across : (L, 2) indices of columns that stand side by side, if farther off than neighbours in
        the crystal do, as on both sides of a boundary.
    """

    points: Array
    pairs: Indices
    angles: Array
    across: Indices

    @staticmethod
    def of(points: Array) -> Bonds:
        """Neighbours in Delaunay's triangulation that stand about as near as the nearest."""
        sides = sides_of(delaunay_triangles(points))
        step = points[sides[:, 1]] - points[sides[:, 0]]
        length = np.hypot(step[:, 0], step[:, 1])
        typical = median_spacing(points) if len(sides) else 0.0
        near = length <= NEIGHBOURS * typical
        if (
            len(sides)
            and np.median(np.bincount(sides[near].reshape(-1), minlength=len(points))) < 3
        ):
            # Rows that stand further apart: the next row, but not across a rectangle.
            row, next_row = typical, _shortest(sides[~near], length[~near], len(points))
            near = length <= 0.5 * (next_row + np.hypot(row, next_row))
            typical = next_row
        angles = np.arctan2(step[near, 0], step[near, 1])
        return Bonds(points, sides[near], angles, sides[length <= FACING * typical])

    def spread(self, values: NDArray[np.complex128]) -> NDArray[np.complex128]:
        """(N,) mean of the values of each column and its neighbours."""
        first, second = self.pairs.T
        total = values.copy()
        np.add.at(total, first, values[second])
        np.add.at(total, second, values[first])
        count = 1 + np.bincount(self.pairs.reshape(-1), minlength=len(values))
        return np.asarray(total / count)

    def order(self, fold: int) -> NDArray[np.complex128]:
        """(N,) bond-orientational order ψ = mean of exp(i m θ) over the bonds of each column, for m
        folds (Steinhardt, Nelson and Ronchetti, Phys. Rev. B 28, 784, 1983, in two dimensions).
        """
        # The way back has the same phase: all folds are even.
        turn = np.exp(1j * fold * self.angles)
        total = np.zeros(len(self.points), dtype=np.complex128)
        np.add.at(total, self.pairs[:, 0], turn)
        np.add.at(total, self.pairs[:, 1], turn)
        count = np.bincount(self.pairs.reshape(-1), minlength=len(self.points))
        return np.asarray(total / np.maximum(count, 1))

    def leverage(self, members: NDArray[np.bool_]) -> float:
        """Deviation of the mean turn of some columns' bonds over that of one column's turn.

        Where all columns stray alike and independently; NaN where they have no bonds. What one
        strays turns the bonds on both of its sides in opposite ways, so that the mean depends on
        the columns of the rim alone.
        """
        count = np.maximum(np.bincount(self.pairs.reshape(-1), minlength=len(self.points)), 1)
        step = self.points[self.pairs[:, 1]] - self.points[self.pairs[:, 0]]
        # By what a bond turns as its end moves.
        turn = np.stack([step[:, 1], -step[:, 0]]) / (step**2).sum(axis=1)
        share = members / count
        whole, own, square = (np.zeros((2, len(self.points))) for _ in range(3))
        for start, end, sign in ((*self.pairs.T, 1.0), (*self.pairs.T[::-1], -1.0)):
            for axis in range(2):
                moved = sign * turn[axis]
                whole[axis] += np.bincount(end, moved * (share[start] + share[end]), len(count))
                own[axis] += np.bincount(start, -moved, len(count))
                square[axis] += np.bincount(start, moved**2, len(count))
        single = ((own**2 + square).sum(axis=0) / count**2)[members].mean()
        if not single > 0:
            return float("nan")
        return float(np.sqrt((whole**2).sum() / single) / members.sum())

    def elongation(self) -> NDArray[np.complex128]:
        """(N,) sum of z² over sum of |z|² of the bonds z = x + iy around a column and two shells of
        neighbours; its angle is twice that along which bonds are long. 0 by symmetry for 4 and 6
        folds, and where all columns lack neighbours.
        """
        step = self.points[self.pairs[:, 1]] - self.points[self.pairs[:, 0]]
        along = (step[:, 1] + 1j * step[:, 0]) ** 2
        total = np.zeros(len(self.points), dtype=np.complex128)
        for end in (0, 1):
            np.add.at(total, self.pairs[:, end], along)
        size = np.bincount(
            self.pairs.reshape(-1), np.repeat(np.abs(along), 2), minlength=len(self.points)
        )
        # A column at the border lacks bonds of one side.
        whole = self.surrounded() & (size > 0)
        own = np.where(whole, total / np.where(whole, size, 1.0), 0.0)
        share = self.spread(self.spread(whole.astype(np.complex128))).real
        return np.asarray(self.spread(self.spread(own)) / np.where(share > 0, share, 1.0))

    def surrounded(self) -> NDArray[np.bool_]:
        """(N,) whether a column has as many bonds as most have, which those of a border do not."""
        count = np.bincount(self.pairs.reshape(-1), minlength=len(self.points))
        return np.asarray(count >= np.median(count)) if len(count) else count > 0

    def fold(self) -> int:
        """The symmetry that the bonds around a typical column have."""
        if len(self.points) == 0:
            return FOLDS[0]
        strength = {fold: float(np.median(np.abs(self.order(fold)))) for fold in FOLDS}
        return max(FOLDS, key=lambda fold: strength[fold] * FINER ** (fold / 2))


def _shortest(sides: Indices, length: Array, count: int) -> float:
    """Typical length of the shortest side at a column; 0 without any."""
    least = np.full(count, np.inf)
    for end in sides.T:
        np.minimum.at(least, end, length)
    least = least[np.isfinite(least)]
    return float(np.median(least)) if len(least) else 0.0


def two_folds(bonds: Bonds, fold: int, least: float = LONG) -> NDArray[np.complex128] | None:
    """(N,) exp(2iθ) of the orientation θ times the order; None where the higher symmetry holds.

    Bonds that seem to have 4 or 6 folds by their angles may differ in length, as those of
    rectangular cells and of fcc along [110]. Their phase is exact, but leaves 2 or 3 ways to lay
    the lattice; of these, the long bonds tell one.

    Parameters
    ----------
    fold : of the bonds by their angles.
    least : elongation from which on the lattice has two folds.
    """
    if fold <= 2 or not len(bonds.pairs):
        return None
    own = bonds.order(fold)
    local, long = bonds.spread(own), bonds.elongation()
    weight = np.abs(long)
    typical = float(np.median(weight))
    if not typical >= least or np.median(np.abs(weight - typical)) > EVEN * typical:
        return None
    period = 2 * np.pi / fold
    turn = np.angle(local) / fold
    # From the phase of the bonds to the long ones: ± one angle in lattices and mirrored ones, but
    # any where a distortion of the image makes bonds long.
    apart = (0.5 * np.angle(long) - turn) * fold
    apart = np.angle(np.exp(1j * apart))
    if np.abs((weight * np.exp(1j * np.abs(apart))).sum()) < SURE * weight.sum():
        return None
    middle = np.angle((weight * np.exp(1j * np.abs(apart))).sum())
    sign = 1.0 if (weight * np.sin(apart)).sum() >= 0 else -1.0
    laid = 0.5 * np.angle(long) - sign * middle / fold
    for phase in (turn, np.angle(own) / fold):
        laid = phase + period * np.round((laid - phase) / period)
    return np.asarray(np.abs(own) * np.exp(2j * laid))
