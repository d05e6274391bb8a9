"""Distances, triangles and connected groups of points in a plane."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from napari_atomseg._shared.types import Array, Indices


def nearest_pixels(shape: tuple[int, ...], y: Array, x: Array) -> tuple[Indices, Indices]:
    """Rows and columns (N,) of the pixels of an (H, W) image that are nearest to positions."""
    last = np.array(shape) - 1
    return np.clip(np.rint(y), 0, last[0]).astype(int), np.clip(np.rint(x), 0, last[1]).astype(int)


def nearest_distances(points: NDArray[Any]) -> NDArray[np.float64]:
    """(N,) distance of each of N ≥ 2 points, (N, 2), to its nearest neighbour."""
    distance, _ = cKDTree(points).query(points, k=2)
    return np.asarray(distance, dtype=np.float64)[:, 1]


def median_spacing(*frames: NDArray[Any]) -> float:
    """Median distance of points to their nearest neighbour in the same frame.

    Parameters
    ----------
    frames : (N, 2) points each; those that are not finite are left out.

    Returns
    -------
    In the unit of the points; NaN where no frame has two.
    """
    finite = [points[np.isfinite(points).all(axis=1)] for points in frames]
    distances = [nearest_distances(points) for points in finite if len(points) > 1]
    return float(np.median(np.concatenate(distances))) if distances else float("nan")


def delaunay_triangles(points: Array, longest: float = np.inf) -> Indices:
    """(T, 3) indices of the Delaunay triangles of (N, 2) points (y, x), in the sense from x to y
    (clockwise as an image is shown); none where the points lie on a line.

    Parameters
    ----------
    longest : triangles with a longer side are left out, such as those across a concave border.
    """
    from scipy.spatial import Delaunay, QhullError

    if len(points) < 3:
        return np.zeros((0, 3), dtype=np.int64)
    try:
        # Relative to the centre, so that rounding errors do not grow with the position.
        triangles = Delaunay(points - points.mean(axis=0)).simplices.astype(np.int64)
    except QhullError:
        return np.zeros((0, 3), dtype=np.int64)
    first, second, third = (points[triangles[:, k]] for k in range(3))
    u, v = second - first, third - first
    backwards = u[:, 1] * v[:, 0] - u[:, 0] * v[:, 1] < 0
    triangles[backwards] = triangles[backwards][:, [0, 2, 1]]
    sides = np.stack([np.hypot(*side.T) for side in (u, v, v - u)], axis=1)
    return np.asarray(triangles[sides.max(axis=1) <= longest])


def sides_of(triangles: Indices) -> Indices:
    """(S, 2) unique sides of triangles, the lower index first."""
    pairs = np.concatenate([triangles[:, [k, (k + 1) % 3]] for k in range(3)])
    return np.unique(np.sort(pairs, axis=1), axis=0).reshape(-1, 2)


def clusters_of(pairs: Indices, count: int) -> Indices:
    """(N,) number of the connected component of each of N nodes that are linked in pairs."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    links = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    return np.asarray(connected_components(links, directed=False)[1], dtype=np.int64)
