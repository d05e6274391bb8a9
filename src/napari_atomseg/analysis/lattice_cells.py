"""Unit cells as polygons between measured columns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from napari_atomseg.analysis.lattice import Lattice
from napari_atomseg.analysis.lattice_sites import SiteIndex, assigned, checked_sublattices
from napari_atomseg.analysis.positions import Array

CORNERS = np.array([[0, 0], [1, 0], [1, 1], [0, 1]])
"""Cells of a polygon's corners, going around."""


@dataclass(frozen=True)
class UnitCells:
    """Unit cells whose four corners are columns.

    Attributes
    ----------
    corners : (M, 4, 2) places (y, x) in px, going around: at 0, a, a + b and b.
    table : a row a cell: ``i``, ``j``; ``y``, ``x`` of the middle (px); ``a``, ``b`` (px, means of
        opposite sides), ``angle_deg`` between them, ``area`` (px²); and where the lattice knows
        its sampling, ``a_angstrom``, ``b_angstrom``, ``area_angstrom2``.
    """

    corners: Array
    table: pd.DataFrame

    def __len__(self) -> int:
        """Number of cells."""
        return len(self.corners)


def unit_cells(columns: pd.DataFrame, lattice: Lattice, sublattice: int = 0) -> UnitCells:
    """The cells that four columns of a sublattice bound.

    Parameters
    ----------
    columns : table with `y` and `x` (px); sites are found where it has none, see `assign`.
    lattice : of the columns.
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
    corners = np.moveaxis(sites.points[found[:, whole]], 0, 1)
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
            "angle_deg": _angle(a * lattice.scale, b * lattice.scale),
            "area": np.abs(_cross(a, b)),
        }
    )
    if lattice.pixel is not None:
        a, b = a * lattice.pixel, b * lattice.pixel
        table["a_angstrom"], table["b_angstrom"] = np.hypot(*a.T), np.hypot(*b.T)
        table["area_angstrom2"] = np.abs(_cross(a, b))
    return UnitCells(corners, table)


def _sides(corners: Array) -> tuple[Array, Array]:
    """Mean vectors a and b (M, 2); their cross product is the polygon's area."""
    a = 0.5 * (corners[:, 1] - corners[:, 0] + corners[:, 2] - corners[:, 3])
    b = 0.5 * (corners[:, 3] - corners[:, 0] + corners[:, 2] - corners[:, 1])
    return a, b


def _cross(a: Array, b: Array) -> Array:
    return np.asarray(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0])


def _angle(a: Array, b: Array) -> Array:
    return np.asarray(np.degrees(np.arctan2(np.abs(_cross(a, b)), (a * b).sum(axis=1))))
