"""Columns at the edge of the specimen."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

NEIGHBOUR = 3
"""Every column inside a lattice has so many neighbours: three in a honeycomb, more in others."""
REACH = 1.5
"""Neighbours stand within so many typical distances of the third nearest one."""
GAP = 130.0
"""Degrees without a neighbour that make an edge; inside a honeycomb there are 120, inside the
dumbbells of [110] diamond 125."""


def edge_columns(points: NDArray[np.float64], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Which columns are the outermost ones of the specimen, or border on a hole.

    They have no neighbour in some direction, over an angle of more than `GAP`. The typical distance
    is the median over the columns, so that lattices with a basis, as dumbbells, are seen as one.

    Parameters
    ----------
    points : (N, 2) places y, x in pixels.
    shape : of the image; columns nearer to its border than neighbours can be are no edge, for the
        image cuts their surroundings.

    Returns
    -------
    (N,) bool; none where there are no more than three columns.
    """
    edge = np.zeros(len(points), bool)
    if len(points) <= NEIGHBOUR:
        return edge
    tree = cKDTree(points)
    distance = np.asarray(tree.query(points, k=[NEIGHBOUR + 1])[0])
    reach = REACH * float(np.median(distance))
    far = np.array(shape) - 1 - points
    inner = np.minimum(points, far).min(axis=1) >= reach
    for n in np.flatnonzero(inner):
        near = [k for k in tree.query_ball_point(points[n], reach) if k != n]
        edge[n] = largest_gap(points[near] - points[n]) > GAP
    return edge


def largest_gap(steps: NDArray[np.float64]) -> float:
    """The largest angle in degrees between neighbouring directions of (N, 2) steps y, x; 360 of
    fewer than two.
    """
    if len(steps) < 2:
        return 360.0
    angle = np.sort(np.degrees(np.arctan2(steps[:, 0], steps[:, 1])))
    return float(np.diff(angle, append=angle[0] + 360.0).max())
