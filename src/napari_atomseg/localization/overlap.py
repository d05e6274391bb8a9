"""Columns that share their light with a neighbour, which fits one by one divide badly."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from napari_atomseg._shared.types import Array
from napari_atomseg.localization.settings import Refine
from napari_atomseg.localization.table import widths_or_typical

SHARING = 3.5
"""Distance over sigma below which the error of a fit alone is wrong: 1.4 to 1.7 times too small at
3 sigma, and 3 to 4 times at 2 sigma, where single fits take half a dumbbell for a narrow column."""
LIMIT = 2.4
"""Distance over the typical sigma from which on pairs show as two peaks (2 without noise)..."""
MANY = 0.05
"""...and where columns at it, more than this part of all, may have nearer pairs beside them..."""
VARIED = 1.25
"""...unless all pairs are alike, as dumbbells are: ratio of the distances of far and near ones."""
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
    away, wider = _apart(table, aspect)
    return np.asarray(away < SHARING * wider)


def _apart(table: pd.DataFrame, aspect: float) -> tuple[Array, Array]:
    """(N,) distance of the nearest column, px, inf without one; and the wider sigma of both."""
    away, wider = np.full(len(table), np.inf), np.zeros(len(table))
    sigma = widths_or_typical(table)
    points = table[["y", "x"]].to_numpy(float) * np.exp([-0.5 * aspect, 0.5 * aspect])
    rows = np.flatnonzero(np.isfinite(points).all(axis=1))
    if len(rows) < 2 or sigma is None:
        return away, wider
    distance, other = cKDTree(points[rows]).query(points[rows], k=2)
    away[rows] = np.asarray(distance)[:, 1]
    wider[rows] = np.maximum(sigma[rows], sigma[rows[np.asarray(other)[:, 1]]])
    return away, wider


def merging_notes(tables: Sequence[pd.DataFrame], aspect: float = 0.0) -> list[str]:
    """A sentence where pairs of columns are as near as two can be seen, at many distances, as in
    lattices over each other: nearer pairs were taken for one column. None otherwise.
    """
    parts = [np.zeros(0)]
    for table in tables:
        sigma = widths_or_typical(table)
        if sigma is not None:
            parts.append(_apart(table, aspect)[0] / np.median(sigma))
    away = np.concatenate(parts)
    count = int((away < LIMIT).sum())
    pairs = away[away < SHARING]
    if count <= MANY * len(away):
        return []
    near, far = np.quantile(pairs, [0.1, 0.9])
    if far < VARIED * near:
        return []
    return [
        f"{count} of {len(away)} columns have a neighbour at 2 to {LIMIT:g} times the width "
        "(sigma), others at more: pairs that are nearer show one peak and were taken for one "
        "column, as in lattices that overlap; such columns are wider, longer and brighter"
    ]


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
