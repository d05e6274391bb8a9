"""A lattice fitted to columns whose sites are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from napari_atomseg.analysis.lattice import Lattice
from napari_atomseg.analysis.lattice_assign import Sites
from napari_atomseg.analysis.lattice_species import species_of_means
from napari_atomseg.analysis.positions import Array, Indices

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
    sites : of the points.
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
