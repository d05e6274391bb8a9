"""Positions of columns, as every measurement takes them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from napari_atomseg._shared.types import Array, Sampling
from napari_atomseg._shared.units import pixel_scale

Positions = pd.DataFrame | ArrayLike


def positions_of(table: Positions, name: str = "columns") -> Array:
    """(N, 2) positions (y, x).

    Parameters
    ----------
    table : table with columns ``y`` and ``x``, or (N, 2) array of (y, x).
    name : name of the argument, for the error.

    Raises
    ------
    ValueError
        These are not pairs of numbers.
    """
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


def measured(table: Positions, least: int = 0) -> NDArray[np.bool_]:
    """(N,) finite positions, but for those without an error among others that have one.

    Those were found and not measured, as where the border cuts a column: they may be off by pixels.
    They count where fewer than `least` are measured.
    """
    points = positions_of(table)
    finite = np.isfinite(points).all(axis=1)
    if isinstance(table, pd.DataFrame) and {"y_err", "x_err"} <= set(table):
        errors = table[["y_err", "x_err"]].to_numpy(dtype=np.float64)
        known = finite & np.isfinite(errors).all(axis=1)
        if known.sum() >= max(least, 0.5 * finite.sum()):
            return np.asarray(known)
    return np.asarray(finite)


def placed(table: Positions, sampling: Sampling | None, name: str = "columns") -> Array:
    """(N, 2) positions (y, x) in Å, or in pixels where the sampling is None; all finite.

    Raises
    ------
    ValueError
        These are not pairs of finite numbers, or the sampling is wrong.
    """
    points = positions_of(table, name)
    if not np.isfinite(points).all():
        bad = int((~np.isfinite(points).all(axis=1)).sum())
        raise ValueError(f"{name} must have finite positions; {bad} of {len(points)} are not")
    return points * pixel_scale(sampling)
