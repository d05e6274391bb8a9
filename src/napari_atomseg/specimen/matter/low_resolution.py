"""Scenes without atoms: particles, grains, bands, boxes and cracks, painted pixel by pixel.

They follow r_em's low-resolution images (Specimen generation, Undistorted data generation). Each
painter returns an (H, W) float64 picture ≥ 0 whose objects are about 1 high. Where the paper names
an object without its sizes, sizes are shares of the picture's shorter side.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_atomseg._shared.types import Array
from napari_atomseg.specimen.matter.packing import scatter

Rng = np.random.Generator
Shape = tuple[int, int]
Paint = Callable[[Array, Array], Array]
REACH = 7.0
"""Soft particles are painted out to this many radii, where they have faded to 1e-3."""


@dataclass(frozen=True)
class PatchPlace:
    """Where an object lies: its centre (row, col) in pixels, its turn in radians, its reach in
    pixels beyond which it paints nothing.
    """

    row: float
    col: float
    turn: float
    reach: float


def soft_particles(rng: Rng, shape: Shape, count: int, radius: tuple[float, float]) -> Array:
    """Blurred particles: the turned, asymmetric form of Eq. 17 with r_my = α r_mx, α in [0.8, 1.2].

    Parameters
    ----------
    count : number of particles.
    radius : range of r_m as a share of the shorter side.
    """
    picture = np.zeros(shape)
    scale = np.exp(rng.uniform(*np.log(radius))) * min(shape)
    for row, col in _centres(rng, shape, count):
        size = scale * rng.uniform(0.6, 1.4)
        place = PatchPlace(row, col, rng.uniform(0.0, np.pi), 1.2 * REACH * size)
        _add(picture, place, _soft_profile(rng, size))
    return picture


def sharp_particles(rng: Rng, shape: Shape, count: int, radius: tuple[float, float]) -> Array:
    """Particles with sharp borders, polygons of 3 to 5 corners or ellipses, each cut out of a
    sloping plane of intensity.
    """
    picture = np.zeros(shape)
    scale = np.exp(rng.uniform(*np.log(radius))) * min(shape)
    for row, col in _centres(rng, shape, count):
        size = scale * rng.uniform(0.5, 1.5)
        outline = _polygon(rng, size) if rng.random() < 0.5 else _ellipse(rng, size)
        place = PatchPlace(row, col, rng.uniform(0.0, 2 * np.pi), size)
        _add(picture, place, _cut(_plane(rng, size), outline))
    return picture


def grains(rng: Rng, shape: Shape, count: int, borders: bool) -> Array:
    """Voronoi cells, each a sloping plane of intensity; with border lines where asked for, whose
    intensity is 0.5 to 1.5 times the grains' mean.
    """
    from scipy.spatial import cKDTree

    centres = rng.random((count, 2)) * shape
    pixels = np.argwhere(np.ones(shape, dtype=bool)).astype(np.float64)
    distance, nearest = (np.asarray(found) for found in cKDTree(centres).query(pixels, k=2))
    home, next_one = nearest.T
    size = float(np.sqrt(shape[0] * shape[1] / count))
    level = rng.uniform(0.3, 1.0, count)
    slope = level[:, None] * rng.uniform(-0.5, 0.5, (count, 2)) / size
    offset = pixels - centres[home]
    picture: Array = np.maximum(level[home] + (slope[home] * offset).sum(axis=1), 0.0)
    if borders:
        apart = np.linalg.norm(centres[home] - centres[next_one], axis=1)
        from_border = (distance[:, 1] ** 2 - distance[:, 0] ** 2) / (2.0 * apart)
        width = rng.uniform(0.5, max(0.5, 0.05 * size))
        line = np.clip(width + 0.5 - from_border, 0.0, 1.0)
        picture += line * (rng.uniform(0.5, 1.5) * picture.mean() - picture)
    return picture.reshape(shape)


def bands(rng: Rng, shape: Shape, count: int) -> Array:
    """Parallel strips across the picture, of different widths, each sloping along and across."""
    picture = np.zeros(shape)
    turn = rng.uniform(0.0, np.pi)
    reach = float(np.hypot(*shape))
    for _ in range(count):
        half = min(shape) * np.exp(rng.uniform(np.log(0.004), np.log(0.12)))
        row, col = rng.random(2) * shape
        edge = float(rng.choice([1.0, 0.5 * half + 1.0]))
        place = PatchPlace(row, col, turn + rng.normal(0.0, 0.03), 2 * reach)
        _add(picture, place, _cut(_plane(rng, 0.5 * reach), _strip(half, edge)))
    return picture


def boxes(rng: Rng, shape: Shape, count: int, radius: tuple[float, float]) -> Array:
    """Rectangles with sharp borders, each cut out of a sloping plane; all turned alike or each
    its own way.
    """
    picture = np.zeros(shape)
    scale = np.exp(rng.uniform(*np.log(radius))) * min(shape)
    turn, spread = rng.uniform(0.0, np.pi), rng.choice([0.0, np.pi])
    for row, col in _centres(rng, shape, count):
        half_u, half_v = scale * np.exp(rng.uniform(-0.8, 0.8, 2))
        reach = float(np.hypot(half_u, half_v))
        place = PatchPlace(row, col, turn + spread * rng.random(), reach)
        _add(picture, place, _cut(_plane(rng, reach), _box(half_u, half_v)))
    return picture


def cracks(rng: Rng, shape: Shape, count: int) -> Array:
    """(H, W) in 0..1, how much of the specimen is left where cracks run through it.

    Each crack is a jagged walk that narrows toward both ends and may be a deep rift or a faint
    line.
    """
    left = np.ones(shape)
    for _ in range(count):
        points = _walk(rng, shape)
        along = np.linspace(-1.0, 1.0, len(points))
        widest = min(shape) * np.exp(rng.uniform(np.log(0.002), np.log(0.02)))
        half = widest * np.sqrt(1.0 - along**2) * rng.uniform(0.5, 1.0, len(points)) + 0.3
        gap = np.zeros(shape)
        for start, end, width in zip(points[:-1], points[1:], half[:-1], strict=True):
            _dig(gap, start, end, float(width))
        left *= 1.0 - rng.uniform(0.3, 1.0) * gap
    return left


def _centres(rng: Rng, shape: Shape, count: int) -> Array:
    """(N, 2) centres no closer than 1 to 20 px to each other, as r_em's individual points."""
    return scatter(rng, np.array(shape, dtype=np.float64), count, rng.uniform(1.0, 20.0))


def _add(picture: Array, place: PatchPlace, paint: Paint) -> None:
    """Add paint(u, v) within reach; u and v are pixels along the turned axes of the object."""
    window = _window(picture.shape, place.row, place.col, place.reach)
    rows, cols = (np.arange(s.start, s.stop, dtype=np.float64) for s in window)
    down, right = rows[:, None] - place.row, cols[None] - place.col
    cosine, sine = np.cos(place.turn), np.sin(place.turn)
    picture[window] += paint(cosine * right + sine * down, cosine * down - sine * right)


def _window(shape: tuple[int, ...], row: float, col: float, reach: float) -> tuple[slice, slice]:
    """The part of the picture within reach of a point, one pixel more for soft edges."""
    first, last = (
        [
            int(np.clip(edge, 0, n))
            for edge, n in zip((np.floor(row + s), np.floor(col + s)), shape, strict=True)
        ]
        for s in (-reach - 1.0, reach + 2.0)
    )
    return slice(first[0], last[0]), slice(first[1], last[1])


def _plane(rng: Rng, size: float) -> Paint:
    """A sloping plane of random height, positive within `size` of the object's centre."""
    height = rng.uniform(0.2, 1.0)
    turn = rng.uniform(0.0, 2 * np.pi)
    slope = height * rng.uniform(0.0, 0.8) / size
    return lambda u, v: np.maximum(height + slope * (np.cos(turn) * u + np.sin(turn) * v), 0.0)


def _cut(plane: Paint, outline: Paint) -> Paint:
    """The part of a plane within an outline."""
    return lambda u, v: plane(u, v) * outline(u, v)


def _soft_profile(rng: Rng, size: float) -> Paint:
    """Eq. 17 with different widths along u and v, 1 at its centre."""
    heights = rng.uniform(0.5, 1.0, 3)
    gaussian, exponential, butterworth = heights / heights.sum()
    power = rng.uniform(4.0, 16.0)
    ratio = rng.uniform(0.8, 1.2)

    def profile(u: Array, v: Array) -> Array:
        square = (u / size) ** 2 + (v / (ratio * size)) ** 2
        fall: Array = gaussian * np.exp(-0.5 * square) + exponential * np.exp(-np.sqrt(square))
        fall += butterworth / (1.0 + square**power)
        return fall

    return profile


def _strip(half: float, edge: float) -> Paint:
    """A strip along u, `half` px to either side, whose borders rise over `edge` px."""
    return lambda u, v: np.clip((half - np.abs(v)) / edge + 0.5, 0.0, 1.0)


def _box(half_u: float, half_v: float) -> Paint:
    """A rectangle."""
    return lambda u, v: _edge(half_u - np.abs(u)) * _edge(half_v - np.abs(v))


def _edge(depth: Array) -> NDArray[np.float64]:
    """Share of a pixel inside a border that lies `depth` pixels away."""
    return np.clip(depth + 0.5, 0.0, 1.0)


def _polygon(rng: Rng, size: float) -> Paint:
    """A convex polygon of 3 to 5 corners on a circle of radius `size`."""
    count = int(rng.integers(3, 6))
    turns = 2 * np.pi * (np.arange(count) + rng.uniform(-0.3, 0.3, count)) / count
    corners = size * np.stack([np.cos(turns), np.sin(turns)], axis=1)
    side = np.roll(corners, -1, axis=0) - corners
    normal = np.stack([-side[:, 1], side[:, 0]], axis=1) / np.linalg.norm(side, axis=1)[:, None]
    start = (normal * corners).sum(axis=1)

    def inside(u: Array, v: Array) -> Array:
        depth = np.full(np.broadcast(u, v).shape, np.inf)
        for (nu, nv), distance in zip(normal, start, strict=True):
            depth = np.minimum(depth, nu * u + nv * v - distance)
        return _edge(depth)

    return inside


def _ellipse(rng: Rng, size: float) -> Paint:
    """An ellipse with a long half axis of `size` pixels."""
    ratio = rng.uniform(0.4, 1.0)

    def inside(u: Array, v: Array) -> Array:
        # To first order the distance from the border is the mean radius times what is left of 1.
        return _edge((1.0 - np.hypot(u, v / ratio) / size) * size * np.sqrt(ratio))

    return inside


def _walk(rng: Rng, shape: Shape) -> Array:
    """(N, 2) corners of a jagged line through the picture."""
    steps = int(rng.integers(12, 60))
    turns = rng.uniform(0.0, 2 * np.pi) + np.cumsum(rng.normal(0.0, 0.12, steps))
    turns += rng.normal(0.0, 0.5, steps)
    length = min(shape) * rng.uniform(0.3, 1.2) / steps
    path = np.cumsum(length * np.stack([np.sin(turns), np.cos(turns)], axis=1), axis=0)
    return np.asarray(path - path[steps // 2] + rng.random(2) * shape)


def _dig(gap: Array, start: Array, end: Array, width: float) -> None:
    """Set pixels within `width` of the segment from start to end to 1."""
    middle, span = 0.5 * (start + end), end - start
    window = _window(gap.shape, middle[0], middle[1], 0.5 * float(np.hypot(*span)) + width)
    rows, cols = (np.arange(s.start, s.stop, dtype=np.float64) for s in window)
    down, right = rows[:, None] - start[0], cols[None] - start[1]
    share = np.clip((down * span[0] + right * span[1]) / (span @ span), 0.0, 1.0)
    distance = np.hypot(down - share * span[0], right - share * span[1])
    gap[window] = np.maximum(gap[window], _edge(width - distance))
