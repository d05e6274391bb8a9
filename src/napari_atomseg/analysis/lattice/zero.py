"""The zero of strain where sublattices move against each other, as across a polar wall."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from napari_atomseg._shared.types import Array, Indices, Mask
from napari_atomseg.analysis.lattice.lattice import Lattice
from napari_atomseg.analysis.lattice.sites import SiteIndex, assigned
from napari_atomseg.analysis.lattice.strain import strain, turned

DISAGREE = 5.0
"""Standard errors by which the vectors of sublattices differ where one moves against another..."""
LEAST = 1e-3
"""...and by this part of their lengths, at least, which bent rows hardly reach."""
FEWEST = 12
"""Columns of a sublattice that show its vectors."""


def unsheared(columns: pd.DataFrame, lattice: Lattice, among: Mask | None = None) -> Lattice:
    """The lattice without what a move of one sublattice against another does to its vectors.

    A lattice that is fitted to all columns is sheared by a wall where one sublattice jumps. The
    vectors of the sublattices, each on its own, differ then; only then, the median of the maps
    about the columns, in which every sublattice has a shift of its own, takes the place of the fit.

    Parameters
    ----------
    columns : table with `y` and `x` (px); sites are found where it has none, see `assign`.
    lattice : fitted to the columns, or to some of them.
    among : (N,) those; None for all.
    """
    table = assigned(columns, lattice)
    some = table if among is None else table[among].reset_index(drop=True)
    sites = SiteIndex(some)
    on = sites.on
    fits = [
        _vectors(sites.points[on][own], sites.cells[on][own])
        for k in range(len(lattice))
        if (own := sites.sublattice[on] == k).sum() >= FEWEST
    ]
    if len(fits) < 2 or not _disagree(fits, lattice):
        return lattice
    maps = strain(some, lattice)
    maps = maps[np.isfinite(maps["eps_xx"])]
    if len(maps) < FEWEST:
        return lattice
    xx, yy, xy = (maps[name].to_numpy() for name in ("eps_xx", "eps_yy", "eps_xy"))
    stretch = np.stack(
        [np.stack([1.0 + yy, -xy], axis=-1), np.stack([-xy, 1.0 + xx], axis=-1)], axis=-2
    )
    gradient = turned(np.radians(maps["rotation_deg"].to_numpy())) @ stretch
    usual = np.median(gradient, axis=0)
    return replace(lattice, vectors=lattice.vectors * lattice.scale @ usual.T / lattice.scale)


def _vectors(points: Array, cells: Indices) -> tuple[Array, Array]:
    """Vectors (2, 2) of one sublattice by least squares, px, and their standard errors."""
    design = np.column_stack([np.ones(len(points)), cells]).astype(np.float64)
    normal = design.T @ design
    if np.linalg.matrix_rank(normal) < 3:
        return np.full((2, 2), np.nan), np.full((2, 2), np.nan)
    inverse = np.linalg.inv(normal)
    solution = inverse @ (design.T @ points)
    variance = ((points - design @ solution) ** 2).sum(axis=0) / (len(points) - 3)
    return solution[1:], np.sqrt(np.diag(inverse)[1:, None] * variance)


def _disagree(fits: list[tuple[Array, Array]], lattice: Lattice) -> bool:
    """Whether the vectors of any sublattice are clearly others than those of the first."""
    vectors, errors = fits[0]
    length = float(np.sqrt(lattice.area))
    for other, error in fits[1:]:
        away, bound = np.abs(other - vectors), np.hypot(error, errors)
        if np.any((away > DISAGREE * bound) & (away > LEAST * length)):
            return True
    return False
