"""Points at random that keep their distance from each other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from napari_atomseg.specimen.columns import Array

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
    edges : of the blocks along each axis, from the first to the last.
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
