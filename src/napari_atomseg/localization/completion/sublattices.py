"""Sublattices that stand out when the residual is averaged over the cells of a lattice."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree
from scipy.special import ndtr, stdtrit

from napari_atomseg._shared.types import Array, Indices, Mask
from napari_atomseg.localization.completion.cells import Cells
from napari_atomseg.localization.completion.tails import (
    INNER,
    Tail,
    hats,
    knots_of,
    tail_limits,
)
from napari_atomseg.progress import checkpoint

FAINTEST = 0.03
"""Least height over that of the columns around: Gaussians describe probes to 1 to 3 %."""
FINE = 0.4
"""Distance between the places of a cell, over sigma."""
MOST = 24
"""Places along a cell vector, at most."""
SOFT = 0.5
"""Sigma of the filter before the image is sampled, over that of the columns."""
CELLS = 4
"""Cells whose surroundings give the shapes of tails."""
AROUND = 12
"""Columns whose tails may reach a place."""
SEPARATE = 0.1
"""A place is judged where this part of a column's light is not that of tails and backgrounds."""
COMPLETE = 0.75
"""Part of a cell's places that are measured, at least."""
CLIP = 3.0
"""Heights in single cells are clipped so many deviations from their median."""
BEYOND = 0.01
"""Height over that of the columns around by which a column exceeds all that rings can do."""
UNSURE = 0.005
"""Deviation of what tails do, over the height of the columns around."""
DOUBTED = 0.1
"""Least probability that the light of a sublattice is not theirs."""
BRIGHT = 0.75
"""Quantile of the heights around: the brighter columns have the brighter tails."""
TOGETHER = 4
"""Sublattices of one cell that are looked for at once."""
TESTS = 2.0
"""Independent tests in the area π sigma²."""


@dataclass(frozen=True)
class Folded:
    """The residual in the cells of one sublattice.

    Attributes
    ----------
    cells : of the sublattice.
    fraction : (P, 2) places in the cell, in parts of its vectors, -½ to ½.
    grid : (n, m) places along both vectors, P in all.
    values : (N, P) residual in each cell, NaN where it is not measured.
    free : (N, P) places far enough from all found columns.
    nuisance : (P, K) shapes that are no columns: inner tails, a constant and a plane.
    rings : (P, L) tails at larger distances.
    limits : (2, L) lowest and highest values of what remains of these.
    """

    cells: Cells
    fraction: Array
    grid: tuple[int, int]
    values: Array
    free: Mask
    nuisance: Array
    rings: Array
    limits: Array


def fold(
    soft: Array,
    cells: Cells,
    points: Array,
    amplitude: Array,
    sigma: float,
    spacing: float,
    occupied: Mask,
    tail: Tail | None,
) -> Folded:
    """Sample the residual in all cells.

    Parameters
    ----------
    soft : (H, W) residual, smoothed by `SOFT` sigma; NaN where it is not measured.
    points, amplitude : (M, 2) and (M,) of all found columns.
    occupied : (H, W) pixels too near to them for other columns.
    tail : of the columns, which the residual does not have any more.
    """
    vectors = cells.vectors
    lengths = np.hypot(*vectors.T)
    grid = tuple(int(np.clip(np.ceil(n / (FINE * sigma)), 4, MOST)) for n in lengths)
    axes = [(np.arange(n) + 0.5) / n - 0.5 for n in grid]
    fraction = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2)
    places = cells.places(fraction)
    checkpoint()
    values = _sampled(soft, places)
    tree = cKDTree(points)
    last = np.array(occupied.shape) - 1
    row, col = np.moveaxis(np.clip(np.rint(places), 0, last).astype(int), -1, 0)
    free = ~occupied[row, col]
    some = places[:: max(1, len(places) // CELLS)]
    knots = knots_of(sigma, spacing)
    inner, rings = _tails(some, tree, points, amplitude, knots, sigma)
    limits = np.stack(tail_limits(knots, sigma))
    if tail is not None:
        limits = limits - tail.values[:-1]
    limits = limits[:, knots[:-1] >= INNER * sigma]
    plane = np.concatenate([np.ones((len(fraction), 1)), fraction], axis=1)
    nuisance = np.concatenate([inner, plane], axis=1)
    return Folded(cells, fraction, (grid[0], grid[1]), values, free, nuisance, rings, limits)


def _sampled(image: Array, places: Array) -> Array:
    """Values at places (..., 2), NaN outside and next to what is not measured."""
    flat = places.reshape(-1, 2).T
    found = ndimage.map_coordinates(image, flat, order=1, mode="constant", cval=np.nan)
    return np.asarray(found).reshape(places.shape[:-1])


def _tails(
    places: Array, tree: cKDTree, points: Array, amplitude: Array, knots: Array, sigma: float
) -> tuple[Array, Array]:
    """(P, K) means over cells (N, P, 2) of tails near columns, round and elongated in any
    direction, and (P, L) of round ones farther away.
    """
    flat = places.reshape(-1, 2)
    count = min(AROUND, len(points))
    query = tree.query(flat, k=range(1, count + 1), distance_upper_bound=float(knots[-1]))
    distance, near = np.asarray(query[0]), np.asarray(query[1])
    there = np.where(np.isfinite(distance), near, 0)
    weight = np.where(np.isfinite(distance), amplitude[there], 0.0)
    away = flat[:, None] - points[there]
    twice = 2.0 * np.arctan2(away[..., 0], away[..., 1])
    shapes = [
        hats(distance, weight * factor, knots)
        for factor in (np.ones_like(twice), np.cos(twice), np.sin(twice))
    ]
    table = np.concatenate(shapes, axis=1).reshape(*places.shape[:2], 3, -1).mean(axis=0)
    inner = knots[:-1] < INNER * sigma
    return table[:, :, inner].reshape(len(table), -1), table[:, 0, ~inner]


@dataclass(frozen=True)
class Sublattice:
    """Places of one kind in the cells of a lattice.

    Attributes
    ----------
    fraction : (2,) in parts of the cell vectors.
    belief : probability that its light is more than the tails of others can be.
    begun : whether columns of it were found.
    own : whether it is the one that the cells are of.
    """

    cells: Cells
    fraction: Array
    belief: float = 1.0
    begun: bool = False
    own: bool = False

    def sites(self) -> Array:
        """(S, 2) its places y, x in the cells and in those next to them, pixels."""
        if self.own:
            around = np.array([[0.0, 0.0], [1, 0], [0, 1], [-1, 0], [0, -1]])
        else:
            corners = np.array([[0, 0], [1, 0], [0, 1], [1, 1]])
            around = self.fraction + corners - (self.fraction > 0)
        return self.cells.places(around).reshape(-1, 2)


def sublattices(
    folded: Folded,
    points: Array,
    amplitude: Array,
    sigma: float,
    least: float,
    rate: float,
    rings: float = 1.0,
) -> list[Sublattice]:
    """Places at which the averaged cell has a column.

    The height of a column at each place is a linear function of the residual in a cell: least
    squares of the column and its translations together with all shapes of tails, so that neither
    rings of the probe, nor its astigmatism, nor the slope of a background counts. Its mean over
    cells, and the scatter from cell to cell, give Student's t. Places are taken one after
    the other, the clearest first.

    Parameters
    ----------
    points, amplitude : (M, 2) and (M,) of all found columns.
    rate : expected number of false columns, all sites of a false sublattice counted.
    rings : part of the highest rings of a probe that a sublattice must exceed.
    """
    cells, fraction, values = folded.cells, folded.fraction, folded.values
    vectors = cells.vectors
    near = cKDTree(points).query(cells.origin, k=min(AROUND, len(points)))[1]
    around = amplitude[np.unique(near)]
    distance = _distances(folded.grid, vectors)
    used = folded.free.any(axis=0)
    # Columns may fill their cells.
    if not used.any():
        return []
    known = np.isfinite(values)
    enough = known[:, used].mean(axis=1) >= COMPLETE
    values, known = values[enough], known[enough]
    used &= known.any(axis=0)
    if used.sum() < 2 * folded.nuisance.shape[1] or enough.sum() < 4:
        return []
    free = folded.free[enough] & known
    mean = np.nanmean(values[:, used], axis=0)
    filled = np.where(np.isnan(values[:, used]), mean, values[:, used])
    soft = float(np.hypot(1.0, SOFT)) * sigma
    bells = np.exp(-0.5 * (distance[used] / soft) ** 2)
    bells *= (sigma / soft) ** 2
    tests = max(1.0, TESTS * abs(float(np.linalg.det(vectors))) / (np.pi * sigma**2))
    search = _Search(distance, filled, free, bells, folded.nuisance[used], least, rate / tests)
    places: list[int] = []
    while len(places) < TOGETHER:
        checkpoint()
        best = search.best(places)
        if best is None:
            break
        places.append(best)
        # Each place anew, now that the others are known.
        for place in places[:-1] if len(places) > 1 else []:
            others = [other for other in places if other != place]
            moved = search.best(others, near=place)
            if moved is None:
                places = others
            else:
                places[places.index(place)] = moved
    found: list[Sublattice] = []
    bright = float(np.quantile(around, BRIGHT))
    floor = FAINTEST * bright
    for place in places:
        checkpoint()
        rest = bells[:, [other for other in places if other != place]]
        nuisance = np.concatenate([folded.nuisance[used], rest], axis=1)
        weights, _ = _weights(bells[:, [place]], nuisance)
        own = np.where(free[:, place], filled @ weights[:, 0], np.nan)[:, None]
        height = float(_means(own)[1][0])
        # Rings of the probe that add up at this place, each as high as may be.
        high = (weights[:, 0] @ folded.rings[used]) * folded.limits[1]
        limit = max(floor, rings * float(np.maximum(high, 0.0).sum()) + BEYOND * bright)
        belief = float(ndtr((height - limit) / (UNSURE * bright)))
        if belief >= DOUBTED:
            found.append(Sublattice(cells, fraction[place], belief))
    return found


@dataclass(frozen=True)
class _Search:
    """Looks for the clearest place in the averaged cell.

    Attributes
    ----------
    distance : (P, P) between the places, pixels.
    filled, free : (N, Q) residual of each cell at the places used, and (N, P) where it may have a
        column that is not found.
    bells, nuisance : (Q, P) columns at all places, and (Q, K) what is none.
    least : distance between columns, pixels.
    rate : expected number of false columns for one independent place.
    """

    distance: Array
    filled: Array
    free: Mask
    bells: Array
    nuisance: Array
    least: float
    rate: float

    def best(self, others: list[int], near: int | None = None) -> int | None:
        """The place that stands out most beside those of others; None where none does.

        Parameters
        ----------
        near : look only for places that are no farther from this one than columns are.
        """
        nuisance = np.concatenate([self.nuisance, self.bells[:, others]], axis=1)
        weights, power = _weights(self.bells, nuisance)
        t, height, count = _means(np.where(self.free, self.filled @ weights, np.nan))
        if others:
            t[self.distance[:, others].min(axis=1) < self.least] = np.nan
        if near is not None:
            t[self.distance[near] >= self.least] = np.nan
        rare = np.minimum(self.rate / np.maximum(count, 1), 0.5)
        good = t >= -stdtrit(np.maximum(count - 1, 1), rare)
        if not good.any():
            return None
        # Of what stands out, that which explains most of the averaged cell: t is for the test,
        # and may be larger at the flank of a peak.
        return int(np.argmax(np.where(good, height * np.sqrt(power), -np.inf)))


def _distances(grid: tuple[int, int], vectors: Array) -> Array:
    """(P, P) distances in pixels between the places of a cell, to the nearest image of each."""
    i, j = (v.ravel() for v in np.indices(grid))
    fraction = np.stack([i / grid[0], j / grid[1]], axis=1)
    around = np.array([(m, n) for m in (-1, 0, 1) for n in (-1, 0, 1)])
    images = (fraction - np.round(fraction))[:, None] + around
    from_first = np.linalg.norm(images @ vectors, axis=-1).min(axis=1)
    rows, cols = (i[:, None] - i) % grid[0], (j[:, None] - j) % grid[1]
    return np.asarray(from_first[rows * grid[1] + cols])


def _weights(bells: Array, nuisance: Array) -> tuple[Array, Array]:
    """(Q, P) weights of places whose sums are heights at each of P places, NaN where these are not
    told from the nuisance (Q, K); and (P,) the inverse variance of such heights in unit noise.
    """
    size = np.linalg.norm(nuisance, axis=0)
    u, s, _ = np.linalg.svd(nuisance[:, size > 0] / size[size > 0], full_matrices=False)
    basis = u[:, s > 1e-6 * s[0]]
    own = bells - basis @ (basis.T @ bells)
    power = (own**2).sum(axis=0)
    whole = ((bells - bells.mean(axis=0)) ** 2).sum(axis=0)
    separate = power >= SEPARATE * whole
    return np.where(separate, own / np.where(separate, power, 1.0), np.nan), power


def _means(heights: Array) -> tuple[Array, Array, Array]:
    """(P,) Student's t, mean and number of heights (N, P), clipped about their median."""
    count = np.isfinite(heights).sum(axis=0)
    there = np.flatnonzero(count >= 4)
    t, mean = np.full(len(count), np.nan), np.full(len(count), np.nan)
    some, number = heights[:, there], count[there]
    middle = _medians(some, number)
    spread = 1.4826 * _medians(np.abs(some - middle), number)
    some = np.clip(some, middle - CLIP * spread, middle + CLIP * spread)
    own = np.nansum(some, axis=0) / number
    error = np.sqrt(np.nansum((some - own) ** 2, axis=0) / (number - 1) / number)
    mean[there] = own
    t[there] = own / np.maximum(error, np.finfo(float).tiny)
    return t, mean, count


def _medians(values: Array, count: Indices) -> Array:
    """(P,) medians of columns (N, P) of which count (P,) numbers are not NaN."""
    ordered = np.sort(values, axis=0)
    column = np.arange(values.shape[1])
    return np.asarray(0.5 * (ordered[(count - 1) // 2, column] + ordered[count // 2, column]))
