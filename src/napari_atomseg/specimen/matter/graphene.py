"""Graphene with the defects that HRTEM shows, its bonds relaxed around them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from napari_atomseg._shared.types import Array, Indices
from napari_atomseg.specimen.crystals.builtin import GRAPHENE_CELL
from napari_atomseg.specimen.crystals.zone import in_plane_turn

BOND = GRAPHENE_CELL / np.sqrt(3.0)
"""Å."""
LONGEST_BOND = 1.85
"""Å."""
BENDING = 0.2
"""Stiffness of the distance to second neighbours relative to that of the bonds."""


def find_bonds(points: Array) -> Indices:
    """(B, 2) pairs of the (N, 2) atoms that are bonded."""
    return np.asarray(cKDTree(points).query_pairs(LONGEST_BOND, output_type="ndarray"), np.int64)


def bond_numbers(points: Array) -> Indices:
    """(N,) number of bonds of each atom."""
    return np.bincount(find_bonds(points).reshape(-1), minlength=len(points))


def line_defect(lower: Array, upper: Array, origin: Array, rotation: float) -> Array:
    """(N, 2) atoms of graphene across a line of pentagon pairs and octagons.

    Two halves with zigzag edges mirror each other in a line of C2 dimers, one in two periods of the
    edge (Lahiri et al., Nature Nanotechnology 5, 326, 2010).

    Parameters
    ----------
    lower, upper : corners (y, x) of the box that is filled, Å.
    origin : (y, x) of a point of the line.
    rotation : rotation of the line from the direction of x, degrees, counter-clockwise as shown.
    """
    reach = float(np.linalg.norm(upper - lower)) + 2 * GRAPHENE_CELL
    reach += float(np.linalg.norm(0.5 * (lower + upper) - origin))
    aside = 0.5 * (GRAPHENE_CELL - BOND)
    drop = np.sqrt(BOND**2 - aside**2)
    columns = GRAPHENE_CELL * np.arange(-2 * (reach // (2 * GRAPHENE_CELL)), reach // GRAPHENE_CELL)
    half = []
    for height, shift in ((0.0, 0.0), (0.5, 0.5), (1.5, 0.5), (2.0, 0.0)):
        rows = BOND * (height + 3.0 * np.arange(reach // (3 * BOND) + 1)) + drop
        half.append(_grid(rows, columns + shift * GRAPHENE_CELL))
    upper_half = np.concatenate(half)
    every_other = columns[::2]
    dimers = np.sort(np.concatenate([every_other + aside, every_other + aside + BOND]))
    points = np.concatenate([upper_half, _grid(np.zeros(1), dimers), upper_half * [-1.0, 1.0]])
    points = points @ in_plane_turn(rotation) + origin
    return np.asarray(points[np.all((points >= lower) & (points <= upper), axis=1)])


def _grid(y: Array, x: Array) -> Array:
    return np.stack([g.reshape(-1) for g in np.meshgrid(y, x, indexing="ij")], axis=1)


def stone_wales(points: Array, first: int, second: int) -> Array:
    """The atoms with one bond turned by a right angle: two pentagons and two heptagons, when the
    bonds have been relaxed.
    """
    points = points.copy()
    centre = 0.5 * (points[first] + points[second])
    half = points[first] - centre
    across = np.array([half[1], -half[0]])
    points[first], points[second] = centre + across, centre - across
    return points


def divacancy(points: Array, first: int, second: int) -> Array:
    """The atoms without two bonded ones, and the four that lost a bond drawn together in pairs: a
    pentagon, an octagon and a pentagon, when the bonds have been relaxed.
    """
    centre = 0.5 * (points[first] + points[second])
    along = points[first] - points[second]
    bonds = find_bonds(points)
    around = bonds[np.isin(bonds, (first, second)).any(axis=1)]
    open_ended = np.setdiff1d(around, (first, second))
    points = points.copy()
    for sign in (1.0, -1.0):
        pair = open_ended[sign * ((points[open_ended] - centre) @ along) > 0]
        middle = points[pair].mean(axis=0)
        # Closer than the longest bond, so that the relaxation takes them for bonded.
        stretch = 0.95 * LONGEST_BOND / np.linalg.norm(np.ptp(points[pair], axis=0))
        points[pair] = middle + stretch * (points[pair] - middle)
    return np.asarray(np.delete(points, (first, second), axis=0))


def rough_edge(
    points: Array, rng: np.random.Generator, point: Array, normal: Array, roughness: float
) -> Array:
    """The atoms on the near side of an irregular edge, without those that hang by one bond.

    Parameters
    ----------
    point, normal : (y, x) of a point of the edge in Å, and its unit normal, which points to vacuum.
    roughness : deviation of the edge from a straight line in Å.
    """
    across = (points - point) @ normal
    along = (points - point) @ np.array([normal[1], -normal[0]])
    edge = np.zeros(len(points))
    for wavelength in (7.0, 16.0, 37.0):
        wave = np.sin(2 * np.pi * (along / wavelength + rng.random()))
        edge += np.sqrt(2.0 / 3.0) * roughness * wave
    points = points[across < edge]
    while len(points):
        bonded = bond_numbers(points) > 1
        if bonded.all():
            break
        points = points[bonded]
    return points


def relax(points: Array, moving: NDArray[np.bool_], steps: int = 80) -> Array:
    """The (N, 2) atoms after their bonds and angles have relaxed.

    Bonds pull to the length they have in graphene, and second neighbours to their distance in it
    (a valence force field in the plane); the steepest descent carries momentum.

    Parameters
    ----------
    moving : (N,) true for the atoms that may move.
    """
    bonds = find_bonds(points)
    second = _second_neighbours(bonds, len(points))
    keep = [moving[pairs].any(axis=1) for pairs in (bonds, second)]
    bonds, second = bonds[keep[0]], second[keep[1]]
    pairs = np.concatenate([bonds, second])
    rest = np.repeat([BOND, GRAPHENE_CELL], [len(bonds), len(second)])
    stiffness = np.repeat([1.0, BENDING], [len(bonds), len(second)])
    first, other = pairs.T
    points, velocity = points.copy(), np.zeros_like(points)
    for _ in range(steps):
        apart = points[other] - points[first]
        length = np.hypot(apart[:, 0], apart[:, 1])
        pull = apart * (stiffness * (1.0 - rest / length))[:, None]
        for axis in (0, 1):
            force = np.bincount(first, pull[:, axis], len(points))
            force -= np.bincount(other, pull[:, axis], len(points))
            velocity[:, axis] = 0.8 * velocity[:, axis] + 0.15 * force * moving
        points += velocity
    return points


def _second_neighbours(bonds: Indices, count: int) -> Indices:
    """(S, 2) pairs of atoms that share a neighbour and are not bonded."""
    from scipy.sparse import coo_array

    both = np.concatenate([bonds, bonds[:, ::-1]])
    linked = coo_array((np.ones(len(both)), both.T), shape=(count, count)).tocsr()
    paths = (linked @ linked).tocoo()
    upper = (paths.row < paths.col) & (np.asarray(linked[paths.row, paths.col]).reshape(-1) == 0)
    return np.stack([paths.row[upper], paths.col[upper]], axis=1).astype(np.int64)
