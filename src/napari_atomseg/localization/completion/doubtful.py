"""Detections that are none: without light in the raw image, or a second one on a column."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.special import logit

from napari_atomseg._shared.types import Array, Mask
from napari_atomseg.localization.completion.cells import equivalent
from napari_atomseg.localization.completion.columns import DETECTED, Columns
from napari_atomseg.localization.completion.occupancy import CLEAR, FEWEST_SITES
from napari_atomseg.localization.completion.residual import COVERED, Residual
from napari_atomseg.localization.completion.singles import surrounding
from napari_atomseg.localization.completion.sites import SAME_SITE
from napari_atomseg.localization.completion.sublattices import FAINTEST
from napari_atomseg.localization.fit.independent import Fits

DARK = 1.0
"""z below which a detection has no light of its own."""
BORDER = 3.5
"""Distance from the border, over sigma, within which light from beyond it matters."""
KIN = 4
"""Cells to all sides in which a detection has columns of its kind."""
SUREST = 0.99
"""Highest score of a detection that counts beside those of its kind."""
KIN_CLEAR = 4.0
"""z of columns of the same kind, from which on a place without light is a vacancy."""


def doubles(columns: Columns, fits: Fits) -> Mask:
    """(N,) columns that stand on another one, which is the surer one.

    Two columns nearer to each other than fits can part, of which a fit has failed.
    """
    seconds = np.zeros(len(columns), dtype=bool)
    fitted = np.isfinite(fits.amplitude) & np.isfinite(fits.sigma)
    if fitted.any() and not fitted.all():
        reach = COVERED * float(np.median(fits.sigma[fitted]))
        for pair in sorted(cKDTree(columns.places).query_pairs(reach)):
            two = np.array(pair)
            if not fitted[two].all() and not seconds[two].any():
                seconds[two[columns.score[two].argmin()]] = True
    return seconds


def clear_at_border(columns: Columns, fits: Fits, residual: Residual) -> Array:
    """(N,) significances, of columns at the border that of their fits, where these are clear.

    There columns that lie beyond the image shine into the windows that heights are measured in, but
    hardly into the column's own. Fits of noise are no more than half of the columns of their kind.
    """
    z = columns.significance.copy()
    y, x = columns.y, columns.x
    height, width = residual.heights.shape
    away = np.minimum.reduce([y, x, height - 1 - y, width - 1 - x])
    some = np.flatnonzero(columns.believed & (away < BORDER * residual.sigma))
    if not len(some) or not residual.cells:
        return z
    _, kin = _kin(columns.places[some], residual)
    heights = np.append(residual.amplitude, np.nan)[kin]
    known = np.isfinite(heights).sum(axis=1) >= FEWEST_SITES
    some, heights = some[known], heights[known]
    # Noise that leaves a Gaussian so much error of its place leaves its height that much, too.
    own = np.sqrt(2.0) * fits.sigma[some] / np.maximum(fits.y_err[some], fits.x_err[some])
    clear = (own >= KIN_CLEAR) & (fits.amplitude[some] > 0.5 * np.nanmedian(heights, axis=1))
    z[some[clear]] = np.fmax(z[some[clear]], own[clear])
    return z


def _kin(places: Array, residual: Residual) -> tuple[Array, NDArray[np.intp]]:
    """(N, K, 2) sites around that are equivalent to places (N, 2), and (N, K) the columns on them.

    Where there is none, the index is that after the last one.
    """
    sites = equivalent(residual.cells, places, KIN)
    found = residual.tree.query(sites, distance_upper_bound=SAME_SITE * residual.spacing)[1]
    return sites, np.asarray(found)


def without_light(columns: Columns, residual: Residual) -> Mask:
    """(N,) columns of the detector that the raw image shows nothing of.

    Those of a lattice are judged with the columns of their kind in the cells around. If these are
    there on average, however faint, a column is dropped only where its own light makes it less
    likely than a vacancy, and is less than half of theirs. If on average many of them have less
    light than a Gaussian may leave of the columns around, a column is dropped unless its own light
    is clear: a detector that sees columns in noise sees them where the noise is high. So is one
    that has hardly any of its kind around it and is fainter than what Gaussians may leave there: a
    search would not add it.
    """
    z = columns.significance
    faint = (columns.source == DETECTED) & columns.believed & ~(z >= KIN_CLEAR)
    doubtful = np.flatnonzero(faint & np.isfinite(z))
    dropped = np.zeros(len(columns), dtype=bool)
    dark = z[doubtful] < DARK
    if not len(doubtful):
        return dropped
    # What Gaussians leave of the columns around makes no column.
    own = columns.places[doubtful].T
    floor = FAINTEST * surrounding(residual, *own)
    height = residual.amplitude[np.cumsum(columns.believed)[doubtful] - 1]
    left = dark | (height < floor)
    if not residual.cells:
        dropped[doubtful] = left
        return dropped
    places, kin = _kin(columns.places[doubtful], residual)
    values = np.append(z[columns.believed], np.nan)[kin]
    there = np.isfinite(values)
    count = there.sum(axis=1)
    level = np.where(there, values, 0.0).sum(axis=1) / np.maximum(count, 1)
    many = count >= FEWEST_SITES
    # A few that are as faint may be seen because noise is high there.
    present = (level * np.sqrt(count) >= CLEAR) & (many | (level >= KIN_CLEAR))
    # Where a fit has failed, the light at the site itself is that of no peak beside it.
    failed = there & ~np.append(residual.fitted, True)[kin]
    at_site = residual.z(*np.moveaxis(places, -1, 0).reshape(2, -1)).reshape(there.shape)
    at_site = np.where(failed & np.isfinite(at_site), at_site, np.where(there, values, 0.0))
    fair = at_site.sum(axis=1) / np.maximum(count, 1)
    least = floor / residual.deviation(*own)
    empty = many & (fair + CLEAR / np.sqrt(np.maximum(count, 1)) < least)
    score = np.clip(columns.score[doubtful], 0.5, SUREST)
    # The rule of succession: of so many sites of the kind, none was vacant.
    odds = np.log1p(count) + logit(score) + level * z[doubtful] - 0.5 * level**2
    # Half of the light of its kind is nearer to none than to theirs.
    dark |= many & (z[doubtful] < np.clip(0.5 * level, DARK, KIN_CLEAR))
    dropped[doubtful] = empty | (np.where(many, dark, left) & ~(present & (odds > 0.0)))
    return dropped
