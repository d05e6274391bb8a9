"""Which sites of a sublattice are occupied: Bayes' theorem for heights of two kinds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree
from scipy.special import expit, logit, ndtr

from napari_atomseg._shared.types import Array, Indices, Mask
from napari_atomseg.localization.completion.columns import SUBLATTICE, Columns, apart
from napari_atomseg.localization.completion.hints import Hints
from napari_atomseg.localization.completion.residual import Residual
from napari_atomseg.localization.completion.singles import surrounding
from napari_atomseg.localization.completion.sites import (
    FEWEST_MEMBERS,
    SAME_SITE,
    Sites,
    centred,
)
from napari_atomseg.localization.completion.sublattices import FAINTEST, UNSURE
from napari_atomseg.progress import checkpoint

LEAST_SITE = 0.5
"""z of a site of a sublattice, at least."""
PROVEN = 0.1
"""Part of a sublattice that was found, from which on sites without a hint are in question, too."""
FALSE_SHARE = 0.02
"""Expected part of the columns added of a sublattice that is false, at most."""
FEWEST_SITES, MOST_SITES = 9, 64
"""Sites over which the presence of a sublattice is averaged."""
CLEAR = 3.5
"""Deviations at which that average is distinguished from nothing."""
ROUNDS, LOCAL_ROUNDS = 40, 4
"""Steps of expectation and maximisation, over all sites and then around each."""
EQUAL, UNEQUAL = 0.1, 0.4
"""Deviation of the heights of a sublattice over their mean, at least and at most."""
LOWER = 0.25
"""Mean height of the columns that were missed over that of those found, at least: the clearer ones
are found."""
TINY = 1e-9
"""Least probability."""
WHOLE = 2.0
"""Sites that the mean of a whole sublattice counts as beside those around one of them."""


@dataclass(frozen=True)
class Occupancy:
    """Heights of sites as a mixture of columns and nothing.

    Attributes
    ----------
    share, level : (N,) part of the sites around that is occupied, and the height of those.
    mean : height of all that are.
    spread : deviation of heights, noise apart.
    gain : log likelihood of the mixture over that of noise alone.
    """

    share: Array
    level: Array
    mean: float
    spread: float
    gain: float

    def evidence(self, height: Array, noise: Array) -> Array:
        """(N,) log ratio of the likelihoods of heights of a column and of nothing."""
        return _ratio(height, noise, self.level, self.spread)

    def weight(self, height: Array, noise: Array) -> Array:
        """(N,) probability that sites are occupied, if the sublattice is there."""
        share = np.clip(self.share, TINY, 1.0 - TINY)
        return np.asarray(expit(logit(share) + self.evidence(height, noise)))


def occupancy(places: Array, height: Array, noise: Array, usual: float) -> Occupancy:
    """Fit a mixture to the heights of the sites of one sublattice.

    Heights are normal about zero, or about a level with a spread besides the noise, by expectation
    and maximisation (Dempster, Laird & Rubin, J. R. Stat. Soc. B 39, 1 (1977)) over all sites.
    The sites around each then have a share and a level of their own, weighted with those of all.

    Parameters
    ----------
    places : (N, 2) of sites, pixels.
    height, noise : (N,) and the deviation of each in noise.
    usual : height of the columns of the sublattice that were found; NaN if there are none.
    """
    best: Occupancy | None = None
    lowest = LOWER * usual if np.isfinite(usual) else 0.0
    for level in (float(np.mean(height)), float(np.quantile(height, 0.9)), usual):
        checkpoint()
        if not np.isfinite(level) or level <= 0:
            continue
        fitted = _mixture(height, noise, max(level, lowest), lowest)
        if best is None or fitted.gain > best.gain:
            best = fitted
    if best is None:
        nothing = np.zeros(len(height))
        return Occupancy(nothing, nothing, 0.0, 0.0, -np.inf)
    return _localized(best, places, height, noise)


def _mixture(height: Array, noise: Array, level: float, lowest: float) -> Occupancy:
    """One share and level for all sites, from a start."""
    share, spread, one = 0.5, EQUAL * level, np.ones(len(height))
    for _ in range(ROUNDS):
        checkpoint()
        weight = expit(logit(share) + _ratio(height, noise, level * one, spread))
        total = float(weight.sum())
        share = (total + 1.0) / (len(height) + 2.0)
        exact = weight / (noise**2 + spread**2)
        if not exact.sum() > 0:
            break
        level = max(float((exact * height).sum() / exact.sum()), lowest, 0.0)
        varies = float((weight * ((height - level) ** 2 - noise**2)).sum()) / max(total, 1e-9)
        tiny = float(np.finfo(float).eps * noise.max())
        spread = float(np.clip(np.sqrt(max(varies, 0.0)), EQUAL * level, UNEQUAL * level)) + tiny
    ratio = _ratio(height, noise, level * one, spread)
    gain = float(np.logaddexp(np.log1p(-share), np.log(share) + ratio).sum())
    return Occupancy(share * one, level * one, level, spread, gain)


def _localized(whole: Occupancy, places: Array, height: Array, noise: Array) -> Occupancy:
    """The share and level around each site, where sites are many enough."""
    near = _neighbourhoods(places, whole.mean / float(np.median(noise)))
    if near is None:
        return whole
    share, level = whole.share, whole.level
    for _ in range(LOCAL_ROUNDS):
        checkpoint()
        weight = expit(logit(share) + _ratio(height, noise, level, whole.spread))
        total = weight[near].sum(axis=1)
        light = (weight * height)[near].sum(axis=1)
        share = (total + WHOLE * whole.share) / (near.shape[1] + WHOLE)
        level = np.maximum((light + WHOLE * whole.mean) / (total + WHOLE), 0.5 * whole.mean)
    return Occupancy(share, level, whole.mean, whole.spread, whole.gain)


def _neighbourhoods(places: Array, clear: float) -> Indices | None:
    """(N, K) sites around each, so many that noise does not hide their mean; None if too few."""
    count = int(np.clip(np.ceil((2.0 * CLEAR / max(clear, 0.1)) ** 2), FEWEST_SITES, MOST_SITES))
    if len(places) < FEWEST_SITES:
        return None
    count = min(count, len(places))
    return np.asarray(cKDTree(places).query(places, k=count)[1], dtype=np.int64)


def _ratio(height: Array, noise: Array, level: Array, spread: float) -> Array:
    variance = noise**2 + spread**2
    square = (height / noise) ** 2 - (height - level) ** 2 / variance
    return np.asarray(0.5 * (square - np.log(variance / noise**2)))


def occupied_sites(residual: Residual, sites: Sites, hints: Hints, added: Mask) -> Columns:
    """The sites that have no column yet and are occupied, with the probability that they are.

    The prior is that of the sublattice, its evidence in the residual and in what the detector has
    seen of it, and of its share of the sites around; the likelihood is that of the site's own
    height, and of a hint of it. Where hardly any column of a sublattice was found, only sites with
    hints are in question.

    Parameters
    ----------
    added : (M,) which columns of the residual a search has added.
    """
    if not len(sites):
        return Columns.none()
    away = np.asarray(residual.tree.query(sites.places)[0])
    residual = residual.cleared(sites.places[away > SAME_SITE * residual.spacing])
    sites = centred(residual, sites)
    if not len(sites):
        return Columns.none()
    places = sites.places
    away, near = (np.asarray(v) for v in residual.tree.query(places))
    same = away <= SAME_SITE * residual.spacing
    height, noise = residual.at(*places.T), residual.deviation(*places.T)
    open_ = np.isfinite(height) & (away >= residual.least) & ~same
    open_ &= residual.inside(places[:, 0], places[:, 1], residual.sigma)
    found = residual.significance() * residual.deviation(*residual.points.T)
    every = np.concatenate([residual.points, places[~same]])
    free = residual.heights.size - np.pi * residual.least**2 * len(every)
    rare = hints.by_chance(every, free)
    score, least = np.zeros(len(places)), np.zeros(len(places))
    seen, seen_points = hints.near(places), hints.near(residual.points)
    bright = surrounding(residual, *places.T)
    for number in np.unique(sites.family[open_]):
        checkpoint()
        alike = sites.family == number
        kin = np.flatnonzero(alike & open_)
        members = np.unique(near[alike & same])
        heights = found[members][np.isfinite(found[members])]
        usual = float(np.median(heights)) if len(heights) >= FEWEST_MEMBERS else np.nan
        made = occupancy(places[kin], height[kin], noise[kin], usual)
        if not made.mean > 0:
            continue
        weight = made.weight(height[kin], noise[kin])
        new = members[added[members]]
        support = hints.support(len(members) - len(new), seen_points[new], seen[kin], weight)
        lit = float(ndtr((made.mean / float(np.median(bright[kin])) - FAINTEST) / UNSURE))
        exists = expit(made.gain - np.log(len(kin) + 1.0))
        prior = np.clip(sites.belief[kin] * made.share * exists * lit * support, TINY, 1.0 - TINY)
        odds = logit(prior) + made.evidence(height[kin], noise[kin])
        proven = len(members) >= max(FEWEST_MEMBERS, PROVEN * (len(members) + weight.sum()))
        if proven:
            odds += hints.evidence(seen[kin], weight, rare)
        in_question = seen[kin] | (proven & ~sites.own[kin])
        score[kin] = np.where(in_question, expit(np.clip(odds, -60.0, 60.0)), 0.0)
        least[kin] = np.minimum(LEAST_SITE, 0.5 * made.level / noise[kin])
    keep = ~same & (score > 0.5) & (height >= least * noise)
    keep = apart(places, np.where(keep, score, -np.inf), residual.least)
    for number in np.unique(sites.family[keep]):
        checkpoint()
        kin = np.flatnonzero(keep & (sites.family == number))
        order = kin[np.argsort(-score[kin], kind="stable")]
        false = np.cumsum(1.0 - score[order]) / np.arange(1, len(order) + 1)
        keep[order[false > FALSE_SHARE]] = False
    return Columns.of(places[keep, 0], places[keep, 1], score[keep], source=SUBLATTICE)
