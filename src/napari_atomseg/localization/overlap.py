"""Columns that share their light with a neighbour, which fits one by one divide badly."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from napari_atomseg.localization.settings import Refine

SHARING = 3.5
"""Distance over sigma below which the error of a fit alone is wrong: 1.4 to 1.7 times too small at
3 sigma, and 3 to 4 times at 2 sigma, where single fits take half a dumbbell for a narrow column."""
ALONE = {
    "gaussian": "fits one by one",
    "elliptic": "fits one by one",
    "rotated": "fits one by one",
    "centroid": "centroids",
    "centre_of_mass": "centres of mass",
}
"""Ways of measuring that give each column its own pixels, in words."""
ADVICE = "fit them together (refine: joint)"


def overlapping(table: pd.DataFrame, aspect: float = 0.0) -> NDArray[np.bool_]:
    """(N,) columns of a table of `localize` that are nearer to another one than `SHARING` sigma.

    Parameters
    ----------
    table : of one frame; widths that are not known are the typical one.
    aspect : ln of dx over dy of pixels that are not square.
    """
    near = np.zeros(len(table), dtype=bool)
    sigma = table["sigma"].to_numpy(float) if "sigma" in table else np.full(len(table), np.nan)
    points = table[["y", "x"]].to_numpy(float) * np.exp([-0.5 * aspect, 0.5 * aspect])
    finite = np.isfinite(points).all(axis=1)
    if finite.sum() < 2 or not np.isfinite(sigma[finite]).any():
        return near
    sigma = np.where(np.isfinite(sigma), sigma, np.nanmedian(sigma[finite]))
    rows = np.flatnonzero(finite)
    away, other = cKDTree(points[rows]).query(points[rows], k=2)
    wider = np.maximum(sigma[rows], sigma[rows[np.asarray(other)[:, 1]]])
    near[rows] = np.asarray(away)[:, 1] < SHARING * wider
    return near


def overlap_notes(tables: Sequence[pd.DataFrame], refine: Refine, aspect: float = 0.0) -> list[str]:
    """A sentence where columns share light and were measured one by one; none otherwise."""
    if refine not in ALONE:
        return []
    count = sum(int(overlapping(table, aspect).sum()) for table in tables)
    if not count:
        return []
    total = sum(map(len, tables))
    return [
        f"{count} of {total} columns are nearer to a neighbour than {SHARING:g} times their width "
        f"(sigma): {ALONE[refine]} do not part such light, places are off by more than their "
        f"errors and widths are too small; {ADVICE}"
    ]


def is_overlap_note(note: str) -> bool:
    """Whether a sentence of a table's notes is one of `overlap_notes`."""
    return note.endswith(ADVICE)
