"""Columns displaced from the middle of their neighbours, and the polarization that this makes."""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd

from napari_atomseg._shared.types import Indices
from napari_atomseg.analysis.lattice.lattice import Lattice
from napari_atomseg.analysis.lattice.sites import (
    PICOMETRES,
    SiteIndex,
    assigned,
    checked_sublattices,
)
from napari_atomseg.analysis.lattice.spacings import seen_angle

MOST = 12
"""Neighbours among which the end of the first shell is sought."""
ELEMENTARY_CHARGE = 1602.176634
"""µC/cm² of a dipole of 1 e Å in each Å³."""


def displacements(
    columns: pd.DataFrame,
    lattice: Lattice,
    sublattice: int,
    neighbours: int | tuple[int, ...] | None = None,
    coordination: int | None = None,
) -> pd.DataFrame:
    """Displacement of each column of a sublattice from the centre of its neighbours.

    As of Ti in the cage of four Pb columns. The neighbours are those of the lattice's sites, so
    that large displacements do not change them; a column that lacks one is left out.

    Parameters
    ----------
    columns : table with `y` and `x` (px); sites are found where it has none, see `assign`.
    lattice : lattice of the columns.
    sublattice : whose columns are displaced.
    neighbours : sublattices of the neighbours; None takes all others, or itself if there is none.
    coordination : neighbours of a column; None takes the first shell, which ends where the next
        distance is larger by the largest factor.

    Returns
    -------
    A row a column: ``i``, ``j``, ``sublattice``, ``y``, ``x``; ``centre_y``, ``centre_x`` of the
    neighbours; ``dy``, ``dx``, ``length`` of the displacement (px) and ``angle_deg`` (from the x
    axis, counter-clockwise as seen); ``dy_err``, ``dx_err`` propagated from the errors of positions
    (NaN without); ``column``, the row number; and where the lattice knows its sampling, ``dy_pm``,
    ``dx_pm``, ``length_pm``, ``dy_err_pm``, ``dx_err_pm``.

    Raises
    ------
    ValueError
        There is no such sublattice, or `coordination` is not 1 or more.
    """
    (kind,) = checked_sublattices(sublattice, lattice, "sublattice")[:1]
    others = tuple(k for k in range(len(lattice)) if k != kind) or (kind,)
    if neighbours is not None:
        others = checked_sublattices(neighbours, lattice, "neighbours")
    if coordination is not None and coordination < 1:
        raise ValueError(f"coordination={coordination!r} must be 1 or more")
    sites = SiteIndex(assigned(columns, lattice))
    rows = sites.of((kind,))
    steps, kinds = shell(lattice, kind, others, coordination)
    found = np.stack(
        [sites.rows(sites.cells[rows] + s, k) for s, k in zip(steps, kinds, strict=True)]
    )
    whole = np.all(found >= 0, axis=0)
    rows, found = rows[whole], found[:, whole]
    centre = sites.points[found].mean(axis=0)
    variance = sites.errors[rows] ** 2 + (sites.errors[found] ** 2).sum(axis=0) / len(steps) ** 2
    away, error = sites.points[rows] - centre, np.sqrt(variance)
    table = pd.DataFrame(
        {
            "i": sites.cells[rows, 0],
            "j": sites.cells[rows, 1],
            "sublattice": kind,
            "y": sites.points[rows, 0],
            "x": sites.points[rows, 1],
            "centre_y": centre[:, 0],
            "centre_x": centre[:, 1],
            "dy": away[:, 0],
            "dx": away[:, 1],
            "length": np.hypot(*away.T),
            "angle_deg": seen_angle(away * lattice.scale),
            "dy_err": error[:, 0],
            "dx_err": error[:, 1],
            "column": rows,
        }
    )
    if lattice.pixel is not None:
        away, error = PICOMETRES * away * lattice.pixel, PICOMETRES * error * lattice.pixel
        table["dy_pm"], table["dx_pm"] = away.T
        table["length_pm"] = np.hypot(*away.T)
        table["dy_err_pm"], table["dx_err_pm"] = error.T
    return table


def shell(
    lattice: Lattice, sublattice: int, others: tuple[int, ...], count: int | None
) -> tuple[Indices, Indices]:
    """Cells (C, 2), from a site's own, and sublattices (C,) of its nearest neighbours."""
    cells = np.array(list(product(range(-3, 4), repeat=2)), dtype=np.int64)
    steps, kinds = np.tile(cells, (len(others), 1)), np.repeat(others, len(cells))
    offsets = lattice.sites(steps[:, 0], steps[:, 1], kinds) - lattice.sites(0, 0, sublattice)
    distance = np.hypot(*(offsets * lattice.scale).T)
    order = np.argsort(distance, kind="stable")
    order = order[distance[order] > 1e-6 * lattice.separation]
    if count is None:
        near = distance[order][: MOST + 1]
        count = int(np.argmax(near[1:] / near[:-1])) + 1
    return steps[order[:count]], kinds[order[:count]]


def polarization(displacements: pd.DataFrame, charge: float, cell_volume: float) -> pd.DataFrame:
    """Polarization of displaced ions, P = Z* e u / V, to first order in the displacement.

    Parameters
    ----------
    displacements : as `displacements` gives them, in pm.
    charge : Born effective charge Z* of the displaced ion against its neighbours, in e; or the
        slope of a calculated P(u), in these units.
    cell_volume : V, Å³ for each displaced ion.

    Returns
    -------
    The table with ``p_y``, ``p_x``, ``p`` and the errors ``p_y_err``, ``p_x_err``, µC/cm².

    Raises
    ------
    ValueError
        The displacements are not in pm, for want of a sampling, or the volume is not positive.
    """
    if not cell_volume > 0:
        raise ValueError(f"cell_volume={cell_volume!r} must be positive, Å³")
    if "dy_pm" not in displacements:
        raise ValueError("displacements lack 'dy_pm': the lattice knew no sampling")
    factor = ELEMENTARY_CHARGE * charge / cell_volume / PICOMETRES
    table = displacements.copy()
    table["p_y"], table["p_x"] = factor * table["dy_pm"], factor * table["dx_pm"]
    table["p"] = np.hypot(table["p_y"], table["p_x"])
    table["p_y_err"] = abs(factor) * table["dy_err_pm"]
    table["p_x_err"] = abs(factor) * table["dx_err_pm"]
    return table
