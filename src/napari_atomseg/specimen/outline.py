"""Outlines of specimens: edges, wedges, and nanoparticles with crystal facets or round corners."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Literal

import numpy as np

from napari_atomseg._shared.types import Array
from napari_atomseg.specimen.crystals.zone import OrientedCell
from napari_atomseg.specimen.structure import Structure


@dataclass(frozen=True)
class Thickness:
    """Relative thickness t(y, x) in 0..1: a product of ramps and of one smooth undulation.

    Attributes
    ----------
    planes : (P, 4) rows (ny, nx, distance, width): the specimen lies where
        n·r > distance, and grows from 0 to 1 over `width` Å beyond (0: a cliff).
    waves : (K, 4) rows (ky, kx, phase, amplitude) of an undulation in 1/Å and radians.
    """

    planes: Array = field(default_factory=lambda: np.zeros((0, 4)))
    waves: Array = field(default_factory=lambda: np.zeros((0, 4)))

    def __call__(self, y: Array, x: Array) -> Array:
        """Thickness at positions in Å."""
        result = np.ones(np.broadcast(y, x).shape)
        for ny, nx, distance, width in self.planes:
            depth = ny * y + nx * x - distance
            result = result * np.clip(depth / max(width, 1e-6), 0.0, 1.0)
        return np.asarray(result * np.clip(1.0 + self._wave(y, x), 0.15, None))

    def _wave(self, y: Array, x: Array) -> Array | float:
        """The undulation; over a grid by the cosines and sines of its axes, which are far fewer."""
        ky, kx, phase, amplitude = self.waves.T
        if np.ndim(y) == 2 and np.shape(y)[1] == 1 and np.size(x) == np.shape(x)[-1]:
            rows, cols = 2 * np.pi * ky * y + phase, 2 * np.pi * kx * np.reshape(x, (-1, 1))
            down = np.hstack([amplitude * np.cos(rows), -amplitude * np.sin(rows)])
            return np.asarray(down @ np.hstack([np.cos(cols), np.sin(cols)]).T)
        return sum(
            (a * np.cos(2 * np.pi * (v * y + u * x) + p) for v, u, p, a in self.waves),
            start=0.0,
        )


def random_planes(
    rng: np.random.Generator, centre: Array, extent: float, count: int, width: float
) -> Array:
    """`count` half-planes around a point near the centre; 3 or more make a faceted particle."""
    start = rng.uniform(0.0, 2 * np.pi)
    turns = start + 2 * np.pi * (np.arange(count) + rng.uniform(-0.2, 0.2, count)) / max(count, 1)
    normals = np.stack([np.sin(turns), np.cos(turns)], axis=1)
    away = extent * rng.uniform(0.05 if count < 3 else 0.2, 0.45, count)
    distance = normals @ centre - away
    return np.column_stack([normals, distance, np.full(count, width)])


def random_waves(rng: np.random.Generator, wavelength: float, amplitude: float) -> Array:
    """Four long waves that sum to an undulation of the given amplitude."""
    turns = rng.uniform(0.0, 2 * np.pi, 4)
    k = 1.0 / (wavelength * np.exp(rng.uniform(0.0, 1.0, 4)))
    return np.column_stack(
        [
            k * np.sin(turns),
            k * np.cos(turns),
            rng.uniform(0.0, 2 * np.pi, 4),
            amplitude * rng.uniform(0.0, 0.5, 4),
        ]
    )


Shape = Literal["bulk", "wedge", "edge", "particle", "rounded"]

OCTAHEDRON = tuple(product((-1, 1), repeat=3))
"""The eight {111} facets."""
CUBE = ((1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 1), (0, 0, -1))
"""The six {100} facets."""


@dataclass(frozen=True)
class Particle(Thickness):
    """A convex polyhedron, a ball, or what they share, as thick as the beam's path through it.

    Attributes
    ----------
    faces : (F, 4) rows (ny, nx, nz, distance): unit normals pointing out of the particle, and the
        distance of the face from the centre in Å.
    centre : (y, x) in Å.
    radius : radius of the ball in Å.
    """

    faces: Array = field(default_factory=lambda: np.zeros((0, 4)))
    centre: tuple[float, float] = (0.0, 0.0)
    radius: float = np.inf

    def __call__(self, y: Array, x: Array) -> Array:
        """Thickness at positions in Å, in units of that at the centre."""
        entry, leave = self.surfaces(y, x)
        return super().__call__(y, x) * np.maximum(leave - entry, 0.0) / self.depth

    def surfaces(self, y: Array, x: Array) -> tuple[Array, Array]:
        """Heights z, from the centre, at which the beam enters and leaves; entry > leave beside the
        particle.
        """
        dy, dx = np.broadcast_arrays(y - self.centre[0], x - self.centre[1])
        square = self.radius**2 - dy**2 - dx**2
        half = np.sqrt(np.maximum(square, 0.0))
        entry, leave = np.where(square < 0, np.inf, -half), np.where(square < 0, -np.inf, half)
        for ny, nx, nz, distance in self.faces:
            room = distance - ny * dy - nx * dx
            if abs(nz) < 1e-9:
                entry = np.where(room < -1e-9, np.inf, entry)
            elif nz > 0:
                leave = np.minimum(leave, room / nz)
            else:
                entry = np.maximum(entry, room / nz)
        return entry, leave

    @property
    def depth(self) -> float:
        """Å along the beam through the centre."""
        entry, leave = self.surfaces(*(np.array(c) for c in self.centre))
        return float(leave - entry)

    @property
    def reach(self) -> tuple[float, float]:
        """Lowest and highest z of the particle, from its centre."""
        from scipy.spatial import HalfspaceIntersection

        if len(self.faces) == 0:
            return -self.radius, self.radius
        planes = np.column_stack([self.faces[:, :3], -self.faces[:, 3]])
        z = HalfspaceIntersection(planes, np.zeros(3)).intersections[:, 2]
        return max(float(z.min()), -self.radius), min(float(z.max()), self.radius)


def wulff_particle(
    cell: OrientedCell,
    centre: tuple[float, float],
    octahedron: Array | float,
    cube: Array | float,
    radius: float = np.inf,
) -> Particle:
    """A crystal particle bounded by {111} and {100} facets.

    Parameters
    ----------
    cell : the crystal, turned as wanted.
    centre : (y, x) in Å.
    octahedron, cube : distances of the facets from the centre in Å, one for all or (8,) and (6,).
        Their ratio is that of the surface energies (Wulff); from √3 the cube's facets vanish.
    radius : radius of a ball that rounds edges and corners, in Å.
    """
    normals = np.concatenate([cell.normals(OCTAHEDRON), cell.normals(CUBE)])
    distances = np.concatenate([np.broadcast_to(octahedron, 8), np.broadcast_to(cube, 6)])
    return Particle(faces=np.column_stack([normals, distances]), centre=centre, radius=radius)


def carve(structure: Structure, shape: Thickness, thickness: float) -> Structure:
    """The atoms of a crystal that lie within an outline.

    Parameters
    ----------
    structure : atoms at 0 ≤ z < thickness.
    shape : a particle is cut out around half the thickness; other outlines keep the atoms at
        z < shape(y, x) · thickness.
    """
    if isinstance(shape, Particle):
        entry, leave = shape.surfaces(structure.y, structure.x)
        height = structure.z - 0.5 * thickness
        kept = structure.select((height >= entry - 1e-6) & (height <= leave + 1e-6))
        return replace(kept, z=kept.z - kept.z.min(initial=np.inf)) if len(kept) else kept
    return structure.select(structure.z < shape(structure.y, structure.x) * thickness)


def draw_shape(kind: Shape, rng: np.random.Generator, size: Array, cell: OrientedCell) -> Thickness:
    """An outline of a kind that shows in a field of `size` Å (y, x).

    Parameters
    ----------
    kind : "bulk"; "wedge", whose thickness grows across the field from nothing; "edge", a cliff
        to vacuum; "particle" with {111} and {100} facets at random distances; "rounded", the same
        with its corners off.
    cell : the crystal, turned as wanted, that gives the facets.

    Raises
    ------
    ValueError
        The kind is none of these.
    """
    if kind not in _SHAPES:
        raise ValueError(f"shape_kind={kind!r}; choose one of {', '.join(_SHAPES)}")
    return _SHAPES[kind](rng, size, cell)


def _bulk(rng: np.random.Generator, size: Array, cell: OrientedCell) -> Thickness:
    return Thickness()


def _half_plane(rng: np.random.Generator, size: Array, width: float) -> Thickness:
    turn = rng.uniform(0.0, 2 * np.pi)
    normal = np.array([np.sin(turn), np.cos(turn)])
    distance = normal @ (0.5 * size) - rng.uniform(0.0, 0.3) * size.min()
    return Thickness(np.array([[*normal, distance, width]]))


def _wedge(rng: np.random.Generator, size: Array, cell: OrientedCell) -> Thickness:
    return _half_plane(rng, size, rng.uniform(0.4, 1.2) * float(size.min()))


def _edge(rng: np.random.Generator, size: Array, cell: OrientedCell) -> Thickness:
    return _half_plane(rng, size, 0.0)


def _facets(rng: np.random.Generator, size: Array, cell: OrientedCell) -> Particle:
    octahedron = rng.uniform(0.28, 0.38, 8) * size.min()
    cube = octahedron.mean() * rng.uniform(1.0, 1.5) * rng.uniform(0.9, 1.1, 6)
    centre = 0.5 * size + rng.uniform(-0.08, 0.08, 2) * size
    return wulff_particle(cell, (float(centre[0]), float(centre[1])), octahedron, cube)


def _rounded(rng: np.random.Generator, size: Array, cell: OrientedCell) -> Particle:
    particle = _facets(rng, size, cell)
    return replace(particle, radius=float(particle.faces[:8, 3].mean()) * rng.uniform(0.98, 1.15))


_SHAPES: dict[str, Callable[[np.random.Generator, Array, OrientedCell], Thickness]] = {
    "bulk": _bulk,
    "wedge": _wedge,
    "edge": _edge,
    "particle": _facets,
    "rounded": _rounded,
}
