"""Detections that are none: without light in the raw image, or a second one on a column."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree
from scipy.special import logit

from napari_atomseg._shared.types import Mask
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
    places = equivalent(residual.cells, columns.places[doubtful], KIN)
    kin = residual.tree.query(places, distance_upper_bound=SAME_SITE * residual.spacing)[1]
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
