"""Whether scores are probabilities, and error bars errors."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

BINS = 10
LEVELS = {0.68: 1.0, 0.95: 1.96}
"""Parts of normal errors, and the error bars that hold them."""


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
