"""The lattice of a crystal, found from its columns alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_atomseg._shared.types import Array, Indices, Sampling
from napari_atomseg._shared.units import pixel_scale
from napari_atomseg.analysis.lattice.assign import TOLERANCE, Sites, follow
from napari_atomseg.analysis.lattice.lattice import Lattice
from napari_atomseg.analysis.lattice.motif import primitive_cell
from napari_atomseg.analysis.lattice.order import enlarged, ordered
from napari_atomseg.analysis.lattice.sites import intensity_of
from napari_atomseg.analysis.lattice.species import species_of_means
from napari_atomseg.analysis.lattice.vectors import (
    NO_LATTICE,
    conventional,
    primitive_vectors,
    usual_steps,
)
from napari_atomseg.analysis.positions import Positions, measured, positions_of

FAR = 5.0
"""Columns that stray further than so many typical distances are left out."""


def fitted(
    lattice: Lattice,
    points: Array,
    sites: Sites,
    intensity: Array | None = None,
    *,
    numbered: bool = True,
) -> Lattice:
    """Least squares of vectors and of each sublattice's origin.

    The place of a column of sublattice k in cell (i, j) is o_k + i a + j b, linear in the K + 2
    unknown vectors. Their covariance is that of linear least squares with one variance of the
    residuals along y and one along x.

    Parameters
    ----------
    points : (N, 2) px.
    sites : sites of the points.
    intensity : (N,), by which sublattices are numbered.
    numbered : whether sublattices are numbered anew, and those without columns left out. Otherwise
        they stay as they are; one without columns keeps its place beside the others.

    Raises
    ------
    ValueError
        Fewer than three columns, or those of a single row, are on sites.
    """
    on = _trusted(sites, lattice.scale)
    points, cells, kinds = points[on], sites.cells[on], sites.sublattice[on]
    bright = None if intensity is None else intensity[on]
    present = np.asarray(np.flatnonzero(np.bincount(kinds, minlength=len(lattice))), np.int64)
    design = np.concatenate([kinds[:, None] == present, cells], axis=1).astype(np.float64)
    unknown = design.shape[1]
    if len(points) < 3 or np.linalg.matrix_rank(design.T @ design) < unknown:
        raise ValueError(
            f"{len(points)} columns on sites of a cell of {len(lattice)} are too few, "
            "or stand on too few rows, to settle its vectors; give the number of columns in a "
            "cell, or a larger part of the image"
        )
    inverse = np.linalg.inv(design.T @ design)
    solution = inverse @ (design.T @ points)
    rest = points - design @ solution
    spare = len(points) - unknown
    variance = (rest**2).sum(axis=0) / spare if spare > 0 else np.full(2, np.nan)
    offsets, vectors = solution[:-2], solution[-2:]
    means = _means(bright, kinds, present)
    if numbered:
        order = _numbering(offsets, vectors, kinds, present, bright)
    else:
        order = np.arange(len(present))
    first = order[0]
    middle = np.round((np.median(points, axis=0) - offsets[first]) @ np.linalg.inv(vectors))
    at = np.zeros(unknown)
    at[first], at[-2:] = 1.0, middle
    apart = np.eye(unknown)[order] - np.eye(unknown)[first]
    spread = np.einsum("ki,ij,kj->k", apart, inverse, apart)[:, None] * variance
    turn = np.linalg.inv(vectors)
    motif = (offsets[order] - offsets[first]) @ turn
    counts = np.bincount(kinds, minlength=len(lattice))[present][order]
    if not numbered and len(present) < len(lattice):
        return _with_absent(lattice, present, at @ solution, vectors, motif, means, rest)
    return replace(
        lattice,
        origin=at @ solution,
        vectors=vectors,
        motif=motif - np.floor(motif + 1e-9),
        origin_err=np.sqrt(at @ inverse @ at * variance),
        vectors_err=np.sqrt(np.diag(inverse)[-2:, None] * variance),
        motif_err=np.sqrt(spread @ turn**2),
        rms=float(np.sqrt((rest**2).sum(axis=1).mean())),
        intensity=means[order],
        occupancy=counts / counts.max(),
    )


def _with_absent(
    lattice: Lattice,
    present: Indices,
    origin: Array,
    vectors: Array,
    motif: Array,
    means: Array,
    rest: Array,
) -> Lattice:
    """The lattice with the fitted sites of some sublattices; the others move as these do."""
    moved = motif - (lattice.motif[present] - lattice.motif[present[0]])
    shift = (moved - np.round(moved)).mean(axis=0)
    places = lattice.motif - lattice.motif[present[0]] + shift
    places[present] = motif
    bright = np.full(len(lattice), np.nan)
    bright[present] = means
    there = np.zeros(len(lattice))
    there[present] = 1.0
    # The first sublattice need not be there, but the origin is one of its sites.
    start = places[0].copy()
    return Lattice(
        origin + start @ vectors,
        vectors,
        (places - start) % 1.0,
        lattice.pixel,
        rms=float(np.sqrt((rest**2).sum(axis=1).mean())),
        intensity=bright,
        occupancy=there,
    )


def _trusted(sites: Sites, scale: Array) -> NDArray[np.bool_]:
    """(N,) columns on sites that do not stray far more than the others of their sublattice do."""
    on = sites.on.copy()
    for k in np.unique(sites.sublattice[on]):
        members = np.flatnonzero(sites.sublattice == k)
        away = sites.displacement[members] * scale
        distance = np.hypot(*(away - np.median(away, axis=0)).T)
        on[members] = distance <= FAR * max(float(np.median(distance)), 1e-9)
    return on


def _means(intensity: Array | None, kinds: Indices, present: Indices) -> Array:
    """(K,) median intensity of each sublattice, NaN where none of its columns has one."""
    means = np.full(len(present), np.nan)
    if intensity is not None:
        known = np.isfinite(intensity)
        for place, k in enumerate(present):
            some = intensity[known & (kinds == k)]
            means[place] = np.median(some) if len(some) else np.nan
    return means


def _numbering(
    offsets: Array, vectors: Array, kinds: Indices, present: Indices, intensity: Array | None
) -> Indices:
    """Order of sublattices: brightest species first, then by place along b and a. Those of which
    no intensity is known are last.
    """
    species = np.zeros(len(present), np.int64)
    if intensity is not None:
        known = np.isfinite(intensity)
        groups = [intensity[known & (kinds == k)] for k in present]
        seen = np.array([len(group) > 0 for group in groups])
        if seen.any():
            species[seen] = species_of_means([group for group in groups if len(group)])
            species[~seen] = species[seen].max() + 1
    members = np.flatnonzero(species == species.min())
    fractions = offsets @ np.linalg.inv(vectors)
    away = fractions - fractions[members[0]]
    away -= np.floor(away + 0.02)
    return np.asarray(np.lexsort((away[:, 0].round(3), away[:, 1].round(3), species)), np.int64)


FEWEST = 20
"""A cell with a site or two can be laid on fewer columns by chance."""
CORE = 120
"""The cell is found from so many columns in the middle; all refine it."""
ORDERED = 3000
"""Order is sought among so many columns in the middle."""
LEAST = 0.2
"""Fewer of the columns on sites are no lattice."""
FEW, MOST = 50, 0.8
"""Of fewer columns, this part must be on sites."""
KEPT = 0.8
"""A larger cell must keep this part of the columns on its sites."""
CELLS = ("conventional", "primitive")


def find_lattice(
    columns: Positions,
    sampling: Sampling | None = None,
    *,
    cell: str = "conventional",
    intensity: str | None = None,
    sublattices: int | None = None,
) -> Lattice:
    """Find the translations of a crystal and the sites of its cell.

    The vectors between neighbouring columns pile up at the translations of the lattice; the
    shortest two that all columns share span a cell, and columns folded into it pile up at its
    sites. Columns are then followed to their sites over the whole image, and origin, vectors and
    sites are fitted to all of them by least squares. Where intensities, or small displacements,
    alternate from cell to cell, the cell is made as large as their period (up to four times, more
    than once if need be), also where intensities change from layer to layer.

    Parameters
    ----------
    columns : table with `y` and `x` (px), or (N, 2); of one image. Those not finite are left out,
        and those without `y_err` and `x_err` where most have them, as they were not measured.
    sampling : Å a pixel, one number or (dy, dx), or None.
    cell : "conventional" (rectangular where the lattice is a centred rectangular one, as of
        Si [110]; 120° where it is hexagonal; otherwise the shortest vectors, a not longer than b)
        or "primitive".
    intensity : column that distinguishes species; None takes `volume`, `amplitude` or `intensity`,
        whichever there is.
    sublattices : columns of a cell, where this is known; None finds their number.

    Returns
    -------
    Lattice with its origin in the middle of the columns. Sublattices are numbered from the
    brightest species down. Of several grains, the largest is found.

    Raises
    ------
    ValueError
        An argument is wrong, there are fewer than twenty columns, they lie on one line, they show
        no lattice, or none with such a cell; the message names the reason.
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
    known = measured(columns, FEWEST)
    points = points[known]
    weights = None if weights is None else weights[known]
    if len(points) < FEWEST:
        raise ValueError(
            f"a lattice is found from at least {FEWEST} columns, not from {len(points)}: fewer may "
            "fit one by chance"
        )
    if sublattices is not None and sublattices < 1:
        raise ValueError(f"sublattices={sublattices!r} must be 1 or more")
    pixel = None if sampling is None else pixel_scale(sampling)
    lattice = _start(points, pixel)
    away = np.hypot(*((points - lattice.origin) * lattice.scale).T)
    core = np.argsort(away, kind="stable")[:CORE]
    try:
        lattice, _ = _refined(lattice, points[core], None if weights is None else weights[core])
    except ValueError as error:
        raise ValueError(NO_LATTICE) from error
    sites = follow(points, lattice)
    if int(sites.on.sum()) < max(
        2 * len(lattice), LEAST * len(points), _by_chance(lattice, points)
    ):
        raise ValueError(NO_LATTICE)
    some = np.sort(np.argsort(away, kind="stable")[:ORDERED])
    light = None if weights is None else weights[some]
    if sublattices is None:
        lattice = _in_order(lattice, points[some], light)
    else:
        lattice = enlarged(lattice, points[some], follow(points[some], lattice), light, sublattices)
    steps = usual_steps(points[core] * lattice.scale, lattice.vectors * lattice.scale)
    matrix = conventional(steps)
    larger = round(abs(float(np.linalg.det(matrix)))) > 1
    if cell == "conventional" and not (larger and sublattices is not None):
        lattice = lattice.with_cell(matrix)
    for _ in range(2):
        sites = follow(points, lattice)
        lattice = fitted(lattice, points, sites, weights)
    return lattice


def _by_chance(lattice: Lattice, points: Array) -> float:
    """Columns that hardly stand on sites by chance: those that the share of the area that is near
    sites would have, and four deviations more.
    """
    near = np.pi * (TOLERANCE * lattice.separation) ** 2 * len(lattice)
    share = min(near / (lattice.area * lattice.scale.prod()), 0.9)
    if len(points) < FEW:
        return MOST * len(points)
    return float(len(points) * share + 4.0 * np.sqrt(len(points) * share * (1.0 - share)))


def _in_order(lattice: Lattice, points: Array, intensity: Array | None) -> Lattice:
    """The lattice in the cell after which intensities and small displacements repeat, too."""
    sites = follow(points, lattice)
    while True:
        larger = ordered(lattice, points, sites, intensity)
        if len(larger) == len(lattice):
            return lattice
        try:
            larger, followed = _refined(larger, points, intensity)
        except ValueError:
            # Too few columns to fit so many sites.
            return lattice
        if followed.on.sum() < KEPT * sites.on.sum():
            return lattice
        lattice, sites = larger, followed


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
