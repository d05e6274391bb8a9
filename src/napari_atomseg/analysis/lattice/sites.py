"""Columns looked up by the sites that they stand on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from napari_atomseg._shared.types import Array, Indices
from napari_atomseg.analysis.lattice.assign import UNASSIGNED, assign
from napari_atomseg.analysis.lattice.lattice import Lattice
from napari_atomseg.analysis.positions import positions_of

SITE = ("i", "j", "sublattice")
KNOWN = 0.3
"""Intensities tell nothing of a crystal where fewer columns than this share have one."""
PICOMETRES = 100.0
"""In an Å."""


def assigned(columns: pd.DataFrame, lattice: Lattice) -> pd.DataFrame:
    """The columns with their sites: as they are in the table, by hand or by `assign`, or found."""
    return columns if set(SITE) <= set(columns) else assign(columns, lattice)


def errors_of(columns: pd.DataFrame) -> Array:
    """(N, 2) standard errors (y, x) of positions in px; NaN where the table has none."""
    if {"y_err", "x_err"} <= set(columns):
        return columns[["y_err", "x_err"]].to_numpy(dtype=np.float64)
    return np.full((len(columns), 2), np.nan)


def intensity_of(columns: pd.DataFrame, name: str | None) -> Array | None:
    """(N,) intensities that distinguish species: the column `name`, or the first usual one.

    Raises
    ------
    ValueError
        There is no column of the name.
    """
    if name is not None:
        if name not in columns:
            raise ValueError(f"intensity={name!r} is no column; choose of {list(columns.columns)}")
        return columns[name].to_numpy(dtype=np.float64)
    for usual in ("volume", "amplitude", "intensity"):
        if usual in columns:
            values = columns[usual].to_numpy(dtype=np.float64)
            if np.isfinite(values).mean() >= KNOWN:
                return values
    return None


def checked_sublattices(
    which: int | tuple[int, ...], lattice: Lattice, name: str
) -> tuple[int, ...]:
    """Sublattices of a lattice.

    Raises
    ------
    ValueError
        The lattice has none of that number.
    """
    chosen = tuple(int(k) for k in np.atleast_1d(which))
    if not chosen or any(not 0 <= k < len(lattice) for k in chosen):
        raise ValueError(f"{name}={which!r}; the lattice has sublattices 0 to {len(lattice) - 1}")
    return chosen


class SiteIndex:
    """Rows of a table of columns that has their sites.

    Attributes
    ----------
    points, errors : (N, 2) positions and their standard errors (y, x), px.
    cells, sublattice : (N, 2) and (N,) sites.
    on : rows of columns that stand on sites.
    """

    def __init__(self, table: pd.DataFrame) -> None:
        self.points, self.errors = positions_of(table), errors_of(table)
        self.cells = table[["i", "j"]].to_numpy(dtype=np.int64)
        self.sublattice = table["sublattice"].to_numpy(dtype=np.int64)
        self.on: Indices = np.flatnonzero(self.sublattice != UNASSIGNED)
        where = np.column_stack([self.cells, self.sublattice])[self.on]
        self._low = where.min(axis=0) if len(where) else np.zeros(3, np.int64)
        self._size = (where.max(axis=0) if len(where) else self._low) - self._low + 1
        keys = self._keys(where)
        order = np.argsort(keys, kind="stable")
        self._sorted, self._rows = keys[order], self.on[order]

    def of(self, sublattices: tuple[int, ...]) -> Indices:
        """Rows of the columns of some sublattices."""
        return np.flatnonzero(np.isin(self.sublattice, sublattices))

    def rows(self, cells: Indices, sublattice: ArrayLike) -> Indices:
        """(M,) rows of the columns on sites in cells (M, 2); -1 where there is none."""
        kind = np.broadcast_to(np.asarray(sublattice, dtype=np.int64), len(cells))
        where = np.column_stack([cells, kind])
        inside = np.all((where >= self._low) & (where < self._low + self._size), axis=1)
        if len(self._sorted) == 0:
            return np.full(len(cells), -1, dtype=np.int64)
        keys = self._keys(where)
        at = np.minimum(np.searchsorted(self._sorted, keys), len(self._sorted) - 1)
        found = inside & (self._sorted[at] == keys)
        return np.asarray(np.where(found, self._rows[at], -1), dtype=np.int64)

    def _keys(self, where: Indices) -> Indices:
        a, b, c = (where - self._low).T
        return np.asarray((a * self._size[1] + b) * self._size[2] + c, dtype=np.int64)


CORNERS = np.array([[0, 0], [1, 0], [1, 1], [0, 1]])
"""Cells of a polygon's corners, going around."""
SIDES = {"a": np.array([-1.0, 1.0, 1.0, -1.0]), "b": np.array([-1.0, -1.0, 1.0, 1.0])}
"""Signs of the corners in the sum of the two sides along a and along b."""


@dataclass(frozen=True)
class UnitCells:
    """Unit cells whose four corners are columns.

    Attributes
    ----------
    corners : (M, 4, 2) places (y, x) in px, going around: at 0, a, a + b and b.
    table : a row a cell: ``i``, ``j``; ``y``, ``x`` of the middle (px); ``a``, ``b`` (px, means of
        opposite sides) with ``a_err``, ``b_err`` by the errors of the positions (NaN without),
        ``angle_deg`` between them, ``area`` (px²); and where the lattice knows its sampling,
        ``a_angstrom``, ``b_angstrom``, their errors ``a_err_angstrom``, ``b_err_angstrom``, and
        ``area_angstrom2``.
    rows : (M, 4) row numbers of the columns at the corners.
    """

    corners: Array
    table: pd.DataFrame
    rows: Indices

    def __len__(self) -> int:
        """Number of cells."""
        return len(self.corners)

    def mean_errors(self) -> tuple[float, float]:
        """Standard errors of the means of a and of b, over these means.

        From the scatter of the cells, of columns that stray independently of each other: a column
        makes the cell on its one side longer by what it makes the other shorter, so that the mean
        hangs on the columns at the border alone, as of `spacing_precision`. NaN of a single cell.
        """
        if len(self) < 2:
            return float("nan"), float("nan")
        errors = []
        for name, signs in SIDES.items():
            net = np.bincount(self.rows.ravel(), np.tile(0.5 * signs, len(self))) / len(self)
            # One side of a cell is the mean of two, and scatters as much as one column does.
            length = self.table[name].to_numpy()
            errors.append(float(length.std(ddof=1) / length.mean() * np.sqrt((net**2).sum())))
        return errors[0], errors[1]


def unit_cells(columns: pd.DataFrame, lattice: Lattice, sublattice: int = 0) -> UnitCells:
    """The cells that four columns of a sublattice bound.

    Parameters
    ----------
    columns : table with `y` and `x` (px); sites are found where it has none, see `assign`.
    lattice : lattice of the columns.
    sublattice : whose columns are the corners.

    Raises
    ------
    ValueError
        There is no such sublattice.
    """
    (kind,) = checked_sublattices(sublattice, lattice, "sublattice")[:1]
    sites = SiteIndex(assigned(columns, lattice))
    first = sites.of((kind,))
    found = np.stack([sites.rows(sites.cells[first] + step, kind) for step in CORNERS])
    whole = np.all(found >= 0, axis=0)
    found = found[:, whole]
    corners = np.moveaxis(sites.points[found], 0, 1)
    variance = 0.25 * (sites.errors[found] ** 2).sum(axis=0)
    a, b = _sides(corners)
    middle = corners.mean(axis=1)
    table = pd.DataFrame(
        {
            "i": sites.cells[first[whole], 0],
            "j": sites.cells[first[whole], 1],
            "y": middle[:, 0],
            "x": middle[:, 1],
            "a": np.hypot(*a.T),
            "b": np.hypot(*b.T),
            "a_err": _length_error(a, variance),
            "b_err": _length_error(b, variance),
            "angle_deg": _angle(a * lattice.scale, b * lattice.scale),
            "area": np.abs(_cross(a, b)),
        }
    )
    if lattice.pixel is not None:
        a, b = a * lattice.pixel, b * lattice.pixel
        table["a_angstrom"], table["b_angstrom"] = np.hypot(*a.T), np.hypot(*b.T)
        variance = variance * lattice.pixel**2
        table["a_err_angstrom"] = _length_error(a, variance)
        table["b_err_angstrom"] = _length_error(b, variance)
        table["area_angstrom2"] = np.abs(_cross(a, b))
    return UnitCells(corners, table, found.T)


def _length_error(vectors: Array, variance: Array) -> Array:
    """(M,) errors of the lengths of vectors (M, 2) whose ends have variances (M, 2)."""
    return np.asarray(np.sqrt((vectors**2 * variance).sum(axis=1)) / np.hypot(*vectors.T))


def _sides(corners: Array) -> tuple[Array, Array]:
    """Mean vectors a and b (M, 2); their cross product is the polygon's area."""
    a = 0.5 * (corners[:, 1] - corners[:, 0] + corners[:, 2] - corners[:, 3])
    b = 0.5 * (corners[:, 3] - corners[:, 0] + corners[:, 2] - corners[:, 1])
    return a, b


def _cross(a: Array, b: Array) -> Array:
    return np.asarray(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0])


def _angle(a: Array, b: Array) -> Array:
    return np.asarray(np.degrees(np.arctan2(np.abs(_cross(a, b)), (a * b).sum(axis=1))))
