"""Single columns that stand out of the residual near those found."""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from scipy.special import ndtr

from napari_atomseg._shared.types import Array
from napari_atomseg.localization.completion.cells import equivalent
from napari_atomseg.localization.completion.columns import RESIDUAL, Columns, apart
from napari_atomseg.localization.completion.hints import Hints
from napari_atomseg.localization.completion.residual import Residual
from napari_atomseg.localization.completion.sublattices import FAINTEST, TESTS

NEAR = 1.5
"""Single columns are looked for within this many spacings of those found."""
SURROUNDING = 4
"""Nearest columns, the highest of which has the tail that matters at a place."""


def single_columns(residual: Residual, rate: float, hints: Hints) -> Columns:
    """Single maxima of the heights that are as rare in noise as asked for, with hints of them.

    Parameters
    ----------
    rate : expected number of false ones in an image.
    """
    heights, sigma = residual.heights, residual.sigma
    filled = np.where(np.isfinite(heights), heights, -np.inf)
    size = 2 * max(1, round(sigma)) + 1
    lowest = 1.5 * float(residual.noise.typical)
    top = (filled > max(lowest, 0.0)) & (filled == ndimage.maximum_filter(filled, size))
    y, x = (v.astype(np.float64) for v in np.nonzero(top))
    y, x = _peak(heights, y, x)
    near = hints.near(np.stack([y, x], axis=1))
    y, x = y[near], x[near]
    away = np.zeros(0)
    if len(y):
        away = np.asarray(residual.tree.query(np.stack([y, x], axis=1))[0])
    near = (away <= NEAR * residual.spacing) & (away >= residual.least)
    near &= residual.inside(y, x, sigma)
    y, x = y[near], x[near]
    height = residual.at(y, x) - _usual(residual, y, x)
    p = rarity(residual, height / residual.deviation(y, x))
    order = np.argsort(p, kind="stable")
    q = np.minimum.accumulate((p[order] / np.arange(1, len(p) + 1))[::-1])[::-1]
    share = np.empty_like(p)
    share[order] = np.minimum(q, 1.0)
    keep = (p <= rate) & (height >= FAINTEST * surrounding(residual, y, x))
    keep = apart(np.stack([y, x], axis=1), np.where(keep, -p, -np.inf), residual.least)
    return Columns.of(y[keep], x[keep], 1.0 - share[keep], source=RESIDUAL)


def rarity(residual: Residual, z: Array) -> Array:
    """(N,) expected number of places near columns that noise lifts as high as z (N,)."""
    area = np.pi * (NEAR * residual.spacing) ** 2 * len(residual.points)
    area = min(area, float(residual.heights.size))
    tests = max(1.0, TESTS * area / (np.pi * residual.sigma**2))
    return np.asarray(ndtr(-_unskewed(np.nan_to_num(z), residual.noise.skew)) * tests)


def surrounding(residual: Residual, y: Array, x: Array) -> Array:
    """(N,) height of the highest of the columns nearest to places."""
    if not len(y):
        return np.zeros(0)
    count = min(SURROUNDING, len(residual.points))
    near = residual.tree.query(np.stack([y, x], axis=1), k=count)[1].reshape(len(y), -1)
    return np.asarray(residual.amplitude[near].max(axis=1))


def _usual(residual: Residual, y: Array, x: Array) -> Array:
    """(N,) median height at the same place in the cells around: what probes do there; or 0."""
    usual = np.zeros(len(y))
    if not residual.cells or not len(y):
        return usual
    places = equivalent(residual.cells, np.stack([y, x], axis=1))
    there = residual.inside(places[..., 0], places[..., 1])
    values = residual.at(places[..., 0].ravel(), places[..., 1].ravel()).reshape(there.shape)
    values[~there] = np.nan
    # Where columns end, so does what they do to the places between them.
    enough = np.isfinite(values).sum(axis=1) >= SURROUNDING
    usual[enough] = np.nanmedian(values[enough], axis=1)
    return np.maximum(usual, 0.0)


def _unskewed(z: Array, skew: float) -> Array:
    """The z of normal heights that are as rare, the inverse of `LocalNoise.threshold`."""
    if skew <= 0:
        return z
    root = np.sqrt(1.0 + 4.0 * skew * (np.maximum(z, 0.0) + skew))
    return np.asarray(np.where(z > 0, (root - 1.0) / (2.0 * skew), z))


def _peak(heights: Array, y: Array, x: Array) -> tuple[Array, Array]:
    """Maxima between the pixels, from the parabolas through neighbours."""
    place = np.stack([y, x]).astype(int)
    last = np.array(heights.shape)[:, None] - 1
    shifts = []
    for axis in range(2):
        step = np.array([[1 - axis], [axis]])
        low, mid, high = (heights[tuple(np.clip(place + k * step, 0, last))] for k in (-1, 0, 1))
        bend = low - 2 * mid + high
        shift = 0.5 * (low - high) / np.where(bend < 0, bend, -np.inf)
        shifts.append(np.clip(np.nan_to_num(shift), -0.5, 0.5))
    return y + shifts[0], x + shifts[1]
