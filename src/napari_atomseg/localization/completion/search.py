"""The search for missing columns: candidates, fits, and what of them remains."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial import cKDTree

from napari_atomseg._shared.types import Array, Mask
from napari_atomseg.localization.completion.columns import (
    RESIDUAL,
    SUBLATTICE,
    Columns,
    Fit,
    Found,
    notes_on,
)
from napari_atomseg.localization.completion.doubtful import (
    KIN_CLEAR,
    clear_at_border,
    without_light,
)
from napari_atomseg.localization.completion.hints import Hints
from napari_atomseg.localization.completion.occupancy import (
    FEWEST_SITES,
    LEAST_SITE,
    occupied_sites,
)
from napari_atomseg.localization.completion.residual import Residual
from napari_atomseg.localization.completion.singles import rarity, single_columns, surrounding
from napari_atomseg.localization.completion.sites import (
    SAME_SITE,
    Sites,
    begun_sublattices,
    sites_of,
)
from napari_atomseg.localization.completion.sublattices import (
    FAINTEST,
    Sublattice,
    fold,
    sublattices,
)
from napari_atomseg.localization.fit.independent import Fits
from napari_atomseg.progress import checkpoint, tell

ROUNDS = 3
"""Searches, each in what the columns of the last one leave."""
FEWEST = 4
"""Columns that a search starts from, at least."""
CONFIRMED = 0.4
"""Part of the highest rings of a probe to exceed where there must be hints besides."""
MANY = 0.02
"""Hints over columns from which on there may be a sublattice."""
WANDERED = 1.5
"""A column has left its candidate if its fit is farther away than this, over sigma."""


@dataclass
class _State:
    """The columns so far, and what they leave."""

    columns: Columns
    fits: Fits
    residual: Residual

    @property
    def count(self) -> int:
        return int(self.columns.believed.sum())


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
    added only where there are hints of it from elsewhere, too. A sublattice that averaged cells
    show is one only if half of its columns were found or have hints; of one that was found in part,
    sites without hints are in question, too.

    Parameters
    ----------
    image : (H, W) of bright columns; NaN pixels do not count.
    columns, fits : of the detector, and their Gaussians.
    sensitivity : expected number of false columns; 0 finds none and drops none.
    fit : measures columns.
    hints : (M, 2) places y, x where there may be columns; None for everywhere.
    """
    now = _State(columns, fits, Residual(image, fits, columns.believed))
    searched = sensitivity > 0 and now.residual.usable and now.count >= FEWEST
    if searched:
        now = _completed(image, now, sensitivity, fit, hints)
    dropped = np.zeros(len(now.columns), dtype=bool)
    columns, residual = now.columns, now.residual
    if residual.usable:
        z = np.full(len(columns), np.nan)
        z[columns.believed] = residual.significance()
        columns = replace(columns, significance=z)
        columns = replace(columns, significance=clear_at_border(columns, now.fits, residual))
        if sensitivity > 0:
            dropped = without_light(columns, residual)
    return Found(columns, now.fits, dropped, notes_on(columns, now.fits, dropped))


def _completed(
    image: Array, now: _State, sensitivity: float, fit: Fit, places: Array | None
) -> _State:
    """Columns with those that rounds of a search add."""
    hints = Hints(places, now.residual.spacing)
    sites, refused = Sites.none(), np.zeros((0, 2))
    for number in range(ROUNDS):
        tell(f"Looking for missing columns, round {number + 1}", number / ROUNDS)
        residual = now.residual
        beside = hints.beside(residual.points)
        if not beside.count():
            break
        found: list[Sublattice] = []
        if beside.count() >= max(FEWEST, MANY * len(residual.points)):
            rings = 1.0 if places is None else CONFIRMED
            found = begun_sublattices(residual.cells, residual.points, residual.spacing)
            known = sites_of(found, residual.spacing).places
            rest = beside.beside(known)
            found += _averaged(residual, rest, 0.5 * sensitivity, rings)
        # Those found last are the more exact ones.
        sites = sites_of(found, residual.spacing).joined(sites, residual.spacing)
        added = now.columns.source[now.columns.believed] == SUBLATTICE
        more = _untried(occupied_sites(residual, sites, hints, added), refused, residual)
        if not len(more):
            more = single_columns(residual, 0.5 * sensitivity, hints)
            more = _untried(more, refused, residual)
        if not len(more):
            break
        before = now.count
        now = _tried(image, now, more, sensitivity, fit)
        if now.count <= before:
            break
        taken = cKDTree(now.columns.places[now.columns.believed]).query(more.places)[0]
        refused = np.concatenate([refused, more.places[taken > SAME_SITE * residual.spacing]])
    return now


def _untried(more: Columns, refused: Array, residual: Residual) -> Columns:
    """Candidates that fits have not refused before."""
    if not len(refused) or not len(more):
        return more
    away = np.asarray(cKDTree(refused).query(more.places)[0])
    return more.only(away > SAME_SITE * residual.spacing)


def _averaged(residual: Residual, beside: Hints, rate: float, rings: float) -> list[Sublattice]:
    """Sublattices that stand out in the averaged cells of any patch.

    Parameters
    ----------
    beside : hints of which patches need many.
    """
    found: list[Sublattice] = []
    hinted = []
    for each in residual.cells:
        checkpoint()
        reach = float(np.hypot(*each.vectors.T).max())
        if beside.count(each.origin, reach) >= max(FEWEST, MANY * len(each.index)):
            hinted.append(each)
    if not hinted:
        return found
    soft, occupied = residual.soft(), residual.occupied()
    for each in hinted:
        checkpoint()
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
        found += sublattices(
            folded,
            residual.points,
            residual.amplitude,
            residual.sigma,
            residual.least,
            rate / len(residual.cells),
            rings,
        )
    return found


def _tried(image: Array, now: _State, more: Columns, rate: float, fit: Fit) -> _State:
    """Columns with those candidates that their fits, together with all others, confirm."""
    reach = max(now.residual.sigma, 0.25 * now.residual.spacing)
    first = len(now.columns)
    columns, new = now.columns.with_candidates(more, reach)
    fits = fit(columns, now.fits, new)
    walked = np.hypot(fits.y - columns.y, fits.x - columns.x)
    residual = Residual(image, fits, columns.believed)
    z = np.full(len(columns), np.nan)
    z[columns.believed] = residual.significance()
    single = columns.source == RESIDUAL
    site = columns.source == SUBLATTICE
    weak = single & ((rarity(residual, z) > 0.5 * rate) | ~np.isfinite(fits.amplitude))
    weak |= single & (walked > WANDERED * residual.sigma)
    weak |= site & ~(z >= _vacant(columns, z, site))
    weak |= single & ~(fits.amplitude >= FAINTEST * surrounding(residual, fits.y, fits.x))
    if not weak.any():
        return _State(columns, fits, residual)
    # A detection that was not believed before is not believed again; the rest goes.
    detected = np.arange(len(columns)) < first
    believed = columns.believed & ~(weak & detected)
    columns = replace(columns, believed=believed)
    keep = detected | ~weak
    columns, fits = columns.only(keep), fits.only(keep)
    return _State(columns, fits, Residual(image, fits, columns.believed))


def _vacant(columns: Columns, z: Array, site: Mask) -> Array:
    """(N,) z below which a site is rather vacant, once the sites around it have been fitted.

    Half of theirs, where these are not clear no more than `LEAST_SITE`, and never so much that the
    light of a site would stand out by itself.
    """
    limit = np.full(len(columns), LEAST_SITE)
    own = np.flatnonzero(site)
    if len(own) >= FEWEST_SITES:
        places = columns.places[own]
        near = cKDTree(places).query(places, k=FEWEST_SITES)[1]
        local = np.median(np.nan_to_num(z[own])[near], axis=1)
        most = np.where(local >= KIN_CLEAR, KIN_CLEAR, LEAST_SITE)
        limit[own] = np.clip(0.5 * local, 0.0, most)
    return limit
