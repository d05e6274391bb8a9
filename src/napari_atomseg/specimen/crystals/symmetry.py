"""Symmetry of a crystal: the axes that are alike, and directions across them."""

from __future__ import annotations

import warnings
from contextlib import suppress
from functools import lru_cache
from itertools import product
from math import gcd
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_atomseg._shared.types import Array

if TYPE_CHECKING:
    from ase import Atoms

Axis = tuple[int, int, int]

SAME_ATOM = 0.05
"""Å; atoms that an operation brings this close stand on each other."""
MOST_ATOMS = 600
"""Larger cells are of matter without order; they are taken to have no symmetry."""
ALIGNED = 2e-3
"""Radians: largest angle between directions that count as parallel."""
NEARLY_IN_PLANE = 10.0
"""Degrees: directions this close to the plane count as lying in it."""
HIGHEST = 8
"""Highest index of directions in the plane."""
MOST_INDEX = 40
"""Largest index of axes equivalent to one of small indices, in a cell that is not primitive."""


def zone_axes(atoms: Atoms, largest_index: int = 3) -> list[Axis]:
    """One of each set of zone axes that a crystal's symmetry makes alike, the simplest first.

    [uvw] and [-u -v -w] count as alike: one shows the mirror image of the other.

    Parameters
    ----------
    atoms : cell that repeats at least in a plane; of one that does so in a plane only, its normal
        is the only axis.
    largest_index : largest index of u, v and w.

    Raises
    ------
    ValueError
        The atoms do not repeat in a plane.
    """
    repeats = np.asarray(atoms.pbc, dtype=bool)
    if repeats.sum() < 2:
        raise ValueError(f"{atoms.get_chemical_formula()} does not repeat in a plane: no zone axes")
    if not repeats.all():
        u, v, w = np.where(repeats, 0, 1).tolist()
        return [(u, v, w)]
    cell = np.asarray(atoms.cell.array, dtype=np.float64)
    turns = [cell @ turn @ np.linalg.inv(cell) for turn in point_group(atoms)]
    steps = range(-largest_index, largest_index + 1)
    every = [(u, v, w) for u, v, w in product(steps, repeat=3) if gcd(u, v, w) == 1]
    left, axes = set(every), list[Axis]()
    for axis in sorted(every, key=_plainness):
        if axis in left:
            axes.append(axis)
            alike = {
                found
                for turn in turns
                if (found := small_integers(axis @ turn, MOST_INDEX)) is not None
            }
            left -= alike | {(-u, -v, -w) for u, v, w in alike}
    return sorted(axes, key=lambda axis: (sum(i * i for i in axis), _plainness(axis)))


def point_group(atoms: Atoms) -> list[Array]:
    """Turns and reflections, (3, 3) for Cartesian rows from the left, that the crystal has.

    spglib finds them (Togo, Shinohara and Tanaka, Sci. Technol. Adv. Mater. Methods 4, 2384822,
    2024); a cell in which it finds none has the identity alone.
    """
    if len(atoms) > MOST_ATOMS:
        return [np.eye(3)]
    import spglib

    cell = (atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers)
    smallest = found = None
    # Newer releases raise this in place of returning None, and older ones warn that they will.
    failure: Any = getattr(spglib, "SpglibError", ())
    with warnings.catch_warnings(), suppress(failure):
        warnings.simplefilter("ignore", DeprecationWarning)
        # Of a cell that is not primitive, only those that leave it as it is would be told.
        smallest = spglib.find_primitive(cell, symprec=SAME_ATOM)
        if smallest is not None:
            found = spglib.get_symmetry(smallest, symprec=SAME_ATOM)
    if smallest is None or found is None:
        return [np.eye(3)]
    vectors = np.asarray(smallest[0], dtype=np.float64)
    inverse = np.linalg.inv(vectors)
    return [inverse @ turn.T @ vectors for turn in np.unique(found["rotations"], axis=0)]


def direction_along(vector: Array, axis: Axis, cell: Array) -> Axis:
    """The lattice direction [uvw] that lies along a projected lattice vector.

    It is the simplest one in the plane across the beam; where there is none, as in many planes of
    crystals that are not cubic, one that projects onto the vector: the shortest within some degrees
    of the plane.

    Parameters
    ----------
    vector : (3,) Cartesian, Å, across the beam.
    axis : zone axis [uvw].
    cell : (3, 3) rows are the cell's vectors, Å.
    """
    exact = small_integers(vector @ np.linalg.inv(cell), HIGHEST)
    if exact is not None:
        return exact
    beam = np.asarray(axis) @ cell
    beam = beam / np.linalg.norm(beam)
    unit = vector / np.linalg.norm(vector)
    trials = _directions()
    places = trials @ cell
    along, up = places @ unit, places @ beam
    aside = np.linalg.norm(places - np.outer(along, unit) - np.outer(up, beam), axis=1)
    trials, places = trials[along > 0], places[along > 0]
    aside, up, along = (each[along > 0] for each in (aside, up, along))
    # Where not even that is a small one, the direction that is least off in the plane.
    there = aside < max(ALIGNED, 1.01 * float((aside / along).min())) * along
    tilt = np.degrees(np.arctan2(np.abs(up[there]), along[there]))
    length = np.linalg.norm(places[there], axis=1)
    second = np.where(tilt < NEARLY_IN_PLANE, length, 1e3 + tilt)
    u, v, w = trials[there][int(np.argmin(second.round(6)))].tolist()
    divisor = gcd(u, v, w)
    return u // divisor, v // divisor, w // divisor


def small_integers(values: ArrayLike, largest: int) -> Axis | None:
    """The smallest integers in the ratio of three numbers; None if there are none so small."""
    ratio = np.asarray(values, dtype=np.float64)
    ratio = ratio / np.abs(ratio).max()
    for factor in range(1, largest + 1):
        whole = np.round(factor * ratio)
        if np.abs(factor * ratio - whole).max() < ALIGNED:
            u, v, w = (int(i) for i in whole)
            return u, v, w
    return None


@lru_cache(maxsize=1)
def _directions() -> NDArray[np.int64]:
    """(M, 3) all [uvw] up to the highest index."""
    return np.array(list(product(range(-HIGHEST, HIGHEST + 1), repeat=3)), dtype=np.int64)


def _plainness(axis: Axis) -> tuple[int, bool, int, Axis]:
    """Sorting key, least for the axis that names its kind: [0 0 1], [1 1 0], [1 1 2], [2 1 0]."""
    u, v, w = axis
    return sum(i < 0 for i in axis), u != v, sum(abs(i) for i in axis), (-u, -v, -w)
