"""Positions found against positions known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from napari_atomseg.analysis.positions import Positions, positions_of


@dataclass(frozen=True)
class Scores:
    """How well positions agree with a truth.

    `precision`, `recall` and `f1` are NaN where nothing could be counted. Lengths are in the unit
    of the positions: `rmse` is the root mean square and `median` the median distance of matched
    pairs, `bias` their mean displacement (dy, dx), found minus true.
    """

    found: int
    truth: int
    matched: int
    precision: float
    recall: float
    f1: float
    rmse: float
    median: float
    bias: tuple[float, float]


def match(
    found: Positions, truth: Positions, radius: float
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Pair each position with at most one of the other set, closest pairs first.

    Parameters
    ----------
    found, truth : table with columns ``y`` and ``x``, or (N, 2) array of (y, x).
    radius : largest distance of a pair.

    Returns
    -------
    Indices into `found` and indices into `truth`, of equal length.

    Raises
    ------
    ValueError
        If `radius` is not positive or the positions are not pairs of numbers.
    """
    if not radius > 0:
        raise ValueError(f"radius must be positive, not {radius!r}")
    points, known = positions_of(found, "found"), positions_of(truth, "truth")
    if len(points) == 0 or len(known) == 0:
        return np.zeros(0, dtype=np.intp), np.zeros(0, dtype=np.intp)
    pairs = cKDTree(points).sparse_distance_matrix(cKDTree(known), radius, output_type="coo_matrix")
    used_found, used_truth = np.zeros(len(points), bool), np.zeros(len(known), bool)
    chosen = []
    for k in np.argsort(pairs.data, kind="stable"):
        i, j = pairs.row[k], pairs.col[k]
        if not used_found[i] and not used_truth[j]:
            used_found[i] = used_truth[j] = True
            chosen.append((i, j))
    index = np.array(chosen, dtype=np.intp).reshape(-1, 2)
    return index[:, 0], index[:, 1]


def scores(found: Positions, truth: Positions, radius: float) -> Scores:
    """Detection and precision scores of positions against a truth.

    A position counts as found where `match` pairs it with a true one within `radius`.

    Parameters
    ----------
    found, truth : table with columns ``y`` and ``x``, or (N, 2) array of (y, x).
    radius : largest distance of a pair, in the unit of the positions.

    Raises
    ------
    ValueError
        If `radius` is not positive or the positions are not pairs of numbers.
    """
    i, j = match(found, truth, radius)
    points, known = positions_of(found, "found"), positions_of(truth, "truth")
    step = points[i] - known[j]
    squared = (step**2).sum(axis=1)
    none = len(i) == 0
    return Scores(
        found=len(points),
        truth=len(known),
        matched=len(i),
        precision=_ratio(len(i), len(points)),
        recall=_ratio(len(i), len(known)),
        f1=_ratio(2 * len(i), len(points) + len(known)),
        rmse=np.nan if none else float(np.sqrt(squared.mean())),
        median=np.nan if none else float(np.sqrt(np.median(squared))),
        bias=(np.nan, np.nan) if none else (float(step[:, 0].mean()), float(step[:, 1].mean())),
    )


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")
