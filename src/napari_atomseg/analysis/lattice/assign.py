"""Which site of a lattice each column stands on, and how far from it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from napari_atomseg._shared.types import Array, Indices
from napari_atomseg.analysis.lattice.lattice import Lattice
from napari_atomseg.analysis.positions import positions_of

TOLERANCE = 0.3
"""A column belongs to a site within this part of the least distance of two sites."""
NEIGHBOURS = 8
"""A column's displacement is foretold by those of so many neighbours."""
SEEDS = 40
"""Columns about the lattice's origin that are tried at once, until some stand on sites: from more
places than one, displacements by a cell would not be told from none."""
UNASSIGNED = -1


def assign(
    columns: pd.DataFrame, lattice: Lattice, *, tolerance: float = TOLERANCE
) -> pd.DataFrame:
    """Find the site of each column.

    Columns near the lattice's origin take the nearest sites. From there on, each column is
    expected to be displaced from its site as its neighbours are, so that displacements may grow
    beyond a cell, as over a strained crystal or a drifting scan; they are unwrapped.

    Parameters
    ----------
    columns : table with `y` and `x` (px).
    lattice : lattice of the columns, or of a part of them.
    tolerance : largest distance from the place that the neighbours foretell, in units of the least
        distance of two sites; below 0.5.

    Returns
    -------
    The table with ``i``, ``j`` (cell) and ``sublattice``, ``site_y``, ``site_x`` (px), and the
    displacement from there: ``dy``, ``dx`` (px) and ``du``, ``dv`` (fractions of a and b), with
    ``dy_pm``, ``dx_pm`` where the lattice knows its sampling. Columns on no site have sublattice
    -1 and displacements NaN. A site has one column at most, the one nearest to it.

    Raises
    ------
    ValueError
        The table lacks `y` or `x`, or `tolerance` is not between 0 and 0.5.
    """
    if not 0.0 < tolerance < 0.5:
        raise ValueError(f"tolerance={tolerance!r} must lie between 0 and 0.5")
    points = positions_of(columns)
    found = follow(points, lattice, tolerance)
    table = columns.copy()
    on = found.sublattice != UNASSIGNED
    away = np.where(on[:, None], found.displacement, np.nan)
    site = points - away
    fractions = away @ np.linalg.inv(lattice.vectors)
    table["i"], table["j"] = found.cells.T
    table["sublattice"] = found.sublattice
    table["site_y"], table["site_x"] = site.T
    table["dy"], table["dx"] = away.T
    table["du"], table["dv"] = fractions.T
    if lattice.pixel is not None:
        table["dy_pm"], table["dx_pm"] = (100.0 * away * lattice.pixel).T
    return table


@dataclass(frozen=True)
class Sites:
    """Sites of N columns: cells (N, 2), sublattices (N,), or -1, and displacements (N, 2) in px."""

    cells: Indices
    sublattice: Indices
    displacement: Array

    @property
    def on(self) -> NDArray[np.bool_]:
        """(N,) whether a column stands on a site."""
        return np.asarray(self.sublattice != UNASSIGNED)


class _Walk:
    """Sites being found, from column to column."""

    def __init__(self, points: Array, lattice: Lattice, tolerance: float) -> None:
        self.points, self.lattice = points, lattice
        self.scaled = points * lattice.scale
        self.reach = tolerance * lattice.separation
        self.cells = np.zeros((len(points), 2), np.int64)
        self.sublattice = np.full(len(points), UNASSIGNED)
        self.displacement = np.zeros((len(points), 2))
        self.misfit = np.full(len(points), np.inf)
        count = min(NEIGHBOURS + 1, len(points))
        self.near = cKDTree(self.scaled).query(self.scaled, k=count)[1].reshape(-1, count)[:, 1:]

    def try_(self, which: Indices, expected: Array) -> Indices:
        """Give columns (M,) displaced about as expected (M, 2) their sites; those that fit."""
        cells, sublattice, rest = self.lattice.nearest(self.points[which] - expected)
        misfit = np.hypot(*(rest * self.lattice.scale).T)
        fits = misfit < self.reach
        chosen: Indices = which[fits]
        self.cells[chosen], self.sublattice[chosen] = cells[fits], sublattice[fits]
        self.displacement[chosen] = (expected + rest)[fits]
        self.misfit[chosen] = misfit[fits]
        return chosen

    def spread(self, front: Indices) -> None:
        """Go on from columns that have sites to all that neighbour them."""
        while len(front):
            nexts = np.unique(self.near[front])
            nexts = nexts[self.sublattice[nexts] == UNASSIGNED]
            known = self.sublattice[self.near[nexts]] != UNASSIGNED
            some = known.any(axis=1)
            nexts, known = nexts[some], known[some]
            sums = (self.displacement[self.near[nexts]] * known[:, :, None]).sum(axis=1)
            front = self.try_(nexts, sums / known.sum(axis=1)[:, None])

    def leap(self) -> Indices:
        """Reach columns that none of the others counts as a neighbour."""
        on = self.sublattice != UNASSIGNED
        left = np.flatnonzero(~on)
        if not on.any() or not len(left):
            return left[:0]
        nearest = np.flatnonzero(on)[cKDTree(self.scaled[on]).query(self.scaled[left])[1]]
        return self.try_(left, self.displacement[nearest])

    def without_doubles(self) -> None:
        """Leave each site to the column that fits it best."""
        on = np.flatnonzero(self.sublattice != UNASSIGNED)
        on = on[np.argsort(self.misfit[on], kind="stable")]
        where = np.column_stack([self.cells[on], self.sublattice[on]])
        where -= where.min(axis=0, initial=0)
        _, first = np.unique(
            np.ravel_multi_index(where.T, where.max(axis=0, initial=0) + 1), return_index=True
        )
        dropped = np.setdiff1d(on, on[first])
        self.sublattice[dropped] = UNASSIGNED
        self.cells[dropped] = 0


def follow(points: Array, lattice: Lattice, tolerance: float = TOLERANCE) -> Sites:
    """Sites of points (N, 2) in px, from neighbour to neighbour; those not finite have none."""
    finite = np.flatnonzero(np.isfinite(points).all(axis=1))
    cells = np.zeros((len(points), 2), np.int64)
    sublattice = np.full(len(points), UNASSIGNED)
    displacement = np.full((len(points), 2), np.nan)
    if len(finite):
        walk = _Walk(points[finite], lattice, tolerance)
        away = np.hypot(*((walk.points - lattice.origin) * lattice.scale).T)
        order = np.argsort(away, kind="stable")
        front = order[:0]
        for first in range(0, len(order), SEEDS):
            seeds = order[first : first + SEEDS]
            front = walk.try_(seeds, np.zeros((len(seeds), 2)))
            if len(front):
                break
        while len(front):
            walk.spread(front)
            front = walk.leap()
        walk.without_doubles()
        on = walk.sublattice != UNASSIGNED
        cells[finite], sublattice[finite] = walk.cells, walk.sublattice
        displacement[finite[on]] = walk.displacement[on]
    return Sites(cells, sublattice, displacement)
