"""Sites of a lattice that have no column."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from napari_atomseg._shared.types import Array, Sampling
from napari_atomseg.analysis.lattice.assign import assign
from napari_atomseg.analysis.lattice.find import find_lattice
from napari_atomseg.analysis.lattice.lattice import Lattice
from napari_atomseg.analysis.positions import placed

AROUND = 2.2
"""Radius, in roots of the area of a site, of the neighbours that surround a site of the crystal."""
OPENING = 150.0
"""Widest gap between those neighbours, degrees; a site with a wider one lies outside."""
FREE = 0.5
"""A column within this part of the smallest distance of two sites occupies a site."""
TORN = 0.15
"""Largest deviation of the displacements around a site, over the same distance; it is larger where
a dislocation has slipped, and there the sites are not those of one crystal."""
TELLING = 8
"""Neighbours from whose displacements that of an empty site is estimated."""


def find_vacancies(
    columns: pd.DataFrame, sampling: Sampling | None = None, lattice: Lattice | None = None
) -> pd.DataFrame:
    """Find the sites in a crystal that no column stands on.

    Where a missing column would stand follows from the displacements of the columns around, so that
    strain and drift of the scan do not matter. Sites with a gap of more than 150° between their
    neighbours lie outside of the crystal; where the crystal is torn, as in the core of a
    dislocation, there are none.

    Parameters
    ----------
    columns : table with `y` and `x` (px); of one image and grain.
    sampling : Å a pixel, one number or (dy, dx).
    lattice : lattice of the columns; found where there is none.

    Returns
    -------
    A row a vacancy: ``y``, ``x`` (px), the errors ``y_err``, ``x_err`` of the place, from how the
    displacements around differ, the site ``i``, ``j``, ``sublattice``, and with a sampling
    ``y_angstrom``, ``x_angstrom``.

    Raises
    ------
    ValueError
        An argument is wrong, or there is no lattice to be found.
    """
    points = placed(columns, None)
    lattice = find_lattice(columns, sampling) if lattice is None else lattice
    table = assign(columns, lattice)
    table = table[table["sublattice"] >= 0]
    taken = table[["i", "j", "sublattice"]].to_numpy(dtype=np.int64)
    displaced = table[["dy", "dx"]].to_numpy(dtype=np.float64)
    if len(taken) == 0:
        return _result(np.zeros((0, 3), np.int64), np.zeros((0, 2)), np.zeros((0, 2)), sampling)
    sites = _empty_sites(taken, len(lattice))
    ideal, full = lattice.sites(*sites.T), lattice.sites(*taken.T)
    scale = lattice.scale
    reach = AROUND * np.sqrt(lattice.area * scale.prod() / len(lattice))
    tree = cKDTree(full * scale)
    inside = np.array(
        [
            _gap((full[near] - place) * scale) < OPENING
            for near, place in zip(tree.query_ball_point(ideal * scale, reach), ideal, strict=True)
        ],
        dtype=bool,
    )
    sites, ideal = sites[inside], ideal[inside]
    if len(sites) == 0:
        return _result(sites, ideal, ideal, sampling)
    _, nearest = tree.query(ideal * scale, k=min(TELLING, len(full)))
    around = displaced[np.asarray(nearest).reshape(len(ideal), -1)]
    expected = ideal + around.mean(axis=1)
    apart, _ = cKDTree(points * scale).query(expected * scale)
    torn = np.hypot(*(around.std(axis=1) * scale).T) > TORN * lattice.separation
    free = (np.asarray(apart) > FREE * lattice.separation) & ~torn
    count = around.shape[1]
    # A deviation known from so few is unsure itself: that of Student's t with count - 1 degrees.
    wider = np.sqrt((count - 1) / (count - 3)) if count > 3 else np.nan
    error = wider * around.std(axis=1, ddof=1) / np.sqrt(count)
    return _result(sites[free], expected[free], error[free], sampling)


def _empty_sites(taken: Array, sublattices: int) -> Array:
    """(M, 3) sites (i, j, k) without a column in the cells that have one, and in those beside."""
    beside = np.array([(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)])
    cells = np.unique((taken[:, None, :2] + beside).reshape(-1, 2), axis=0)
    every = np.column_stack(
        [
            np.repeat(cells, sublattices, axis=0),
            np.tile(np.arange(sublattices), len(cells)),
        ]
    )
    low = every.min(axis=0)
    span = np.ptp(every, axis=0) + 1
    keys = np.ravel_multi_index((every - low).T, span)
    held = np.ravel_multi_index((taken - low).T, span)
    return np.asarray(every[~np.isin(keys, held)])


def _gap(ways: Array) -> float:
    """Degrees of the widest gap between directions (M, 2)."""
    if len(ways) < 3:
        return 360.0
    turns = np.sort(np.degrees(np.arctan2(ways[:, 0], ways[:, 1])))
    return float(np.diff(turns, append=turns[0] + 360.0).max())


def _result(sites: Array, places: Array, error: Array, sampling: Sampling | None) -> pd.DataFrame:
    found = pd.DataFrame(
        {
            "y": places[:, 0],
            "x": places[:, 1],
            "y_err": error[:, 0],
            "x_err": error[:, 1],
            "i": sites[:, 0],
            "j": sites[:, 1],
            "sublattice": sites[:, 2],
        }
    )
    if sampling is not None:
        found[["y_angstrom", "x_angstrom"]] = placed(found, sampling)
    return found
