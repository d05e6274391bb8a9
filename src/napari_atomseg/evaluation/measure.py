"""One outcome against the truth of its case: counts and sums of the image, rows of its columns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_atomseg.analysis import match, psnr, ssim
from napari_atomseg.evaluation.case import Case, Image
from napari_atomseg.evaluation.methods import Outcome

VISIBLE = 4.0
"""Columns of a smaller signal over noise are neither to be found nor wrong where they are."""
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
    The scores of the image, with the counts ``found`` and ``visible`` of columns, ``hits`` of both
    and ``away``, and a row each column found:

    - ``hit``: whether it is a true column; pairs with columns that cannot be seen are left out.
    - ``score`` of the detection, where the method gives one.
    - ``dy``, ``dx``: its error, in pixels; ``y_err``, ``x_err``: what the method says of it. NaN at
      the border, where the image cuts columns, and for columns that are not true.
    - ``bound``: the least that hypot(dy, dx) is on average, in pixels.
    - ``volume``: what it has over what it should have.
    """
    row: dict[str, Any] = {}
    if outcome.restored is not None and case.truth is not None:
        row |= image_scores(outcome.restored, case.truth)
    if outcome.columns is None or case.columns is None:
        return row, pd.DataFrame()
    found, known = outcome.columns.reset_index(drop=True), case.columns.reset_index(drop=True)
    i, j = match(found, known, case.radius)
    visible = ~(known["snr"] < VISIBLE).to_numpy() if "snr" in known else np.ones(len(known), bool)
    faint = np.zeros(len(found), bool)
    faint[i[~visible[j]]] = True
    i, j = i[visible[j]], j[visible[j]]
    table = pd.DataFrame({"hit": np.zeros(len(found), bool)})
    table.loc[i, "hit"] = True
    table["score"] = _column(found, "score")
    for name, values in _errors(case, found, known, i, j).items():
        table[name] = np.nan
        table.loc[i, name] = values
    row["found"], row["visible"] = len(found) - int(faint.sum()), int(visible.sum())
    row["hits"] = len(i)
    row["away"] = _away(case, found[~(table["hit"].to_numpy() | faint)], known)
    return row, table[~faint].reset_index(drop=True)


def _errors(
    case: Case,
    found: pd.DataFrame,
    known: pd.DataFrame,
    i: NDArray[np.intp],
    j: NDArray[np.intp],
) -> dict[str, NDArray[np.float64]]:
    """What is measured of the pairs of columns i found and j known; NaN at the border."""
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
    """How many columns lie farther than `AWAY` spacings from every true one."""
    if len(false) == 0 or len(known) == 0:
        return len(false)
    reach = AWAY * np.fmax(case.spacing, case.radius)
    places = [table[["y", "x"]].to_numpy(float) for table in (false, known)]
    distance = np.hypot(*(places[0][:, None] - places[1][None]).transpose(2, 0, 1))
    return int((distance.min(axis=1) > reach).sum())


def _column(table: pd.DataFrame, name: str) -> NDArray[np.float64]:
    missing = np.full(len(table), np.nan)
    return table[name].to_numpy(float) if name in table else missing
