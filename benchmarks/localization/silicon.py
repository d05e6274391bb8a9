"""Spacings of the columns of Si [110], sorted by the lattice that the image shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

A, B = 384.0, 543.1
"""Lattice vectors [1-10]/2 and [001] of silicon in pm; those between are half of a ± b."""
DUMBBELL = 0.25 * B
"""Distance of the two columns of a dumbbell in pm."""
TOLERANCE = 0.35
"""A column stands one lattice vector from another if within this part of a dumbbell of there."""
OFTEN = 0.6
"""A difference of places is a lattice vector where at least this part of the columns has it; one
from the first to the second column of a dumbbell, half of them have.
"""

CENTRINGS = 10

Points = NDArray[np.float64]


@dataclass(frozen=True)
class Spacings:
    """What one method measures: `columns` counted; steps (N, 2) along `a` and `b` in pixels;
    `places`, how many there would be if nothing was missed; `pixel` in pm.
    """

    columns: int
    a: Points
    b: Points
    places: tuple[int, int]
    pixel: float

    @property
    def deviations(self) -> tuple[float, float]:
        """Of the lengths along a and b in pm."""
        a, b = (self.pixel * float(np.hypot(*steps.T).std()) for steps in (self.a, self.b))
        return a, b

    @property
    def across(self) -> tuple[float, float]:
        """Of the steps' parts across the lines of the scan in pm."""
        a, b = (self.pixel * float(steps[:, 0].std()) for steps in (self.a, self.b))
        return a, b


def silicon_spacings(found: Mapping[str, Points], shape: tuple[int, ...]) -> dict[str, Spacings]:
    """Spacings by method, all with the lattice that the method of most columns sees.

    Parameters
    ----------
    found : (N, 2) places y, x of the columns by method.
    shape : of the image.
    """
    a, b = lattice_vectors(max(found.values(), key=len))
    pixel = float((A + B) / (np.hypot(*a) + np.hypot(*b)))
    border = 0.5 * DUMBBELL / pixel
    measured = {}
    for name, points in found.items():
        inner = points[inside(points, shape, border)]
        reach = TOLERANCE * DUMBBELL / pixel
        steps = [spacings(inner, step, reach) for step in (a, b)]
        places = [int(inside(inner + step, shape, border).sum()) for step in (a, b)]
        measured[name] = Spacings(len(inner), steps[0], steps[1], (places[0], places[1]), pixel)
    return measured


def lattice_vectors(points: Points) -> tuple[Points, Points]:
    """The vectors a and b in pixels: a the shorter one, both to the right or down.

    Raises
    ------
    ValueError
        The points show no lattice.
    """
    tree = cKDTree(points)
    nearest = float(np.median(tree.query(points, k=[2])[0]))
    pairs = tree.query_pairs(5.0 * nearest, output_type="ndarray")
    steps = points[pairs[:, 1]] - points[pairs[:, 0]]
    steps = np.concatenate([steps, -steps])
    near = cKDTree(steps).query_ball_point(steps, 0.25 * nearest, return_length=True)
    common = steps[near >= OFTEN * len(points)]
    if len(common) == 0:
        raise ValueError("the columns show no lattice")
    length = np.hypot(*common.T)
    one = common[length.argmin()]
    sine = abs(one[0] * common[:, 1] - one[1] * common[:, 0]) / (np.hypot(*one) * length)
    across = np.where(sine > 0.5, length, np.inf)
    other = common[across.argmin()]
    one, other = (centred(steps, v, 0.25 * nearest) for v in (one, other))
    # The two shortest lattice vectors lie on either side of a or of b, and are half of a ± b.
    a, b = sorted((one - other, one + other), key=lambda v: float(np.hypot(*v)))
    return a * np.sign(a @ [1, 1.1]), b * np.sign(b @ [1, 1.1])


def centred(steps: Points, start: Points, reach: float) -> Points:
    """The mean of the steps about a place that is itself their mean."""
    mean = start
    for _ in range(CENTRINGS):
        mean = steps[np.hypot(*(steps - mean).T) < reach].mean(axis=0)
    return mean


def spacings(points: Points, step: Points, reach: float) -> Points:
    """(N, 2) steps from each column to the one that stands about a lattice vector from it."""
    distance, other = cKDTree(points).query(points + step)
    there = distance < reach
    return points[other[there]] - points[there]


def inside(points: Points, shape: tuple[int, ...], border: float) -> NDArray[np.bool_]:
    """(N,) whether places are at least so many pixels from the border."""
    far = np.array(shape) - 1 - points
    return np.asarray(np.minimum(points, far).min(axis=1) >= border)
