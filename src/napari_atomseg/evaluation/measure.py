"""Scores of one image and its columns, and of scores and error bars themselves."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

from napari_atomseg._shared.types import Image
from napari_atomseg.analysis import psnr, ssim
from napari_atomseg.evaluation.case import Case, Outcome
from napari_atomseg.evaluation.tasks import ColumnPairs, pair

BINS = 10
LEVELS = {0.68: 1.0, 0.95: 1.96}
"""Fractions of normal errors within so many standard deviations."""


def reliability(score: ArrayLike, hit: ArrayLike, bins: int = BINS) -> pd.DataFrame:
    """How often detections of each score are right.

    Parameters
    ----------
    score : (N,) in 0..1; NaN is left out.
    hit : (N,) whether the detection is right.
    bins : of equal width.

    Returns
    -------
    A row each bin that is not empty: ``low``, ``high``, ``count``, mean ``score``, share ``right``.
    """
    scores, hits = np.asarray(score, dtype=float), np.asarray(hit, dtype=float)
    known = np.isfinite(scores)
    scores, hits = scores[known], hits[known]
    place = np.minimum((scores * bins).astype(int), bins - 1)
    rows = [
        (b / bins, (b + 1) / bins, n, scores[place == b].mean(), hits[place == b].mean())
        for b in range(bins)
        if (n := int((place == b).sum()))
    ]
    return pd.DataFrame(rows, columns=["low", "high", "count", "score", "right"])


def expected_calibration_error(score: ArrayLike, hit: ArrayLike, bins: int = BINS) -> float:
    """Mean difference of score and share that is right, over bins by their counts (Guo et al. 2017,
    Eq. 3); NaN without scores.
    """
    table = reliability(score, hit, bins)
    if table.empty:
        return float("nan")
    return float(np.average(abs(table["score"] - table["right"]), weights=table["count"]))


def coverage(error: ArrayLike, deviation: ArrayLike, level: float) -> float:
    """Share of errors within the error bars of a `level`, one of `LEVELS`; NaN without any."""
    errors, bars = np.asarray(error, dtype=float), np.asarray(deviation, dtype=float)
    known = np.isfinite(errors) & np.isfinite(bars)
    if not known.any():
        return float("nan")
    return float(np.mean(abs(errors[known]) <= LEVELS[level] * bars[known]))


NEIGHBOUR = 3
"""Every column inside a lattice has so many neighbours: three in a honeycomb, more in others."""
REACH = 1.5
"""Neighbours stand within so many typical distances of the third nearest one."""
GAP = 130.0
"""Degrees without a neighbour that make an edge; inside a honeycomb there are 120, inside the
dumbbells of [110] diamond 125."""


def edge_columns(points: NDArray[np.float64], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Which columns are the outermost ones of the specimen, or border on a hole.

    They have no neighbour in some direction, over an angle of more than `GAP`. The typical distance
    is the median over the columns, so that lattices with a basis, as dumbbells, are seen as one.

    Parameters
    ----------
    points : (N, 2) places y, x in pixels.
    shape : of the image; columns nearer to its border than neighbours can be are no edge, for the
        image cuts their surroundings.

    Returns
    -------
    (N,) bool; none where there are no more than three columns.
    """
    edge = np.zeros(len(points), bool)
    if len(points) <= NEIGHBOUR:
        return edge
    tree = cKDTree(points)
    distance = np.asarray(tree.query(points, k=[NEIGHBOUR + 1])[0])
    reach = REACH * float(np.median(distance))
    far = np.array(shape) - 1 - points
    inner = np.minimum(points, far).min(axis=1) >= reach
    for n in np.flatnonzero(inner):
        near = [k for k in tree.query_ball_point(points[n], reach) if k != n]
        edge[n] = largest_gap(points[near] - points[n]) > GAP
    return edge


def largest_gap(steps: NDArray[np.float64]) -> float:
    """The largest angle in degrees between neighbouring directions of (N, 2) steps y, x; 360 of
    fewer than two.
    """
    if len(steps) < 2:
        return 360.0
    angle = np.sort(np.degrees(np.arctan2(steps[:, 0], steps[:, 1])))
    return float(np.diff(angle, append=angle[0] + 360.0).max())


AWAY = 1.5
"""False columns farther than this many spacings from every true one lie where the specimen does
not: in vacuum or on the support."""


def image_scores(restored: Image, truth: Image) -> dict[str, float]:
    """PSNR as it is and with the best gain and offset, and SSIM with these.

    A constant truth has no scale to measure an error against; its scores are NaN.
    """
    if np.ptp(truth) == 0 or not np.isfinite(restored).all():
        return dict.fromkeys(("psnr", "psnr_affine", "ssim"), float("nan"))
    return {
        "psnr": psnr(restored, truth),
        "psnr_affine": psnr(restored, truth, affine=True),
        "ssim": ssim(restored, truth, affine=True),
    }


def measure(case: Case, outcome: Outcome) -> tuple[dict[str, Any], pd.DataFrame]:
    """Score an outcome.

    Returns
    -------
    The scores of the image, with the counts ``found`` and ``visible`` of columns, ``hits`` of both,
    ``edges``, the visible ones at the edge of the specimen, ``edge_hits`` of these, and ``away``;
    and a row each column found:

    - ``hit``: whether it is a true column; pairs with columns that cannot be seen are left out.
    - ``score`` of the detection, where the method gives one.
    - ``dy``, ``dx``: its error, in pixels; ``y_err``, ``x_err``: its standard errors by the method.
      NaN at the border, where the image cuts columns, and for columns that are not true.
    - ``bound``: the least that hypot(dy, dx) is on average, in pixels.
    - ``volume``: what it has over what it should have.
    """
    row: dict[str, Any] = {}
    if outcome.restored is not None and case.truth is not None:
        row |= image_scores(outcome.restored, case.truth)
    if outcome.columns is None or case.columns is None:
        return row, pd.DataFrame()
    pairs = pair(case, outcome.columns)
    table = pd.DataFrame({"hit": np.zeros(len(pairs.found), bool)})
    table.loc[pairs.i, "hit"] = True
    table["score"] = _column(pairs.found, "score")
    for name, values in _errors(case, pairs).items():
        table[name] = np.nan
        table.loc[pairs.i, name] = values
    edge = edge_columns(pairs.known[["y", "x"]].to_numpy(float), case.image.shape) & pairs.visible
    row["found"], row["visible"] = int((~pairs.uncounted).sum()), int(pairs.visible.sum())
    row["hits"] = len(pairs.i)
    row["edges"], row["edge_hits"] = int(edge.sum()), int(edge[pairs.j].sum())
    false = ~(table["hit"].to_numpy() | pairs.uncounted)
    row["away"] = _away(case, pairs.found[false], pairs.known)
    return row, table[~pairs.uncounted].reset_index(drop=True)


def _errors(case: Case, pairs: ColumnPairs) -> dict[str, NDArray[np.float64]]:
    """Errors of the pairs of columns; NaN at the border."""
    found, known, i, j = pairs.found, pairs.known, pairs.i, pairs.j
    place = known[["y", "x"]].to_numpy(float)[j]
    far = np.array(case.image.shape) - 1 - place
    inner = np.minimum(place, far).min(axis=1) >= case.edge if len(j) else np.zeros(0, bool)
    step = found[["y", "x"]].to_numpy(float)[i] - place
    values = {
        "dy": step[:, 0],
        "dx": step[:, 1],
        "y_err": _column(found, "y_err")[i],
        "x_err": _column(found, "x_err")[i],
        "bound": _column(known, "bound")[j],
        "volume": _column(found, "volume")[i] / _column(known, "volume")[j],
    }
    return {name: np.where(inner, each, np.nan) for name, each in values.items()}


def _away(case: Case, false: pd.DataFrame, known: pd.DataFrame) -> int:
    """Number of columns farther than `AWAY` spacings from every true one."""
    if len(false) == 0 or len(known) == 0:
        return len(false)
    reach = AWAY * np.fmax(case.spacing, case.radius)
    places = [table[["y", "x"]].to_numpy(float) for table in (false, known)]
    distance = np.hypot(*(places[0][:, None] - places[1][None]).transpose(2, 0, 1))
    return int((distance.min(axis=1) > reach).sum())


def _column(table: pd.DataFrame, name: str) -> NDArray[np.float64]:
    missing = np.full(len(table), np.nan)
    return table[name].to_numpy(float) if name in table else missing
