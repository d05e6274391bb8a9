"""Points at random that keep their distance from each other."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from napari_atomseg._shared.types import Array, Indices


def fill_box(cell: Array, points: Array, lower: Array, upper: Array) -> tuple[Array, Indices]:
    """All periodic images of a cell's points that lie in a box.

    Parameters
    ----------
    cell : (3, 3) cell vectors in Å, each a row in the frame of the box.
    points : (N, 3) points of one cell in Å, in the same frame.
    lower, upper : (3,) corners of the box in Å.

    Returns
    -------
    (M, 3) points in Å with lower ≤ point < upper, and (M,) which of the N points each repeats.
    """
    points = points - np.floor(points @ np.linalg.inv(cell)) @ cell
    origins = _cells(cell, lower - points.max(axis=0), upper - points.min(axis=0))
    filled = (origins[:, None] + points).reshape(-1, 3)
    inside = np.ones(len(filled), dtype=bool)
    for k in range(3):
        inside &= (filled[:, k] >= lower[k]) & (filled[:, k] < upper[k])
    kept = np.flatnonzero(inside)
    return filled[kept], kept % len(points)


def _cells(cell: Array, lower: Array, upper: Array) -> Array:
    """(C, 3) the lattice points of a cell within a box.

    Lattice lines along the third vector are cut to the box one by one, since a turned box holds
    few of the points of the parallelepiped around it.
    """
    corners = np.array(list(product(*zip(lower, upper, strict=True)))) @ np.linalg.inv(cell)
    first, last = np.floor(corners.min(axis=0)), np.ceil(corners.max(axis=0))
    i, j = np.meshgrid(*(np.arange(first[k], last[k] + 1) for k in range(2)), indexing="ij")
    starts = i.reshape(-1, 1) * cell[0] + j.reshape(-1, 1) * cell[1]
    step = np.where(np.abs(cell[2]) < 1e-12, 1e-12, cell[2])
    ends = np.stack([(lower - starts) / step, (upper - starts) / step])
    enter = np.ceil(ends.min(axis=0).max(axis=1))
    leave = np.floor(ends.max(axis=0).min(axis=1))
    count = np.maximum(leave - enter + 1, 0).astype(np.int64)
    # Numbers 0, 1, 2 … along each line.
    along = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    origins: Array = np.repeat(starts, count, axis=0)
    origins += (np.repeat(enter, count) + along)[:, None] * cell[2]
    return origins


def random_turn(rng: np.random.Generator) -> Array:
    """A (3, 3) rotation matrix, all orientations alike probable."""
    turn: Array = Rotation.from_quat(rng.normal(size=4)).as_matrix()
    return turn


Rng = np.random.Generator
ROUNDS = 100
"""Rounds of throwing in points before a full box is left as it is."""
TRIALS = 10
"""Points thrown at a seam for each that is missing."""


def scatter(rng: Rng, box: Array, count: int, distance: float) -> Array:
    """(count, D) random points of a periodic box, none closer than `distance` to another.

    Fewer points where the box is too full for all of them.
    """
    points = np.zeros((0, len(box)))
    for _ in range(ROUNDS):
        missing = count - len(points)
        if missing <= 0:
            break
        fresh = rng.random((missing + 8, len(box))) * box
        if len(points):
            nearest, _ = cKDTree(points, boxsize=box).query(fresh, distance_upper_bound=distance)
            fresh = fresh[nearest >= distance]
        keep = _uncrowded(fresh, distance, box)
        points = np.concatenate([points, fresh[keep]])
    return points[:count]


def healed(rng: Rng, points: Array, edges: Sequence[Array], distance: float) -> Array:
    """Points of blocks that meet, none closer than `distance` to another across their faces.

    Points that crowd another one are taken out; as many are thrown in anew near the faces, so that
    the density shows no seam.

    Parameters
    ----------
    points : (N, 3) points that keep their distance within each block.
    edges : edges of the blocks along each axis, from the first to the last.
    """
    seam = _near_faces(points, edges, 2.0 * distance)
    # In random order, so that no side of a face gives up more points than the other.
    rest, rim = points[~seam], rng.permutation(points[seam])
    crowded = ~_uncrowded(rim, distance)
    missing = int(crowded.sum())
    rim = rim[~crowded]
    for _ in range(ROUNDS):
        if missing == 0:
            break
        fresh = _points_near_faces(rng, edges, TRIALS * missing, distance)
        nearest, _ = cKDTree(rim).query(fresh, distance_upper_bound=distance)
        fresh = fresh[nearest >= distance]
        fresh = fresh[_uncrowded(fresh, distance)][:missing]
        rim = np.concatenate([rim, fresh])
        missing -= len(fresh)
    return np.concatenate([rest, rim])


def _uncrowded(points: Array, distance: float, box: Array | None = None) -> NDArray[np.bool_]:
    """(N,) all points but the later one of each pair closer than `distance`."""
    keep = np.ones(len(points), dtype=bool)
    pairs = cKDTree(points, boxsize=box).query_pairs(distance, output_type="ndarray")
    keep[pairs[:, 1]] = False
    return keep


def _near_faces(points: Array, edges: Sequence[Array], distance: float) -> NDArray[np.bool_]:
    """(N,) which points lie near a face between blocks."""
    near = np.zeros(len(points), dtype=bool)
    for coordinate, axis in zip(points.T, edges, strict=True):
        for face in axis[1:-1]:
            near |= np.abs(coordinate - face) < distance
    return near


def _points_near_faces(rng: Rng, edges: Sequence[Array], count: int, distance: float) -> Array:
    """(count, 3) points spread evenly on all faces between blocks, and to `distance` off them."""
    lower, upper = (np.array([axis[k] for axis in edges]) for k in (0, -1))
    faces = np.array([(k, face) for k, axis in enumerate(edges) for face in axis[1:-1]])
    normal = faces[:, 0].astype(np.int64)
    area = 1.0 / (upper - lower)[normal]
    chosen = rng.choice(len(faces), count, p=area / area.sum())
    points = rng.uniform(lower, upper, (count, 3))
    points[np.arange(count), normal[chosen]] = faces[chosen, 1] + rng.uniform(
        -distance, distance, count
    )
    return np.clip(points, lower, np.nextafter(upper, lower))
