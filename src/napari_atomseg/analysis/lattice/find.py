"""The lattice of a crystal, found from its columns alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.stats import f as f_distribution

from napari_atomseg._shared.types import Array, Indices, Sampling
from napari_atomseg._shared.units import pixel_scale
from napari_atomseg.analysis.lattice.assign import Sites, follow
from napari_atomseg.analysis.lattice.lattice import Lattice
from napari_atomseg.analysis.lattice.motif import primitive_cell
from napari_atomseg.analysis.lattice.sites import intensity_of
from napari_atomseg.analysis.lattice.species import species_of_means
from napari_atomseg.analysis.lattice.vectors import (
    NO_LATTICE,
    conventional,
    primitive_vectors,
    reduced,
    small_cells,
    usual_steps,
)
from napari_atomseg.analysis.positions import Positions, positions_of

LARGEST = 4
"""Cells that an order may join at once."""
EXPLAINED = 0.5
"""An order must explain this part of the variance, not only be significant."""
CHANCE = 1e-6
"""Probability below which an order is no play of chance."""
ALMOST = 0.9
"""The smallest cell is taken that explains this part of what the best one does."""
AROUND = 12
"""What varies over more than so many neighbours is no order."""


def ordered(lattice: Lattice, points: Array, sites: Sites, intensity: Array | None) -> Lattice:
    """The lattice in the cell after which intensities and displacements repeat, too.

    Parameters
    ----------
    points : (N, 2) px.
    sites : sites of the points.
    intensity : (N,) or None.
    """
    on = np.flatnonzero(sites.on)
    values = [sites.displacement[on] * lattice.scale]
    if intensity is not None and np.isfinite(intensity[on]).all():
        values.append(intensity[on, None])
    cells, sublattice = sites.cells[on], sites.sublattice[on]
    local = [_fluctuation(v, points[on] * lattice.scale, sublattice) for v in values]
    shares: dict[int, list[tuple[float, Array]]] = {}
    for index in range(2, LARGEST + 1):
        for matrix in small_cells(index):
            share = max(_explained(v, _coset(cells, matrix), sublattice, index) for v in local)
            shares.setdefault(index, []).append((share, matrix))
    best = max(share for trials in shares.values() for share, _ in trials)
    if best < EXPLAINED:
        return lattice
    for trials in shares.values():
        share, matrix = max(trials, key=lambda trial: trial[0])
        if share >= max(EXPLAINED, ALMOST * best):
            break
    larger = matrix @ lattice.vectors * lattice.scale
    basis = reduced(larger) / lattice.scale
    return lattice.with_cell(np.round(basis @ np.linalg.inv(lattice.vectors)))


def _fluctuation(values: Array, points: Array, sublattice: Indices) -> Array:
    """Values (N, C) less their sublattice's median and the mean of their surroundings, and
    without the tails that bad fits give them.
    """
    rest = values.astype(np.float64).copy()
    for k in np.unique(sublattice):
        rest[sublattice == k] -= np.median(rest[sublattice == k], axis=0)
    spread = np.median(np.abs(rest), axis=0) * 1.4826
    # Where most values are exactly equal, as those of a simulation, they have no tails.
    spread = np.where(spread > 0, spread, np.inf)
    rest = np.clip(rest, -6 * spread, 6 * spread)
    near = cKDTree(points).query(points, k=min(AROUND + 1, len(points)))[1].reshape(len(points), -1)
    return np.asarray(rest - rest[near].mean(axis=1))


def _coset(cells: Indices, matrix: Array) -> Indices:
    """(N,) which of the cells that a larger cell joins."""
    (p, q), (_, r) = matrix
    rows = cells[:, 0] // p
    return np.asarray((cells[:, 0] - p * rows) * r + (cells[:, 1] - q * rows) % r)


def _explained(values: Array, coset: Indices, sublattice: Indices, index: int) -> float:
    """Part of the variance within sublattices that cosets explain, 0 where by chance."""
    count = int(sublattice.max()) + 1
    kinds = sublattice * index + coset
    within = _residual(values, kinds, count * index)
    without = _residual(values, sublattice, count)
    channels = values.shape[1]
    freedom = (count * (index - 1) * channels, (len(values) - count * index) * channels)
    if freedom[1] <= 0 or without <= 0:
        return 0.0
    ratio = (without - within) / freedom[0] / max(within / freedom[1], 1e-300)
    return 1.0 - within / without if f_distribution.sf(ratio, *freedom) < CHANCE else 0.0


def _residual(values: Array, kinds: Indices, count: int) -> float:
    """Sum of squares about the mean of each kind."""
    members = np.maximum(np.bincount(kinds, minlength=count), 1)
    total = 0.0
    for channel in values.T:
        mean = np.bincount(kinds, channel, count) / members
        total += float(((channel - mean[kinds]) ** 2).sum())
    return total


FAR = 5.0
"""Columns that stray further than so many typical distances are left out."""


def fitted(
    lattice: Lattice, points: Array, sites: Sites, intensity: Array | None = None
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
        raise ValueError(f"{len(points)} columns on sites do not settle a lattice")
    inverse = np.linalg.inv(design.T @ design)
    solution = inverse @ (design.T @ points)
    rest = points - design @ solution
    spare = len(points) - unknown
    variance = (rest**2).sum(axis=0) / spare if spare > 0 else np.full(2, np.nan)
    offsets, vectors = solution[:-2], solution[-2:]
    means = _means(bright, kinds, present)
    order = _numbering(offsets, vectors, kinds, present, bright)
    first = order[0]
    middle = np.round((np.median(points, axis=0) - offsets[first]) @ np.linalg.inv(vectors))
    at = np.zeros(unknown)
    at[first], at[-2:] = 1.0, middle
    apart = np.eye(unknown)[order] - np.eye(unknown)[first]
    spread = np.einsum("ki,ij,kj->k", apart, inverse, apart)[:, None] * variance
    turn = np.linalg.inv(vectors)
    motif = (offsets[order] - offsets[first]) @ turn
    counts = np.bincount(kinds, minlength=len(lattice))[present][order]
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
    if intensity is None:
        return np.full(len(present), np.nan)
    return np.array([np.nanmedian(intensity[kinds == k]) for k in present])


def _numbering(
    offsets: Array, vectors: Array, kinds: Indices, present: Indices, intensity: Array | None
) -> Indices:
    """Order of sublattices: brightest species first, then by place along b and a."""
    species = np.zeros(len(present), np.int64)
    if intensity is not None and np.isfinite(intensity).all():
        groups = [intensity[kinds == k] for k in present]
        species = species_of_means(groups)
    members = np.flatnonzero(species == species.min())
    fractions = offsets @ np.linalg.inv(vectors)
    away = fractions - fractions[members[0]]
    away -= np.floor(away + 0.02)
    return np.asarray(np.lexsort((away[:, 0].round(3), away[:, 1].round(3), species)), np.int64)


FEWEST = 4
"""Three columns make a cell of any kind; a fourth can confirm it."""
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
    intensity : column that distinguishes species; None takes `volume`, `amplitude` or `intensity`,
        whichever there is.

    Returns
    -------
    Lattice with its origin in the middle of the columns. Sublattices are numbered from the
    brightest species down. Of several grains, the largest is found.

    Raises
    ------
    ValueError
        An argument is wrong, there are fewer than four columns, they lie on one line, or they
        show no lattice; the message names the reason.
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
    pixel = None if sampling is None else pixel_scale(sampling)
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
        steps = usual_steps(points * lattice.scale, lattice.vectors * lattice.scale)
        lattice = lattice.with_cell(conventional(steps))
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
