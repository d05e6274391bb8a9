"""Convex shapes that specimens are cut to: wedges, rods, polyhedra, half-spaces.

All lengths are in Å and all points (y, x, z), z along the beam (r_em, Specimen generation).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from napari_atomseg._shared.types import Array
from napari_atomseg.specimen.matter.packing import random_turn

Rng = np.random.Generator
Side = Literal["top", "bottom", "both"]


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
    thickness : of the slab.
    side : which surface is inclined: "top" (where the beam enters), "bottom" or "both".
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
