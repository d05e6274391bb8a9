"""Local unit cells of the columns found: their translations, in every patch of an image."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from napari_atomseg._shared.geometry import clusters_of
from napari_atomseg._shared.types import Array, Indices, Mask
from napari_atomseg.progress import checkpoint

PATCH = 480
"""Columns of a patch, at most: few enough for strain and grains, enough for faint sublattices."""
FEWEST = 9
"""Columns that make a lattice, at least."""
NEIGHBOURS = 24
"""Neighbours whose vectors are translations, if enough columns share them."""
REACH = 0.22
"""A column is one translation away within this part of the nearest distance."""
ALIKE = 1.6
"""Largest ratio of the heights of columns that a translation connects."""
SHARE = 0.3
"""A translation connects at least this part of the columns of a patch,"""
OF_BEST = 0.75
"""and this part of what the best one connects,"""
LONGER = 1.5
"""that is no longer than this times its own length."""
NARROWEST = 0.35
"""Least sine of the angle between the vectors of a cell."""
SHORTEST = 16
"""Translations that are tried, the shortest ones."""
GRAINS = 3
"""Lattices that are looked for in a patch."""


@dataclass(frozen=True)
class Cells:
    """Columns of one sublattice, connected by translations, with the vectors of their cells.

    Attributes
    ----------
    index : (N,) which of the columns.
    origin : (N, 2) their positions y, x, pixels.
    first, second : (N, 2) cell vectors at each of them, pixels: means of the steps to those
        neighbours that are there.
    """

    index: Indices
    origin: Array
    first: Array
    second: Array

    @property
    def vectors(self) -> Array:
        """(2, 2) typical cell vectors."""
        return np.stack([np.median(self.first, axis=0), np.median(self.second, axis=0)])

    def places(self, fraction: Array) -> Array:
        """(N, P, 2) places y, x at fractional coordinates (P, 2) from each column."""
        u, v = fraction[None, :, :1], fraction[None, :, 1:]
        return np.asarray(self.origin[:, None] + u * self.first[:, None] + v * self.second[:, None])


def find_cells(points: Array, amplitude: Array) -> list[Cells]:
    """Sublattices of the columns in all patches of an image.

    The steps between neighbours pile up at the translations; the shortest two that most columns
    share, both together, span the cell. Columns that they connect are one sublattice of one
    grain. Those left over are tried again, for a second grain.

    Parameters
    ----------
    points, amplitude : (N, 2) positions y, x in pixels, and (N,) heights.
    """
    found: list[Cells] = []
    if len(points) < FEWEST:
        return found
    tree = cKDTree(points)
    query = tree.query(points, k=min(NEIGHBOURS + 1, len(points)))
    distance, near = np.asarray(query[0]), np.asarray(query[1], dtype=np.int64)
    for patch in _patches(points):
        checkpoint()
        left = patch
        for _ in range(GRAINS):
            if len(left) < FEWEST:
                break
            new = _lattice(points, amplitude, tree, left, distance, near)
            found += new
            taken = np.concatenate([cells.index for cells in new]) if new else left
            left = np.setdiff1d(left, taken)
    return found


def _patches(points: Array) -> Iterator[Indices]:
    """Halve the columns across their longer extent until patches are small."""
    queue = [np.arange(len(points))]
    while queue:
        some = queue.pop()
        if len(some) <= PATCH:
            yield some
            continue
        axis = int(np.argmax(np.ptp(points[some], axis=0)))
        order = some[np.argsort(points[some, axis], kind="stable")]
        queue += [order[: len(order) // 2], order[len(order) // 2 :]]


def _lattice(
    points: Array,
    amplitude: Array,
    tree: cKDTree,
    some: Indices,
    distance: Array,
    near: Indices,
) -> list[Cells]:
    spacing = float(np.median(distance[some, 1]))
    reach = REACH * spacing
    steps = (points[near[some, 1:]] - points[some, None]).reshape(-1, 2)
    steps = np.concatenate([steps, -steps])
    steps = steps[np.hypot(*steps.T) < 4.5 * spacing]
    peaks = _peaks(steps, reach, SHARE * len(some))
    if len(peaks) < 2:
        return []
    partner = np.stack([_partners(points, amplitude, tree, some, v, reach) for v in peaks], axis=1)
    has = partner >= 0
    share = has.mean(axis=0)
    # Two grains have long translations in common, which say nothing about the shorter ones.
    length = np.hypot(*peaks.T)
    best = np.array([share[length <= LONGER * each].max() for each in length])
    good = np.flatnonzero((share >= SHARE) & (share >= OF_BEST * best))
    pair = _shortest_pair(peaks, has, good)
    if pair is None:
        return []
    return _connected(points, some, partner[:, list(pair)], peaks[list(pair)])


def _peaks(steps: Array, reach: float, often: float) -> Array:
    """(M, 2) where steps pile up, half of them, up to sign, the shortest first."""
    side = 0.5 * reach
    half = int(np.ceil(np.abs(steps).max() / side)) + 2 if len(steps) else 2
    edges = side * (np.arange(-half, half + 2) - 0.5)
    counts = np.histogram2d(steps[:, 0], steps[:, 1], bins=[edges, edges])[0]
    smooth = ndimage.uniform_filter(counts, 3) * 9
    top = (smooth == ndimage.maximum_filter(smooth, 5)) & (smooth >= often)
    peaks = side * (np.argwhere(top) - half)
    peaks = peaks[np.hypot(*peaks.T) > 1.5 * reach]
    peaks = peaks[
        (peaks[:, 0] > 0.5 * side) | ((abs(peaks[:, 0]) <= 0.5 * side) & (peaks[:, 1] > 0))
    ]
    if len(peaks) == 0:
        return np.zeros((0, 2))
    peaks = _apart(peaks[np.argsort(np.hypot(*peaks.T), kind="stable")], reach)[:SHORTEST]
    near = cKDTree(steps)
    for _ in range(2):
        members = near.query_ball_point(peaks, reach)
        peaks = np.array([steps[m].mean(axis=0) for m in members if m])
    return np.asarray(peaks)


def _apart(peaks: Array, reach: float) -> Array:
    """(M, 2) the peaks without those beside an earlier one: steps that are all but equal fill
    several bins with the same count.
    """
    kept = np.ones(len(peaks), dtype=bool)
    for first, second in sorted(cKDTree(peaks).query_pairs(reach)):
        kept[second] &= not kept[first]
    return peaks[kept]


def _partners(
    points: Array, amplitude: Array, tree: cKDTree, some: Indices, step: Array, reach: float
) -> Indices:
    """(N,) the column of like height one step away from each of some, or -1."""
    there, other = tree.query(points[some] + step, distance_upper_bound=reach)
    found = np.isfinite(there)
    other = np.where(found, other, 0)
    low, high = np.sort([amplitude[some], amplitude[other]], axis=0)
    found &= high <= ALIKE * low
    return np.asarray(np.where(found, other, -1), dtype=np.int64)


def _shortest_pair(steps: Array, has: Mask, good: Indices) -> tuple[int, int] | None:
    """The two shortest steps, not parallel, that about as many columns have as have any two."""
    first, second = np.triu_indices(len(good), 1)
    first, second = good[first], good[second]
    length = np.hypot(*steps.T)
    area = np.abs(steps[first, 0] * steps[second, 1] - steps[first, 1] * steps[second, 0])
    shared = (has.T.astype(np.float64) @ has / len(has))[first, second]
    shared[area <= NARROWEST * length[first] * length[second]] = 0.0
    best = float(shared.max(initial=0.0))
    if best < 0.5 * SHARE:
        return None
    fair = shared >= OF_BEST * best
    # The smallest cell, and of equal ones that of the shortest vectors.
    small = fair & (area <= 1.2 * area[fair].min())
    number = int(np.argmin(np.where(small, length[first] + length[second], np.inf)))
    return int(first[number]), int(second[number])


def _connected(points: Array, some: Indices, partner: Indices, steps: Array) -> list[Cells]:
    """Sublattices: columns that partners (N, 2) connect, with the steps to them averaged."""
    place = np.full(len(points), -1)
    place[some] = np.arange(len(some))
    total = np.repeat(steps[None], len(some), axis=0)
    count = np.ones((len(some), 2))
    links = []
    for axis in range(2):
        own = np.flatnonzero(partner[:, axis] >= 0)
        other = partner[own, axis]
        step = points[other] - points[some[own]]
        total[own, axis] += step
        count[own, axis] += 1
        back = place[other]
        inside = back >= 0
        total[back[inside], axis] += step[inside]
        count[back[inside], axis] += 1
        links.append(np.stack([own[inside], back[inside]], axis=1))
    groups = clusters_of(np.concatenate(links), len(some))
    vectors = total / count[..., None]
    cells = []
    for number, size in enumerate(np.bincount(groups)):
        if size >= FEWEST:
            mine = np.flatnonzero(groups == number)
            cells.append(Cells(some[mine], points[some[mine]], vectors[mine, 0], vectors[mine, 1]))
    return cells


def equivalent(cells: list[Cells], places: Array, reach: int = 2) -> Array:
    """(N, K, 2) the places (N, 2) in the cells around, by the vectors of the nearest column.

    Parameters
    ----------
    reach : cells to all sides; K is (2 reach + 1)² - 1.
    """
    origin, first, second = (
        np.concatenate([getattr(each, name) for each in cells])
        for name in ("origin", "first", "second")
    )
    near = cKDTree(origin).query(places)[1]
    around = range(-reach, reach + 1)
    steps = [(i, j) for i in around for j in around if (i, j) != (0, 0)]
    return np.stack([places + i * first[near] + j * second[near] for i, j in steps], axis=1)
