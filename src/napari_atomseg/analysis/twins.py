"""Whether two grains are twins: mirror images in a row of columns along their boundary."""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import NDArray

from napari_atomseg._shared.types import Array
from napari_atomseg.analysis.bond_order import Bonds

SHORT = 2.0
"""Lengths of the shortest bond up to which a row counts: mirror planes of twins have low indices,
and in rows that are long enough any two grains are nearly mirror images."""
FITS = 0.05
"""Part of the shortest bond by which the vectors of both sides may differ, more or less 3°."""
ALONG = 15.0
"""Degrees between the boundary, as pairs of columns on its sides show it, and the row."""


def cell_of(
    bonds: Bonds, members: NDArray[np.bool_], fold: int, orientation: float
) -> Array | None:
    """The two shortest mean bonds (y, x) of a grain, None where they lie along one line.

    Parameters
    ----------
    members : (N,) columns of the grain.
    fold : of the bonds by their angles, see `Bonds.fold`.
    orientation : phase of that order over its fold, radians from x towards y.
    """
    chosen = members[bonds.pairs].all(axis=1)
    first, second = bonds.pairs[chosen].T
    step = bonds.points[second] - bonds.points[first]
    number = np.round((bonds.angles[chosen] - orientation) * fold / (2 * np.pi)).astype(np.int64)
    # The way back is the same bond.
    half = fold // 2
    step = step * np.where(number % fold < half, 1.0, -1.0)[:, None]
    kinds = number % half
    means = [np.median(step[kinds == kind], axis=0) for kind in np.unique(kinds)]
    means.sort(key=lambda vector: float(np.hypot(*vector)))
    return np.stack(means[:2]) if len(means) > 1 else None


def same_lattice(one: Array, other: Array) -> bool:
    """Whether cells, rows (y, x), span one lattice, turned by `FITS` at most."""
    steps = np.round(one @ np.linalg.inv(other))
    if not np.isclose(abs(np.linalg.det(steps)), 1.0):
        return False
    off = np.hypot(*(one - steps @ other).T)
    return bool(off.max() < FITS * min(np.hypot(*one.T).min(), np.hypot(*other.T).min()))


def turned(cell: Array, angle_deg: float) -> Array:
    """A cell turned counter-clockwise as the image is shown, y down."""
    cosine, sine = np.cos(np.radians(angle_deg)), np.sin(np.radians(angle_deg))
    return np.asarray(cell @ np.array([[cosine, sine], [-sine, cosine]]))


def are_twins(one: Array, other: Array, direction_deg: float) -> bool:
    """Whether a mirror in a short row of a lattice, along a boundary, makes the other one of it.

    Parameters
    ----------
    one, other : (2, 2) cells on both sides, rows (y, x).
    direction_deg : of the boundary, from x counter-clockwise as the image is shown.
    """
    boundary = turned(np.array([[0.0, 1.0]]), direction_deg)[0]
    shortest = np.hypot(*one.T).min()
    for i, j in product(range(-2, 3), repeat=2):
        row = np.array([i, j]) @ one
        length = np.hypot(*row)
        if np.gcd(i, j) != 1 or length > SHORT * shortest:
            continue
        along = row / length
        if abs(along @ boundary) < np.cos(np.radians(ALONG)):
            continue
        if same_lattice(one @ (2 * np.outer(along, along) - np.eye(2)), other):
            return True
    return False
