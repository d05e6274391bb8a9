"""What Gaussians leave of the columns: the tail of the probe, which all columns share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import fft
from scipy.optimize import lsq_linear
from scipy.spatial import cKDTree

from napari_atomseg._shared.types import Array, Mask
from napari_atomseg.progress import checkpoint

STEP = 0.75
"""Distance between the knots of the tail, over sigma."""
REACH = 1.15
"""Farthest distance of the tail over the spacing of the columns: beyond the sites between them."""
FARTHEST = 8.0
"""The same over sigma."""
SAMPLE = 400
"""Columns that are enough to find a shape that all of them share."""
ACROSS = 13
"""Pixels along the diameter of the disc about each of them."""
AROUND = 16
"""Columns whose tails may reach a pixel."""
INNER = 2.8
"""Distance over sigma within which the tail has any shape. Beyond, it is positive and low: else the
sum of the tails of all columns of a lattice could be any pattern with the lattice's symmetry, a
faint sublattice among them."""
RING = 0.025
"""Highest tail at that distance, over the height of the column; it falls off with the distance. The
first ring of an aperture without aberrations has 0.0175, at 3.8 sigma."""
SEEN = 0.003
"""Weight of the pixels at a knot over that at the others, below which the knot lies between its
neighbours: where all columns lie alike on the pixels, some distances have none."""
CLIP = 4.0
"""Residuals beyond so many standard deviations do not pull the shape."""


@dataclass(frozen=True)
class Tail:
    """A piecewise linear function of the distance from a column, for columns of height 1.

    Attributes
    ----------
    knots : (K,) distances in pixels; at the last one the tail has ended.
    values : (K,) the tail there.
    """

    knots: Array
    values: Array

    def light(self, shape: tuple[int, ...], y: Array, x: Array, amplitude: Array) -> Array:
        """(H, W) tails of columns at y, x (N,), drawn by a Fourier transform.

        Each column is divided among the four pixels around it: tails are smooth.
        """
        half = int(np.ceil(self.knots[-1])) + 1
        step = np.arange(-half, half + 1)
        distance = np.hypot(step[:, None], step)
        kernel = np.interp(distance, self.knots, self.values, right=0.0)
        # A fit may end just beyond the border.
        places = [np.clip(v, 0.0, n - 1.0) for v, n in zip((y, x), shape, strict=True)]
        low = [np.minimum(v.astype(int), max(n - 2, 0)) for v, n in zip(places, shape, strict=True)]
        width = shape[1]
        points = np.zeros(shape[0] * width)
        for i in range(min(2, shape[0])):
            for j in range(min(2, width)):
                share = np.abs(1 - i - (places[0] - low[0])) * np.abs(1 - j - (places[1] - low[1]))
                where = (low[0] + i) * width + low[1] + j
                points += np.bincount(where, share * amplitude, len(points))
        sizes = [fft.next_fast_len(n + 2 * half, real=True) for n in shape[:2]]
        both = fft.rfft2(points.reshape(shape[:2]), sizes) * fft.rfft2(kernel, sizes)
        return np.asarray(fft.irfft2(both, sizes)[half : half + shape[0], half : half + shape[1]])


def knots_of(sigma: float, spacing: float) -> Array:
    """(K,) distances of the knots, pixels; at the last one the tail ends."""
    reach = min(max(4.0 * sigma, REACH * spacing), FARTHEST * sigma)
    return np.linspace(0.0, reach, max(3, 1 + round(reach / (STEP * sigma))))


def hats(distance: Array, weight: Array, knots: Array) -> Array:
    """(P, K - 1) sums over columns of `weight` times the piecewise linear functions of the knots.

    Parameters
    ----------
    distance, weight : (P, J) of J columns from each of P pixels; those too far do not count.
    """
    count = len(knots) - 1
    near = np.isfinite(distance)
    place = np.where(near, distance, knots[-1]) / knots[1]
    low = np.floor(np.minimum(place, count)).astype(np.int64)
    part = place - low
    near &= low < count
    row = np.broadcast_to(np.arange(len(distance))[:, None], distance.shape)
    table = np.zeros(len(distance) * (count + 1))
    for offset, share in ((0, 1.0 - part), (1, part)):
        checkpoint()
        where = (row * (count + 1) + low + offset)[near]
        table += np.bincount(where, (share * weight)[near], len(table))
    return table.reshape(len(distance), count + 1)[:, :count]


def shared_tail(
    residual: Array,
    used: Mask,
    y: Array,
    x: Array,
    amplitude: Array,
    sigma: float,
    spacing: float,
    inner: float = INNER,
) -> Tail:
    """Least squares of the tail in discs about some columns, each on a background of its own.

    Parameters
    ----------
    residual : (H, W) the image less its fitted columns.
    used : (H, W) pixels that count.
    y, x, amplitude : (N,) of the columns.
    inner : distance over sigma within which the tail has any shape.
    """
    knots = knots_of(sigma, spacing)
    some = np.arange(0, len(y), max(1, len(y) // SAMPLE))
    axis = np.linspace(-knots[-1], knots[-1], ACROSS)
    offsets = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    offsets = offsets[np.hypot(*offsets.T) <= knots[-1]]
    pixels = np.rint(np.stack([y, x], axis=1)[some, None] + offsets).astype(int).reshape(-1, 2)
    group = np.repeat(np.arange(len(some)), len(offsets))
    inside = ((pixels >= 0) & (pixels < residual.shape)).all(axis=1)
    inside[inside] = used[tuple(pixels[inside].T)]
    pixels, group = pixels[inside], group[inside]
    if len(pixels) < 4 * len(knots):
        return Tail(knots, np.zeros(len(knots)))
    tree = cKDTree(np.stack([y, x], axis=1))
    distance, near = tree.query(
        pixels, k=range(1, min(AROUND, len(y)) + 1), distance_upper_bound=knots[-1]
    )
    design = hats(np.asarray(distance), np.append(amplitude, 0.0)[near], knots)
    seen, between = _seen(design, knots)
    design = design @ between
    values = residual[tuple(pixels.T)]
    counts = np.maximum(np.bincount(group), 1)

    def centred(v: Array) -> Array:
        return np.asarray(v - (np.bincount(group, v) / counts)[group])

    design = np.stack([centred(v) for v in design.T], axis=1)
    values = centred(values)
    # Parameters of the outer tail are its steps down from knot to knot: a ring of the probe is not
    # told from columns here.
    lower, upper = (limits[seen] for limits in tail_limits(knots, sigma, inner))
    outer = int(np.sum(np.isinf(lower)))
    form = np.eye(len(lower))
    form[outer:, outer:] = np.triu(np.ones_like(form[outer:, outer:]))
    upper[outer:] = upper[outer:] - np.append(upper[outer + 1 :], 0.0)
    found = np.zeros(len(lower))
    kept = np.ones(len(values), dtype=bool)
    for _ in range(2):
        checkpoint()
        found = form @ bounded(design[kept] @ form, values[kept], lower, upper)
        rest = np.abs(values - design @ found)
        kept = rest <= CLIP * 1.4826 * max(float(np.median(rest)), np.finfo(float).tiny)
    return Tail(knots, np.append(between @ found, 0.0))


def _seen(design: Array, knots: Array) -> tuple[Mask, Array]:
    """(K - 1,) knots that pixels show, and (K - 1, M) the values of all from those of these M."""
    weight = (design**2).sum(axis=0)
    seen: Mask = weight >= SEEN * np.median(weight)
    places = np.append(knots[:-1][seen], knots[-1])
    units = np.pad(np.eye(int(seen.sum())), ((0, 0), (0, 1)))
    return seen, np.stack([np.interp(knots[:-1], places, unit) for unit in units], axis=1)


def tail_limits(knots: Array, sigma: float, inner: float = INNER) -> tuple[Array, Array]:
    """Lowest and highest values (K - 1,) of the tail at all knots but the last."""
    near = knots[:-1] < inner * sigma
    limit = RING * INNER * sigma / np.maximum(knots[:-1], sigma)
    return np.where(near, -np.inf, 0.0), np.where(near, np.inf, limit)


def bounded(design: Array, values: Array, lower: Array, upper: Array) -> Array:
    """(K,) least squares of parameters between bounds, from normal equations with a tiny ridge."""
    matrix, slope = design.T @ design, design.T @ values
    scale = np.sqrt(np.maximum(np.diag(matrix), 1e-12 * max(float(np.diag(matrix).max()), 1e-300)))
    scaled = matrix / np.outer(scale, scale) + 1e-6 * np.eye(len(scale))
    root = np.linalg.cholesky(scaled)
    target = np.linalg.solve(root, slope / scale)
    found = lsq_linear(root.T, target, bounds=(lower * scale, upper * scale), method="bvls").x
    return np.asarray(found / scale)
