"""Boxes filled with periodic matter, turned as one likes."""

from __future__ import annotations

from itertools import product

import numpy as np
from scipy.spatial.transform import Rotation

from napari_atomseg.specimen.columns import Array, Indices


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
