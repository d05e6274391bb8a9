"""Random matter in a slab, and the convex shapes that it is cut to (r_em, Specimen generation).

Matter is crystals along zone axes or not, amorphous elements, or points. Shapes are wedges, rods,
polyhedra and half-spaces; their lengths are in Å and their points (y, x, z), z along the beam.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from napari_atomseg._shared.types import Array, Indices
from napari_atomseg.specimen.crystals.zone import OrientedCell
from napari_atomseg.specimen.matter.amorphous import AmorphousCell
from napari_atomseg.specimen.matter.packing import fill_box, random_turn, scatter
from napari_atomseg.specimen.matter.random_crystal import HEAVIEST
from napari_atomseg.specimen.structure import Structure

Rng = np.random.Generator
Side = Literal["top", "bottom", "both"]


@dataclass(frozen=True)
class Slab:
    """The part of space that matter may fill.

    Attributes
    ----------
    lower, upper : corners (y, x) in Å.
    thickness : most Å along the beam.
    atoms : most atoms; matter too dense for them gets thinner.
    """

    lower: Array
    upper: Array
    thickness: float
    atoms: int

    def depth(self, density: float) -> float:
        """Å that matter of so many atoms per Å³ fills, at least one layer of atoms."""
        area = float(np.prod(self.upper - self.lower))
        layer = 1.0 / np.cbrt(density)
        return max(min(self.thickness, self.atoms / (area * density)), float(layer))

    def box(self, density: float) -> tuple[Array, Array]:
        """Corners (y, x, z), z from 0, of what matter of so many atoms per Å³ fills."""
        return np.append(self.lower, 0.0), np.append(self.upper, self.depth(density))


@dataclass(frozen=True)
class Matter:
    """A slab of matter.

    Attributes
    ----------
    structure : its atoms, z from 0.
    thickness : Å.
    spacing : Å, its natural length in projection.
    lean : Å by which columns lean over the thickness.
    """

    structure: Structure
    thickness: float
    spacing: float
    lean: float = np.inf


def crystal_on_axis(cell: OrientedCell, slab: Slab, tilt: float, towards: float) -> Matter:
    """A crystal seen along a zone axis, off by a small tilt.

    Where columns lean by more than half of what they have of room, no atom belongs to one.

    Parameters
    ----------
    tilt : tilt of the axis off the beam, degrees.
    towards : azimuth of the tilt in the plane, degrees.
    """
    density = len(cell.positions) / abs(float(np.linalg.det(cell.vectors)))
    lower, upper = slab.box(density)
    leaning = _tilted(tilt, towards)
    middle = 0.5 * (lower + upper)
    upright = cell.positions @ cell.vectors
    points, source = fill_box(
        cell.vectors @ leaning, upright @ leaning, lower - middle, upper - middle
    )
    plane = abs(float(np.linalg.det(cell.vectors[:2, :2])))
    spacing = float(np.sqrt(plane / (cell.column.max() + 1)))
    lean = float(upper[2]) * float(np.tan(np.deg2rad(abs(tilt))))
    column = np.full(len(points), -1, dtype=np.int64)
    if lean <= 0.5 * spacing:
        steps = (points @ leaning.T - upright[source]) @ np.linalg.inv(cell.vectors)
        home = np.rint(steps[:, :2]).astype(np.int64)
        row, col = (home - home.min(axis=0, initial=0)).T
        key = (row * (col.max(initial=0) + 1) + col) * len(upright) + cell.column[source]
        column = np.unique(key, return_inverse=True)[1].astype(np.int64)
    structure = _atoms(points + middle, cell.numbers[source], column)
    return Matter(structure, float(upper[2]), spacing, lean)


def crystal_off_axis(cell: Array, points: Array, numbers: Indices, slab: Slab, rng: Rng) -> Matter:
    """A crystal turned at random.

    Parameters
    ----------
    cell, points : (3, 3) vectors and (N, 3) atoms in Å. numbers : (N,) atomic numbers.
    """
    density = len(points) / abs(float(np.linalg.det(cell)))
    turn = random_turn(rng)
    start = rng.random(3) @ cell
    lower, upper = slab.box(density)
    filled, source = fill_box(cell @ turn, (points + start) @ turn, lower, upper)
    structure = _atoms(filled, numbers[source], np.full(len(filled), -1))
    return Matter(structure, float(upper[2]), float(np.cbrt(1.0 / density)))


def amorphous_slab(cell: AmorphousCell, slab: Slab, rng: Rng) -> Matter:
    """Amorphous matter, cut at random from a periodic cell."""
    lower, upper = slab.box(cell.density)
    structure = cell.cut(rng, lower, upper)
    return Matter(structure, float(upper[2]), float(np.cbrt(1.0 / cell.density)))


def single_atoms(slab: Slab, count: int, distance: float, elements: int, rng: Rng) -> Matter:
    """Single atoms of some elements at random places, each of them a column of its own.

    Parameters
    ----------
    distance : Å, the smallest between any two.
    """
    lower, upper = np.append(slab.lower, 0.0), np.append(slab.upper, slab.thickness)
    points = lower + scatter(rng, upper - lower, min(count, slab.atoms), distance)
    kinds = rng.integers(1, HEAVIEST + 1, elements)
    structure = _atoms(points, rng.choice(kinds, len(points)), np.arange(len(points)))
    area = float(np.prod(slab.upper - slab.lower))
    spacing = max(distance, float(np.sqrt(area / max(len(points), 1))))
    return Matter(structure, slab.thickness, spacing, lean=0.0)


def with_defects(structure: Structure, share: float, moved: bool, rng: Rng) -> Structure:
    """The structure with a share of its atoms taken out, or moved as far as they are large.

    Moved atoms are shifted along each axis by normal numbers with the covalent radius as standard
    deviation, and leave their columns (r_em, Specimen generation).
    """
    from ase.data import covalent_radii

    chosen = rng.permutation(len(structure))[: round(share * len(structure))]
    if not moved:
        keep = np.ones(len(structure), dtype=bool)
        keep[chosen] = False
        return structure.select(keep)
    points = np.stack([structure.y, structure.x, structure.z], axis=1)
    radius = np.asarray(covalent_radii)[structure.number[chosen]]
    points[chosen] += radius[:, None] * rng.normal(size=(len(chosen), 3))
    column = structure.column.copy()
    column[chosen] = -1
    return replace(structure, y=points[:, 0], x=points[:, 1], z=points[:, 2], column=column)


def _tilted(tilt: float, towards: float) -> Array:
    """(3, 3) rotation of rows (y, x, z) that leans z by `tilt` degrees towards an azimuth."""
    angle, azimuth = np.deg2rad([tilt, towards])
    axis = np.array([np.cos(azimuth), -np.sin(azimuth), 0.0])
    cross = np.cross(np.eye(3), axis)
    return np.asarray(np.eye(3) + np.sin(angle) * cross + (1.0 - np.cos(angle)) * cross @ cross)


def _atoms(points: Array, numbers: Indices, column: Indices) -> Structure:
    return Structure(
        points[:, 0], points[:, 1], points[:, 2], numbers.astype(np.int64), column.astype(np.int64)
    )


@dataclass(frozen=True)
class ConvexShape:
    """Where n · r ≤ d for every one of P planes.

    Attributes
    ----------
    normals : (P, 3) outward normals n, of any length.
    distances : (P,) d.
    """

    normals: Array
    distances: Array

    def holds(self, points: Array) -> NDArray[np.bool_]:
        """(N,) which of (N, 3) points lie within."""
        inside = np.ones(len(points), dtype=bool)
        for normal, distance in zip(self.normals, self.distances, strict=True):
            inside &= points @ normal <= distance
        return inside

    def at(self, centre: Array) -> ConvexShape:
        """The shape moved by (3,) Å."""
        return ConvexShape(self.normals, self.distances + self.normals @ centre)


def wedge(edge: Array, turn: float, angle: float, thickness: float, side: Side) -> ConvexShape:
    """A slab at 0 ≤ z ≤ thickness that thins out to a straight edge.

    Parameters
    ----------
    edge : (y, x) a point of the edge, beyond which is vacuum.
    turn : degrees in the plane from x towards y, into which the slab grows thicker.
    angle : degrees between the surfaces.
    thickness : thickness of the slab.
    side : inclined surface: "top" (where the beam enters), "bottom" or "both".
    """
    into = np.array([np.sin(np.deg2rad(turn)), np.cos(np.deg2rad(turn))])
    halves = 2 if side == "both" else 1
    slope = np.tan(np.deg2rad(angle) / halves)
    tip = {"top": thickness, "bottom": 0.0, "both": 0.5 * thickness}[side]
    # Thickness grows from the tip: |z - tip| ≤ slope · (distance from the edge).
    signs = {"top": (-1.0,), "bottom": (1.0,), "both": (-1.0, 1.0)}[side]
    normals = np.array([[*(-slope * into), sign] for sign in signs])
    distances = np.array([sign * tip - slope * float(into @ edge) for sign in signs])
    return ConvexShape(normals, distances)


def rod(rng: Rng, radius: float, corners: int) -> ConvexShape:
    """An endless rod through the origin along a random direction, with a polygon of so many
    corners on a circle of this radius as its section.
    """
    section = _corners_on_circle(rng, corners)
    side = np.roll(section, -1, axis=0) - section
    outward = np.stack([side[:, 1], -side[:, 0]], axis=1)
    distances = radius * (outward * section).sum(axis=1)
    return ConvexShape(outward @ random_turn(rng)[:2], distances)


def polyhedron(rng: Rng, radius: float, corners: int) -> ConvexShape:
    """The convex hull of random corners on a sphere of this radius around the origin.

    Parameters
    ----------
    corners : 4 or more.
    """
    from scipy.spatial import ConvexHull

    directions = rng.normal(size=(corners, 3))
    hull = ConvexHull(directions / np.linalg.norm(directions, axis=1, keepdims=True))
    return ConvexShape(hull.equations[:, :3].copy(), -radius * hull.equations[:, 3])


def half_space(rng: Rng) -> ConvexShape:
    """One side of a plane through the origin, parallel to the beam and turned at random."""
    turn = rng.uniform(0.0, 2 * np.pi)
    return ConvexShape(np.array([[np.sin(turn), np.cos(turn), 0.0]]), np.zeros(1))


def _corners_on_circle(rng: Rng, count: int) -> Array:
    """(count, 2) corners of a convex polygon around the origin, counterclockwise."""
    # By less than a quarter of a step, so that even a triangle holds the origin.
    turns = 2 * np.pi * (np.arange(count) + rng.uniform(-0.24, 0.24, count)) / count
    return np.stack([np.cos(turns), np.sin(turns)], axis=1)
