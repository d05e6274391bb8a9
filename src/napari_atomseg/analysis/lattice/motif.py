"""The sites of a cell, from columns folded into it."""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from napari_atomseg._shared.geometry import median_spacing
from napari_atomseg._shared.types import Array
from napari_atomseg.analysis.lattice.vectors import (
    REACH,
    combinations,
    shortest_basis,
)

PATCH = 100
"""Cells that are folded on each other; over more, small errors of the vectors would add up."""
OCCUPIED = 0.3
"""A site is one where there are this share of the columns of the fullest site."""
AROUND = np.array(list(product((-1, 0, 1), repeat=2)), dtype=np.float64)


def primitive_cell(
    points: Array, vectors: Array, among: NDArray[np.bool_]
) -> tuple[Array, Array, Array]:
    """Origin (2,), vectors (2, 2) and motif (K, 2) of the smallest cell of a crystal.

    Parameters
    ----------
    points : (N, 2) in units that are the same in both directions.
    vectors : two translations, nearly right.
    among : (N,) points that have neighbours there.
    """
    reach = REACH * median_spacing(points)
    centre = points[_middle(points, among)]
    area = abs(float(np.linalg.det(vectors)))
    inside = np.hypot(*(points - centre).T) <= np.sqrt(PATCH * area / np.pi)
    near = points[inside & among]
    fractions = (near - centre) @ np.linalg.inv(vectors)
    motif = _together(_sites(fractions, vectors, reach), fractions, vectors, reach)
    vectors, motif = _without_translations(motif, vectors, reach)
    return centre + motif[0] @ vectors, vectors, (motif - motif[0]) % 1.0


def _middle(points: Array, among: NDArray[np.bool_]) -> int:
    """A point with a whole crystal about it, as near to the crystal's middle as there is one."""
    near = cKDTree(points).query(points, k=min(30, len(points)))[1]
    whole = np.where(among, among[near].mean(axis=1), -1.0)
    best = np.flatnonzero(whole >= 0.95 * whole.max())
    middle = np.median(points[best], axis=0)
    return int(best[np.argmin(np.hypot(*(points[best] - middle).T))])


def _sites(fractions: Array, vectors: Array, reach: float) -> Array:
    """(K, 2) where fractions (N, 2) pile up when the cells are folded on each other, most first."""
    folded = fractions % 1.0
    images = (folded[:, None] + AROUND).reshape(-1, 2)
    source = np.repeat(np.arange(len(folded)), len(AROUND))
    tree = cKDTree(images @ vectors)
    free = np.ones(len(folded), dtype=bool)
    sites: list[Array] = []
    counts: list[int] = []
    while free.any():
        members = tree.query_ball_point(folded @ vectors, reach)
        crowd = np.array(
            [free[source[m]].sum() if f else 0 for m, f in zip(members, free, strict=True)]
        )
        centre = folded[int(crowd.argmax())]
        for _ in range(3):
            inside = np.array(tree.query_ball_point(centre @ vectors, reach), dtype=int)
            inside = inside[free[source[inside]]]
            if len(inside):
                centre = images[inside].mean(axis=0)
        taken = np.unique(source[inside]) if len(inside) else np.array([int(crowd.argmax())])
        sites.append(centre % 1.0)
        counts.append(len(taken))
        free[taken] = False
        if counts[-1] < OCCUPIED * counts[0]:
            break
    full = [c >= OCCUPIED * counts[0] for c in counts]
    return np.array([s for s, f in zip(sites, full, strict=True) if f])


def _together(motif: Array, fractions: Array, vectors: Array, reach: float) -> Array:
    """The sites (K, 2) that are there where the first one is: of parts of a crystal that are
    shifted against each other, as on both sides of a dislocation, those of one.
    """
    tree = cKDTree(fractions @ vectors)
    away = fractions - motif[0]
    first = fractions[np.linalg.norm((away - np.round(away)) @ vectors, axis=1) <= reach]
    kept = [motif[0]]
    for site in motif[1:]:
        # Towards all sides, as the columns end at the border of the patch.
        images = (site - motif[0]) % 1.0 - np.array([[0, 0], [1, 0], [0, 1], [1, 1]])
        there = tree.query((first[:, None] + images) @ vectors, distance_upper_bound=reach)[0]
        if np.isfinite(there).any(axis=1).mean() >= OCCUPIED:
            kept.append(site)
    return np.array(kept)


def _without_translations(motif: Array, vectors: Array, reach: float) -> tuple[Array, Array]:
    """The smallest cell: translations that bring all sites onto sites become its vectors."""
    shifts = motif - motif[0]
    offsets = shifts[:, None, None] + motif[None, :, None] - motif[None, None]
    away = np.linalg.norm((offsets - np.round(offsets)) @ vectors, axis=-1)
    shifts = shifts[(away.min(axis=2) <= reach).all(axis=1)]
    if len(shifts) == 1:
        return vectors, motif
    steps = (combinations(vectors)[:, None] + shifts @ vectors).reshape(-1, 2)
    steps = np.concatenate([steps, shifts[1:] @ vectors])
    smaller = shortest_basis(steps, abs(float(np.linalg.det(vectors))) / len(shifts))
    return smaller, _sites(motif @ vectors @ np.linalg.inv(smaller), smaller, reach)
