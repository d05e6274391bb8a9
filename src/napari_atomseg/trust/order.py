"""Two-dimensional order of columns: evidence that they are those of a crystal."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from napari_atomseg._shared.types import Array
from napari_atomseg.progress import checkpoint

NEIGHBOURS = 8
"""Nearest columns whose arrangement is compared."""
VECTORS = 6
"""Vectors to nearest columns that are tried as translations."""
FEWEST = NEIGHBOURS + 1
"""Columns without which there is no order to be seen."""
TOLERANCE = 0.2
"""A translated column meets another within this fraction of the distance of nearest columns."""
LEAST_ANGLE = 0.35
"""Sine of the angle between two directions, at least; columns along lines have one alone."""
TOGETHER = 1000
"""Columns whose surroundings are looked up at once."""


def two_dimensional_order(y: Array, x: Array, shape: tuple[int, ...]) -> Array:
    """How well the surroundings of each column repeat themselves along two directions.

    A vector from a column to one nearby is a translation of the crystal if it brings the columns
    around onto others. Of each column the fraction of these is taken, for the best vector, and for
    the best one in another direction; the lower of both is the order, averaged over the neighbours.
    It is 1 in a perfect crystal, whatever its cell, 0.75 where its columns are displaced by a
    sixteenth of their distance, 0.1 for the maxima of speckle and 0.05 for places at random. Grain
    boundaries and the borders of particles have less of it than their inside.

    Parameters
    ----------
    y, x : (N,) positions of the columns of one image, pixels.
    shape : (H, W) of the image. What would lie beyond its border does not count.

    Returns
    -------
    (N,) order, 0 to 1; 0 of fewer than nine columns.
    """
    count = len(y)
    if count < FEWEST:
        return np.zeros(count)
    points = np.stack([y, x], axis=1)
    tree = cKDTree(points)
    distance, index = map(np.asarray, tree.query(points, NEIGHBOURS + 1))
    around = index[:, 1:]
    near = distance[:, 1]
    limit = TOLERANCE * near[index].mean(axis=1)
    vectors = points[around[:, :VECTORS]] - points[:, None]
    met = _met(tree, points[around][:, None] + vectors[:, :, None], limit, shape)
    order = _in_two_directions(met, vectors)
    return np.asarray(order[index].mean(axis=1))


def _met(
    tree: cKDTree, moved: NDArray[np.float64], limit: Array, shape: tuple[int, ...]
) -> NDArray[np.float64]:
    """(N, V) fraction of the places (N, V, K, 2) within the image that a column is at."""
    found, farthest = np.zeros(moved.shape[:2]), float(limit.max())
    for first in range(0, len(moved), TOGETHER):
        checkpoint()
        some = slice(first, first + TOGETHER)
        inside = np.all((moved[some] >= 0) & (moved[some] <= np.array(shape) - 1.0), axis=-1)
        distance, _ = tree.query(moved[some], distance_upper_bound=farthest)
        met = (distance <= limit[some, None, None]) & inside
        found[some] = met.sum(axis=-1) / np.maximum(inside.sum(axis=-1), NEIGHBOURS / 2)
    return found


def _in_two_directions(
    met: NDArray[np.float64], vectors: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(N,) fraction met by the best of the vectors (N, V, 2) that is not along the best of all."""
    length = np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)
    unit = vectors / length
    best = np.take_along_axis(unit, met.argmax(axis=1)[:, None, None], axis=1)
    sine = np.abs(best[..., 0] * unit[..., 1] - best[..., 1] * unit[..., 0])
    return np.asarray(np.where(sine >= LEAST_ANGLE, met, 0.0).max(axis=1))
