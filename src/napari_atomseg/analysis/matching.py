"""Positions found against positions known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

Positions = pd.DataFrame | ArrayLike


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
    points, known = _positions(found, "found"), _positions(truth, "truth")
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
    points, known = _positions(found, "found"), _positions(truth, "truth")
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


def _positions(table: Positions, name: str) -> NDArray[np.float64]:
    if isinstance(table, pd.DataFrame):
        missing = [c for c in ("y", "x") if c not in table]
        if missing:
            raise ValueError(f"{name} must have the columns 'y' and 'x'; it lacks {missing}")
        return table[["y", "x"]].to_numpy(dtype=np.float64)
    points: NDArray[Any] = np.asarray(table, dtype=np.float64)
    if points.size == 0:
        return np.zeros((0, 2))
    if points.ndim != 2 or points.shape[1] != 2:
        raise ValueError(f"{name} must be a table or an (N, 2) array, not of shape {points.shape}")
    return points
