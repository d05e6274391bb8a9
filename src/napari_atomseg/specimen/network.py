"""Random networks of threefold atoms: carbon in three dimensions, graphene in two."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_atomseg.specimen.columns import Array, Indices

ANGLE = 1.7
"""Second neighbours over bonds at angles near 120° (√3 at 120°, 1.63 at the tetrahedron's)."""
STEPS = 100
REBUILD = 20
"""Steps of relaxation, and between new lists of neighbours."""
SMOOTHINGS = 40
"""Rounds that push random seeds apart: enough for rings of five to eight, too few for a crystal."""


def relaxed_network(points: Array, box: Array, bond: float, neighbours: int) -> Array:
    """Points of a periodic box moved until each has about so many neighbours at one distance.

    The closest pairs are bonded, up to `neighbours` a point, and pull or push each other to the
    length of a bond; all others push each other beyond the distance of second neighbours.

    Parameters
    ----------
    points : (N, D) in Å. box : (D,) sides in Å.
    bond : length of a bond in Å.
    neighbours : bonds of a point.
    """
    second = ANGLE * bond
    for step in range(STEPS):
        if step % REBUILD == 0:
            points = points % box
            pairs, bonded = _bonds(points, box, second + 0.5, neighbours)
        offset = points[pairs[:, 0]] - points[pairs[:, 1]]
        offset -= box * np.rint(offset / box)
        length = np.linalg.norm(offset, axis=1)
        stretch = np.where(bonded, bond - length, np.maximum(second - length, 0.0) * 0.4)
        points = points + _sum_on_points(pairs, 0.3 * stretch / length, offset, len(points))
    return points % box


def _bonds(
    points: Array, box: Array, reach: float, neighbours: int
) -> tuple[Indices, NDArray[np.bool_]]:
    """Pairs within reach, nearest first, and which of them are bonded."""
    from scipy.spatial import cKDTree

    pairs = cKDTree(points, boxsize=box).query_pairs(reach, output_type="ndarray")
    offset = points[pairs[:, 0]] - points[pairs[:, 1]]
    length = np.linalg.norm(offset - box * np.rint(offset / box), axis=1)
    pairs = pairs[np.argsort(length, kind="stable")]
    free = [neighbours] * len(points)
    bonded = np.zeros(len(pairs), dtype=bool)
    for k, (i, j) in enumerate(pairs.tolist()):
        if free[i] and free[j]:
            free[i] -= 1
            free[j] -= 1
            bonded[k] = True
    return pairs, bonded


def _sum_on_points(pairs: Indices, strength: Array, offset: Array, count: int) -> Array:
    """(count, D) sum of equal and opposite pushes along each pair's offset."""
    push = strength[:, None] * offset
    return np.stack(
        [
            np.bincount(pairs[:, 0], axis, count) - np.bincount(pairs[:, 1], axis, count)
            for axis in push.T
        ],
        axis=1,
    )


def dual_network(rng: np.random.Generator, side: float, bond: float) -> tuple[Array, float]:
    """A threefold network in a periodic square: the vertices of random Voronoi cells, relaxed.

    Parameters
    ----------
    side : about the side of the square in Å.
    bond : mean length of a bond in Å.

    Returns
    -------
    (N, 2) points in Å, and the square's side with which the mean bond has its length.
    """
    ring = 1.5 * np.sqrt(3.0) * bond**2
    seeds = rng.random((round(side**2 / ring), 2)) * side
    for _ in range(SMOOTHINGS):
        seeds = _pushed_apart(seeds, side)
    triangles, centres = _triangulated(seeds, side)
    return _relaxed_sheet(centres, _shared_edges(triangles), side, bond)


def _triangulated(seeds: Array, side: float) -> tuple[Indices, Array]:
    """(M, 3) corners of the Delaunay triangles of a periodic square, and their (M, 2) centres."""
    from scipy.spatial import Delaunay

    shifts = [side * np.array([i, j]) for i in (0, -1, 1) for j in (0, -1, 1)]
    copies = np.concatenate([seeds + shift for shift in shifts])
    triangles = Delaunay(copies).simplices.astype(np.int64)
    centres = copies[triangles].mean(axis=1)
    home = np.all((centres >= 0) & (centres < side), axis=1)
    return triangles[home] % len(seeds), centres[home]


def _pushed_apart(seeds: Array, side: float) -> Array:
    """Seeds of a periodic square, each pushed away from those closer than its share of room."""
    from scipy.spatial import cKDTree

    reach = 1.35 * side / np.sqrt(len(seeds))
    pairs = cKDTree(seeds, boxsize=np.full(2, side)).query_pairs(reach, output_type="ndarray")
    offset = seeds[pairs[:, 0]] - seeds[pairs[:, 1]]
    offset -= side * np.rint(offset / side)
    length = np.maximum(np.linalg.norm(offset, axis=1), 1e-3)
    strength = 0.15 * (reach - length) / length
    return (seeds + _sum_on_points(pairs, strength, offset, len(seeds))) % side


def _shared_edges(triangles: Indices) -> Indices:
    """(M, 2) pairs of triangles that share an edge."""
    owners: dict[tuple[int, ...], list[int]] = {}
    for index, corners in enumerate(np.sort(triangles, axis=1).tolist()):
        for edge in ((0, 1), (0, 2), (1, 2)):
            owners.setdefault(tuple(corners[k] for k in edge), []).append(index)
    return np.array([pair for pair in owners.values() if len(pair) == 2])


def _relaxed_sheet(points: Array, pairs: Indices, side: float, bond: float) -> tuple[Array, float]:
    """Points moved until bonds and second neighbours have their lengths; the square follows."""
    second = _second_neighbours(pairs, len(points))
    links = np.concatenate([pairs, second])
    wanted = np.concatenate([np.full(len(pairs), bond), np.full(len(second), np.sqrt(3.0) * bond)])
    stiffness = np.concatenate([np.full(len(pairs), 0.3), np.full(len(second), 0.06)])
    for _ in range(10 * STEPS):
        offset = points[links[:, 0]] - points[links[:, 1]]
        offset -= side * np.rint(offset / side)
        length = np.maximum(np.linalg.norm(offset, axis=1), 1e-3)
        strength = stiffness * (wanted - length) / length
        points = points + _sum_on_points(links, strength, offset, len(points))
        growth = bond / float(length[: len(pairs)].mean())
        points, side = points * growth, side * growth
    return points % side, side


def _second_neighbours(pairs: Indices, count: int) -> Indices:
    """(M, 2) pairs of points that have a bonded neighbour in common."""
    around: list[list[int]] = [[] for _ in range(count)]
    for i, j in pairs.tolist():
        around[i].append(j)
        around[j].append(i)
    found = {(min(a, b), max(a, b)) for near in around for a in near for b in near if a != b}
    return np.array(sorted(found))
