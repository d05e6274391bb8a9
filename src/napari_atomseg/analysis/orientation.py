"""Which way a crystal is turned around each of its columns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_atomseg.analysis.positions import Array, Indices
from napari_atomseg.analysis.triangles import delaunay_triangles, sides_of

FOLDS = (6, 4, 2)
"""Symmetries of the bonds around a column that are looked for."""
NEIGHBOURS = 1.35
"""Distances of the nearest column within which columns count as neighbours."""
FACING = 2.5
"""Such distances, within which columns of two grains face each other."""
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
        nearest = np.full(len(points), np.inf)
        np.minimum.at(nearest, sides.reshape(-1), np.repeat(length, 2))
        typical = float(np.median(nearest[np.isfinite(nearest)])) if len(sides) else 0.0
        near = length <= NEIGHBOURS * typical
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
