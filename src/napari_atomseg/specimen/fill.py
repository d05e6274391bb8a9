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
    corners = np.array(list(product(*zip(lower, upper, strict=True)))) @ np.linalg.inv(cell)
    first = np.floor(corners.min(axis=0)).astype(int) - 1
    last = np.ceil(corners.max(axis=0)).astype(int) + 1
    steps = np.meshgrid(*(np.arange(a, b) for a, b in zip(first, last, strict=True)), indexing="ij")
    origins = np.stack(steps, axis=-1).reshape(-1, 3) @ cell
    # Most cells around a turned box miss it; leave them out before they are filled.
    near = np.all((origins + points.max(axis=0) >= lower), axis=1)
    near &= np.all((origins + points.min(axis=0) < upper), axis=1)
    filled = (origins[near][:, None] + points).reshape(-1, 3)
    source = np.tile(np.arange(len(points)), int(near.sum()))
    inside = np.all((filled >= lower) & (filled < upper), axis=1)
    return filled[inside], source[inside]


def random_turn(rng: np.random.Generator) -> Array:
    """A (3, 3) rotation matrix, all orientations alike probable."""
    turn: Array = Rotation.from_quat(rng.normal(size=4)).as_matrix()
    return turn
