"""Cramér–Rao bounds of the columns of a table, beside their errors."""

from __future__ import annotations

import numpy as np
import pandas as pd

from napari_atomseg.localization.bounds import Bounds, cramer_rao_bounds
from napari_atomseg.localization.joint_bounds import overlapping_bounds

NEEDED = ("y", "x", "amplitude", "sigma", "background")
NAMES = ("y", "x", "sigma", "amplitude", "background", "volume")


def column_bounds(
    columns: pd.DataFrame,
    shape: tuple[int, int] | None = None,
    *,
    widths: str = "free",
    backgrounds: str = "local",
    gain: float | None = 1.0,
    deviation: float = 0.0,
) -> pd.DataFrame:
    """Smallest standard errors that unbiased estimates of a table's columns could have.

    Parameters
    ----------
    columns : table with `y`, `x`, `amplitude`, `sigma` and `background`, as of `localize`.
    shape : (H, W) of the image: bounds of all columns together, whose light overlaps, as by
        `overlapping_bounds`. None for those of each alone, in the middle of an empty image, as by
        `cramer_rao_bounds`.
    widths, backgrounds : of columns together, as for `overlapping_bounds`; shared ones have their
        mean.
    gain, deviation : noise, as for `cramer_rao_bounds`.

    Returns
    -------
    The table with ``y_bound``, ``x_bound``, ``sigma_bound``, ``amplitude_bound``,
    ``background_bound`` and ``volume_bound``; NaN where a column was not measured, is not
    brighter than its background, or lies beyond the image.

    Raises
    ------
    ValueError
        The table lacks something, holds several frames, or there is no noise.
    """
    missing = [name for name in NEEDED if name not in columns]
    if missing:
        raise ValueError(f"bounds need {', '.join(missing)}: run Localize with a Gaussian fit")
    if shape is not None and "frame" in columns and columns["frame"].nunique() > 1:
        raise ValueError("columns are of several frames; choose one")
    y, x, a, s, b = (columns[name].to_numpy(dtype=np.float64, na_value=np.nan) for name in NEEDED)
    known = np.isfinite([y, x, a, s, b]).all(axis=0) & (a > 0) & (s > 0)
    y, x, a, s, b = (values[known] for values in (y, x, a, s, b))
    if gain is not None:
        # A fitted background may fall below zero, the expected number of electrons cannot.
        b = np.maximum(b, 0.0)
    if shape is None:
        found: Bounds = cramer_rao_bounds(a, s, b, gain=gain, deviation=deviation)
    else:
        if widths == "shared":
            s = np.full_like(s, s.mean() if len(s) else np.nan)
        if backgrounds == "shared":
            b = np.full_like(b, b.mean() if len(b) else np.nan)
        found = overlapping_bounds(
            *(shape, y, x, a, s, b),
            widths=widths,
            backgrounds=backgrounds,
            gain=gain,
            deviation=deviation,
        )
    result = columns.copy()
    for name in NAMES:
        result[f"{name}_bound"] = np.nan
        result.loc[known, f"{name}_bound"] = getattr(found, name)
    return result
