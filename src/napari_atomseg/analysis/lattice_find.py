"""The lattice of a crystal, found from its columns alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from napari_atomseg.analysis.lattice import Lattice
from napari_atomseg.analysis.lattice_assign import Sites, follow
from napari_atomseg.analysis.lattice_fit import fitted
from napari_atomseg.analysis.lattice_motif import primitive_cell
from napari_atomseg.analysis.lattice_order import ordered
from napari_atomseg.analysis.lattice_sites import intensity_of
from napari_atomseg.analysis.lattice_vectors import NO_LATTICE, conventional, primitive_vectors
from napari_atomseg.analysis.positions import Array, Positions, Sampling, positions_of, unit_of

FEWEST = 4
"""Three columns make a cell of any kind; a fourth can tell."""
CORE = 120
"""The cell is found from so many columns in the middle; all refine it."""
LEAST = 0.2
"""Fewer of the columns on sites are no lattice."""
CELLS = ("conventional", "primitive")


def find_lattice(
    columns: Positions,
    sampling: Sampling | None = None,
    *,
    cell: str = "conventional",
    intensity: str | None = None,
) -> Lattice:
    """Find the translations of a crystal and the sites of its cell.

    The vectors between neighbouring columns pile up at the translations of the lattice; the
    shortest two that all columns share span a cell, and columns folded into it pile up at its
    sites. Columns are then followed to their sites over the whole image, and origin, vectors and
    sites are fitted to all of them by least squares. Where intensities, or small displacements,
    alternate from cell to cell, the cell is made as large as their period (up to four times, more
    than once if need be).

    Parameters
    ----------
    columns : table with `y` and `x` (px), or (N, 2); of one image. Those not finite are left out.
    sampling : Å a pixel, one number or (dy, dx), or None.
    cell : "conventional" (rectangular where the lattice is a centred rectangular one, as of
        Si [110]; 120° where it is hexagonal; otherwise the shortest vectors, a not longer than b)
        or "primitive".
    intensity : column that tells species apart; None takes `volume`, `amplitude` or `intensity`,
        whichever there is.

    Returns
    -------
    Lattice with its origin in the middle of the columns. Sublattices are numbered from the
    brightest species down. Of several grains, the largest is found.

    Raises
    ------
    ValueError
        An argument is wrong, there are fewer than four columns, they lie on one line, or they
        show no lattice; the message says which.
    """
    if cell not in CELLS:
        raise ValueError(f"cell={cell!r}; choose one of {', '.join(CELLS)}")
    points = positions_of(columns)
    weights = intensity_of(columns, intensity) if isinstance(columns, pd.DataFrame) else None
    if isinstance(columns, pd.DataFrame) and "frame" in columns and columns["frame"].nunique() > 1:
        raise ValueError(
            f"columns are of {columns['frame'].nunique()} frames; give those of one, as "
            "columns[columns.frame == 0]"
        )
    finite = np.isfinite(points).all(axis=1)
    points = points[finite]
    weights = None if weights is None else weights[finite]
    if len(points) < FEWEST:
        raise ValueError(
            f"a lattice is found from at least {FEWEST} columns, not from {len(points)}"
        )
    pixel = None if sampling is None else unit_of(sampling)
    lattice = _start(points, pixel)
    away = np.hypot(*((points - lattice.origin) * lattice.scale).T)
    core = np.argsort(away, kind="stable")[:CORE]
    lattice = _cell_of(lattice, points[core], None if weights is None else weights[core], cell)
    sites = follow(points, lattice)
    if int(sites.on.sum()) < max(FEWEST, 2 * len(lattice), LEAST * len(points)):
        raise ValueError(NO_LATTICE)
    return fitted(lattice, points, sites, weights)


def _cell_of(lattice: Lattice, points: Array, intensity: Array | None, cell: str) -> Lattice:
    """The lattice in the cell that was asked for, fitted to points (N, 2) px."""
    lattice, sites = _refined(lattice, points, intensity)
    while True:
        larger = ordered(lattice, points, sites, intensity)
        if len(larger) == len(lattice):
            break
        lattice, sites = _refined(larger, points, intensity)
    if cell == "conventional":
        lattice = lattice.with_cell(conventional(lattice.vectors * lattice.scale))
        lattice, _ = _refined(lattice, points, intensity)
    return lattice


def _refined(lattice: Lattice, points: Array, intensity: Array | None) -> tuple[Lattice, Sites]:
    """The lattice fitted to points (N, 2) px that follow it, and their sites in it."""
    for _ in range(2):
        lattice = fitted(lattice, points, follow(points, lattice), intensity)
    return lattice, follow(points, lattice)


def _start(points: Array, pixel: Array | None) -> Lattice:
    scale = np.ones(2) if pixel is None else pixel
    vectors, among = primitive_vectors(points * scale)
    if not among.any():
        among[:] = True
    origin, vectors, motif = primitive_cell(points * scale, vectors, among)
    return replace(Lattice(origin / scale, vectors / scale, motif), pixel=pixel)
