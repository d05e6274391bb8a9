"""The search for missing columns: candidates, fits, and what of them remains."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree
from scipy.special import ndtr

from napari_atomseg._shared.types import Array, Indices, Mask
from napari_atomseg.localization.completion.cells import Cells, equivalent, find_cells
from napari_atomseg.localization.completion.residual import Residual
from napari_atomseg.localization.completion.sublattices import (
    FAINTEST,
    TESTS,
    Sites,
    Sublattice,
    fold,
    sites_of,
    sublattices,
)
from napari_atomseg.localization.fit.independent import Fits

DETECTED, SUBLATTICE, RESIDUAL = "detector", "sublattice", "residual"
"""Where columns come from: the detector, the averaged cells, or the residual at one place."""
ROUNDS = 3
"""Searches, each in what the columns of the last one leave."""
FEWEST = 4
"""Columns that a search starts from, at least."""
NEAR = 1.5
"""Single columns are looked for within this many spacings of those found."""
SURROUNDING = 4
"""Nearest columns, the highest of which has the tail that matters at a place."""
STEP, FAR_STEPS = 0.4, 5
"""Steps over sigma, and their number to all sides, in which sites look for their mean peak."""
SAME_SITE = 0.3
"""Columns nearer to a site than this, over the spacing, are on it."""
CLOSE, ASIDE = 2.0, 0.2
"""Pixels, and part of the spacing, that a hint of a column may lie beside it."""
CONFIRMED = 0.4
"""Part of the highest rings of a probe to exceed where there must be hints besides."""
MANY = 0.02
"""Hints over columns from which on there may be a sublattice."""
HINTED = 0.5
"""Part of the new columns of a sublattice that there must be hints of."""
LEAST_SITE = 0.5
"""z of a site of a sublattice, at least."""
DARK = 1.0
"""z below which a detection has no light of its own."""
OCCUPIED = 0.9
"""Probability that a site is occupied, before one looks at it, where those around it are."""
FEWEST_SITES, MOST_SITES = 9, 64
"""Sites over which the presence of a sublattice is averaged."""
CLEAR = 3.5
"""Deviations at which that average is distinguished from nothing."""
KIN_CLEAR = 4.0
"""z of columns of the same kind, from which on a place without light is a vacancy."""
WANDERED = 1.5
"""A column has left its candidate if its fit is farther away than this, over sigma."""


@dataclass(frozen=True)
class Columns:
    """Columns of one image, those of the detector first.

    Attributes
    ----------
    y, x : (N,) pixels, where fits start.
    score : (N,) of the detection, or the probability of what was added.
    source : (N,) one of `DETECTED`, `SUBLATTICE`, `RESIDUAL`.
    believed : (N,) columns that are taken to be there.
    significance : (N,) height in the raw image over its noise; NaN where it is unknown.
    """

    y: Array
    x: Array
    score: Array
    source: NDArray[np.str_]
    believed: Mask
    significance: Array

    @classmethod
    def of(
        cls, y: Array, x: Array, score: Array, believed: Mask | None = None, source: str = DETECTED
    ) -> Columns:
        """Columns of one source, all of them believed if not stated otherwise."""
        believed = np.ones(len(y), dtype=bool) if believed is None else believed
        sources = np.full(len(y), source, dtype="U10")
        return cls(y, x, score, sources, believed, np.full(len(y), np.nan))

    @classmethod
    def none(cls) -> Columns:
        """No columns."""
        return cls.of(np.zeros(0), np.zeros(0), np.zeros(0))

    def __len__(self) -> int:
        return len(self.y)

    def only(self, some: Mask) -> Columns:
        """Some of the columns."""
        return Columns(*(getattr(self, name)[some] for name in self.__dataclass_fields__))

    def joined(self, other: Columns) -> Columns:
        """These and further columns."""
        names = self.__dataclass_fields__
        return Columns(*(np.concatenate([getattr(self, n), getattr(other, n)]) for n in names))


@dataclass
class Found:
    """Result of a search.

    Attributes
    ----------
    columns : those of the detector, and those added.
    dropped : (N,) columns of the detector that the raw image does not show.
    notes : what was added and dropped, one sentence each.
    """

    columns: Columns
    fits: Fits
    dropped: Mask
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Hints:
    """Places (M, 2) where there may be columns, spacing pixels apart; None for everywhere."""

    places: Array | None
    spacing: float

    def near(self, y: Array, x: Array) -> Mask:
        """(N,) positions with a hint as near as a column that is found anew may lie."""
        if self.places is None:
            return np.ones(len(y), dtype=bool)
        if not len(self.places) or not len(y):
            return np.zeros(len(y), dtype=bool)
        return self._together(np.stack([y, x], axis=1), self.places)

    def beside(self, points: Array) -> float:
        """Number of hints beside the columns (N, 2) that were found; infinite for everywhere."""
        if self.places is None:
            return np.inf
        if not len(self.places) or not len(points):
            return 0
        return int((~self._together(self.places, points)).sum())

    def _together(self, places: Array, others: Array) -> Mask:
        """(N,) places (N, 2) that lie beside one of others (M, 2) at most."""
        away = np.asarray(cKDTree(others).query(places)[0])
        near: Mask = away <= max(CLOSE, ASIDE * self.spacing)
        return near


Fit = Callable[[Columns, Fits, Mask], Fits]
"""``fit(columns, former, new)``: Gaussians of all columns, `former` (M,) of the first of them."""


def search(
    image: Array,
    columns: Columns,
    fits: Fits,
    sensitivity: float,
    fit: Fit,
    hints: Array | None = None,
) -> Found:
    """Look for columns that are missing, and for those that are not in the image.

    What a fit leaves over may be the shape of the probe or a displaced scan line. A column is
    added only where there are hints of it from elsewhere, too, a sublattice only where there are
    of half of its columns.

    Parameters
    ----------
    image : (H, W) of bright columns; NaN pixels do not count.
    columns, fits : of the detector, and their Gaussians.
    sensitivity : expected number of false columns; 0 finds none and drops none.
    fit : measures columns.
    hints : (M, 2) places y, x where there may be columns; None for everywhere.
    """
    residual = Residual(image, fits, columns.believed)
    searched = sensitivity > 0 and residual.usable and columns.believed.sum() >= FEWEST
    hinted = Hints(hints, residual.spacing if searched else 0.0)
    beside = hinted.beside(residual.points) if searched else 0
    if beside:
        many = beside >= max(FEWEST, MANY * len(residual.points))
        sites = Sites.none()
        for _ in range(ROUNDS):
            cells = find_cells(residual.points, residual.amplitude)
            rings = 1.0 if hints is None else CONFIRMED
            found = _sublattices(residual, cells, 0.5 * sensitivity, rings) if many else []
            sites = sites.joined(sites_of(found, residual.spacing), residual.spacing)
            more = _occupied(image, columns, fits, sites, hinted)
            if not len(more):
                more = _singles(residual, cells, 0.5 * sensitivity)
                more = more.only(hinted.near(more.y, more.x))
            if not len(more):
                break
            before = int(columns.believed.sum())
            columns, fits, residual = _tried(image, columns, fits, more, sensitivity, fit)
            if int(columns.believed.sum()) <= before:
                break
    dropped = np.zeros(len(columns), dtype=bool)
    if residual.usable:
        z = np.full(len(columns), np.nan)
        z[columns.believed] = residual.significance()
        columns = replace(columns, significance=z)
        if sensitivity > 0:
            dropped = _without_light(columns, residual)
    return Found(columns, fits, dropped, _notes(columns, fits, dropped))


def _sublattices(
    residual: Residual, cells: list[Cells], rate: float, rings: float
) -> list[Sublattice]:
    """Sublattices that stand out in the averaged cells of any patch."""
    found: list[Sublattice] = []
    if not cells:
        return found
    soft, occupied = residual.soft(), residual.occupied()
    for each in cells:
        folded = fold(
            soft,
            each,
            residual.points,
            residual.amplitude,
            residual.sigma,
            residual.spacing,
            occupied,
            residual.tail,
        )
        rare = rate / len(cells)
        found += sublattices(
            folded,
            residual.points,
            residual.amplitude,
            residual.sigma,
            residual.least,
            rare,
            rings,
        )
    return found


def _occupied(image: Array, columns: Columns, fits: Fits, sites: Sites, hinted: Hints) -> Columns:
    """The sites of sublattices that have no column yet and are occupied, with the probability."""
    if not len(sites):
        return Columns.none()
    places = np.stack([sites.y, sites.x], axis=1)
    residual = Residual(image, fits, columns.believed, clear=places)
    places, kept = _centred(residual, places, sites.kind)
    sites = Sites(places[kept, 0], places[kept, 1], sites.kind[kept])
    if not len(sites):
        return Columns.none()
    places = places[kept]
    away, near = residual.tree.query(places)
    same = away <= SAME_SITE * residual.spacing
    z = np.where(same, residual.significance()[near], residual.z(*places.T))
    there = np.isfinite(z) & (same | (away >= residual.least)) & _inside(residual, *places.T)
    score = np.zeros(len(z))
    for number in np.unique(sites.kind[there]):
        kin = np.flatnonzero(there & (sites.kind == number))
        score[kin] = _presence(places[kin], z[kin])
    keep = ~same & (score > 0.5) & (z >= LEAST_SITE)
    seen = hinted.near(*places.T)
    for number in np.unique(sites.kind[keep]):
        kin = keep & (sites.kind == number)
        keep &= ~kin | (seen if seen[kin].mean() >= HINTED else False)
    keep = _apart(places, np.where(keep, z, -np.inf), residual.least)
    return Columns.of(places[keep, 0], places[keep, 1], score[keep], source=SUBLATTICE)


def _centred(residual: Residual, places: Array, kind: Indices) -> tuple[Array, Mask]:
    """Sites (S, 2) of each sublattice moved together to the peak of their mean height.

    Also (S,) those whose sublattice has such a peak nearby, once each.
    """
    steps = np.arange(-FAR_STEPS, FAR_STEPS + 1) * (STEP * residual.sigma)
    offsets = np.stack(np.meshgrid(steps, steps, indexing="ij"), axis=-1).reshape(-1, 2)
    moved, kept = places.copy(), np.zeros(len(places), dtype=bool)
    away = np.asarray(residual.tree.query(places)[0])
    for number in np.unique(kind):
        own = np.flatnonzero(kind == number)
        open_ = own[away[own] > SAME_SITE * residual.spacing]
        if not len(open_):
            kept[own] = True
            continue
        trials = places[open_] + offsets[:, None]
        inside = _inside(residual, trials[..., 0], trials[..., 1]).all(axis=0)
        if not inside.any():
            continue
        trials = trials[:, inside]
        values = residual.at(*trials.reshape(-1, 2).T).reshape(trials.shape[:2])
        mean = np.where(np.isfinite(values), values, 0.0).mean(axis=1)
        best = offsets[int(np.argmax(mean))]
        if np.abs(best).max() < steps[-1]:
            moved[own] += best
            kept[own] = True
    # Two sublattices may have moved to one peak.
    for first, second in cKDTree(moved).query_pairs(SAME_SITE * residual.spacing):
        if kept[first] and kept[second]:
            kept[max(first, second)] = False
    return moved, kept


def _presence(places: Array, z: Array) -> Array:
    """(S,) probabilities that the sites of one sublattice are occupied.

    Where the mean z of the sites around, so many that noise does not hide it, is nearer to that of
    the sublattice than to zero, a site is occupied with the probability that follows from its own
    z by Bayes' theorem; elsewhere the sublattice has ended.
    """
    whole = float(np.clip(np.mean(np.clip(z, *_bounds(z))), 0.0, None))
    if whole <= 0:
        return np.zeros(len(z))
    count = int(np.clip(np.ceil((2.0 * CLEAR / whole) ** 2), FEWEST_SITES, MOST_SITES))
    count = min(count, len(z))
    near = cKDTree(places).query(places, k=count)[1].reshape(len(z), -1)
    local = np.median(z[near], axis=1) if count > 4 else np.full(len(z), whole)
    mean = z[near].mean(axis=1)
    local = np.where(whole > CLEAR, local, mean)
    present = local > 0.5 * whole
    level = np.maximum(local, 0.5 * whole)
    odds = np.log(OCCUPIED / (1.0 - OCCUPIED)) + level * z - 0.5 * level**2
    return np.asarray(np.where(present, 1.0 / (1.0 + np.exp(-np.clip(odds, -60, 60))), 0.0))


def _bounds(z: Array) -> tuple[float, float]:
    middle = float(np.median(z))
    spread = 1.4826 * float(np.median(np.abs(z - middle)))
    return middle - 3 * spread, middle + 3 * spread


def _singles(residual: Residual, cells: list[Cells], rate: float) -> Columns:
    """Single maxima of the heights, near columns, that are as rare in noise as asked for."""
    heights, sigma = residual.heights, residual.sigma
    filled = np.where(np.isfinite(heights), heights, -np.inf)
    size = 2 * max(1, round(sigma)) + 1
    lowest = 3.0 * float(residual.noise.typical) * 0.5
    top = (filled > max(lowest, 0.0)) & (filled == ndimage.maximum_filter(filled, size))
    y, x = (v.astype(np.float64) for v in np.nonzero(top))
    y, x = _peak(heights, y, x)
    away = residual.tree.query(np.stack([y, x], axis=1))[0] if len(y) else np.zeros(0)
    near = (away <= NEAR * residual.spacing) & (away >= residual.least)
    near &= _inside(residual, y, x, sigma)
    y, x = y[near], x[near]
    height = residual.at(y, x) - _usual(residual, cells, y, x)
    z = _unskewed(height / residual.deviation(y, x), residual.noise.skew)
    p = ndtr(-z) * _tests(residual)
    order = np.argsort(p, kind="stable")
    q = np.minimum.accumulate((p[order] / np.arange(1, len(p) + 1))[::-1])[::-1]
    share = np.empty_like(p)
    share[order] = np.minimum(q, 1.0)
    keep = (p <= rate) & (height >= FAINTEST * _surrounding(residual, y, x))
    keep = _apart(np.stack([y, x], axis=1), np.where(keep, z, -np.inf), residual.least)
    return Columns.of(y[keep], x[keep], 1.0 - share[keep], source=RESIDUAL)


def _usual(residual: Residual, cells: list[Cells], y: Array, x: Array) -> Array:
    """(N,) median height at the same place in the cells around: what probes do there; or 0."""
    usual = np.zeros(len(y))
    if not cells or not len(y):
        return usual
    places = equivalent(cells, np.stack([y, x], axis=1))
    there = _inside(residual, places[..., 0], places[..., 1])
    values = residual.at(places[..., 0].ravel(), places[..., 1].ravel()).reshape(there.shape)
    values[~there] = np.nan
    # Where columns end, so does what they do to the places between them.
    enough = np.isfinite(values).sum(axis=1) >= SURROUNDING
    usual[enough] = np.nanmedian(values[enough], axis=1)
    return np.maximum(usual, 0.0)


def _apart(places: Array, z: Array, least: float) -> Mask:
    """(N,) candidates that remain if of two that are closer than `least`, the clearer one does.

    Candidates of z = -∞ do not count.
    """
    keep: Mask = z > -np.inf
    index = np.flatnonzero(keep)
    if len(index) > 1:
        close = cKDTree(places[index]).query_pairs(least, output_type="ndarray")
        pairs = index[close]
        for first, second in pairs[np.argsort(-z[pairs].max(axis=1), kind="stable")]:
            if keep[first] and keep[second]:
                keep[first if z[first] < z[second] else second] = False
    return keep


def _tests(residual: Residual) -> float:
    """Independent places in the area near columns."""
    area = np.pi * (NEAR * residual.spacing) ** 2 * len(residual.points)
    area = min(area, float(residual.heights.size))
    return max(1.0, TESTS * area / (np.pi * residual.sigma**2))


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


def _inside(residual: Residual, y: Array, x: Array, margin: float = 0.0) -> Mask:
    height, width = residual.heights.shape
    low: Mask = (y >= margin) & (x >= margin)
    high: Mask = (y <= height - 1 - margin) & (x <= width - 1 - margin)
    return low & high


def _surrounding(residual: Residual, y: Array, x: Array) -> Array:
    """(N,) height of the highest of the columns nearest to places."""
    if not len(y):
        return np.zeros(0)
    count = min(SURROUNDING, len(residual.points))
    near = residual.tree.query(np.stack([y, x], axis=1), k=count)[1].reshape(len(y), -1)
    return np.asarray(residual.amplitude[near].max(axis=1))


def _tried(
    image: Array, columns: Columns, fits: Fits, more: Columns, rate: float, fit: Fit
) -> tuple[Columns, Fits, Residual]:
    """Columns with those candidates that their fits, together with all others, confirm."""
    residual = Residual(image, fits, columns.believed)
    columns, more = _promoted(columns, more, max(residual.sigma, 0.25 * residual.spacing))
    first = len(columns)
    columns = columns.joined(more)
    new = np.arange(len(columns)) >= first
    fits = fit(columns, fits, new)
    walked = np.hypot(fits.y - columns.y, fits.x - columns.x)
    residual = Residual(image, fits, columns.believed)
    z = np.full(len(columns), np.nan)
    z[columns.believed] = residual.significance()
    p = ndtr(-_unskewed(np.nan_to_num(z), residual.noise.skew)) * _tests(residual)
    single = columns.source == RESIDUAL
    site = columns.source == SUBLATTICE
    weak = single & ((p > 0.5 * rate) | ~np.isfinite(fits.amplitude))
    weak |= single & (walked > WANDERED * residual.sigma)
    weak |= site & ~(z >= np.maximum(LEAST_SITE, _vacant(columns, z, site)))
    y, x = fits.y, fits.x
    weak |= single & ~(fits.amplitude >= FAINTEST * _surrounding(residual, y, x))
    if not weak.any():
        return columns, fits, residual
    # A detection that was not believed before is not believed again; the rest goes.
    detected = np.arange(len(columns)) < first
    believed = columns.believed & ~(weak & detected)
    columns = replace(columns, believed=believed)
    keep = detected | ~weak
    columns, fits = columns.only(keep), fits.only(keep)
    return columns, fits, Residual(image, fits, columns.believed)


def _vacant(columns: Columns, z: Array, site: Mask) -> Array:
    """(N,) z below which a site is rather vacant, once the sites around it have been fitted.

    Half of theirs, but never so much that the light of a site would stand out by itself.
    """
    limit = np.zeros(len(columns))
    own = np.flatnonzero(site)
    if len(own) >= FEWEST_SITES:
        places = np.stack([columns.y, columns.x], axis=1)[own]
        near = cKDTree(places).query(places, k=FEWEST_SITES)[1]
        local = np.median(np.nan_to_num(z[own])[near], axis=1)
        limit[own] = np.where(local >= KIN_CLEAR, np.minimum(0.5 * local, KIN_CLEAR), 0.0)
    return limit


def _promoted(columns: Columns, more: Columns, reach: float) -> tuple[Columns, Columns]:
    """Candidates at the places of detections that were not believed; and the other candidates."""
    doubted = np.flatnonzero(~columns.believed)
    if not len(doubted):
        return columns, more
    places = np.stack([columns.y, columns.x], axis=1)[doubted]
    query = cKDTree(places).query(np.stack([more.y, more.x], axis=1))
    away, near = np.asarray(query[0]), np.asarray(query[1])
    same = away <= reach
    own = doubted[near[same]]
    believed, score, source = columns.believed.copy(), columns.score.copy(), columns.source.copy()
    believed[own], source[own] = True, more.source[same]
    score[own] = np.maximum(score[own], more.score[same])
    return replace(columns, believed=believed, score=score, source=source), more.only(~same)


def _without_light(columns: Columns, residual: Residual) -> Mask:
    """(N,) columns of the detector that the raw image shows nothing of.

    Those of a lattice stay if columns of their kind, one translation away, are faint but there:
    noise then hides some. Where these are clear, a place without light is a vacancy.
    """
    z = columns.significance
    doubtful = np.flatnonzero((columns.source == DETECTED) & columns.believed & (z < DARK))
    dropped = np.zeros(len(columns), dtype=bool)
    if not len(doubtful):
        return dropped
    dropped[doubtful] = True
    cells = find_cells(residual.points, residual.amplitude)
    if not cells:
        return dropped
    places = equivalent(cells, np.stack([columns.y, columns.x], axis=1)[doubtful])
    away, kin = residual.tree.query(places, distance_upper_bound=SAME_SITE * residual.spacing)
    there = np.isfinite(away)
    count = there.sum(axis=1)
    values = np.where(there, z[columns.believed][np.where(there, kin, 0)], 0.0)
    mean = values.sum(axis=1) / np.maximum(count, 1)
    supported = (mean * np.sqrt(count) >= CLEAR) & (mean < KIN_CLEAR)
    dropped[doubtful[supported]] = False
    return dropped


def _notes(columns: Columns, fits: Fits, dropped: Mask) -> list[str]:
    notes = []
    detected = columns.source == DETECTED
    usual = np.abs(fits.amplitude[detected & columns.believed & ~dropped])
    usual = usual[np.isfinite(usual)]
    for source, words in (
        (SUBLATTICE, "of a faint sublattice"),
        (RESIDUAL, "left by the detector"),
    ):
        some = columns.source == source
        count = int(some.sum())
        if count:
            height = np.abs(fits.amplitude[some])
            height = height[np.isfinite(height)]
            plural = "columns" if count > 1 else "column"
            verb = "were" if count > 1 else "was"
            ratio = ""
            if len(usual) and len(height):
                ratio = f" ({np.median(height) / np.median(usual):.2g} of the height of the others)"
            notes.append(f"{count} {plural} {words} {verb} added{ratio}")
    count = int(dropped.sum())
    if count:
        plural, verb = ("columns", "were") if count > 1 else ("column", "was")
        notes.append(f"{count} {plural} without intensity in the raw image {verb} dropped")
    return notes
