"""Positions of columns, as every measurement takes them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from napari_atomseg._shared.types import Array, Sampling

Positions = pd.DataFrame | ArrayLike


def positions_of(table: Positions, name: str = "columns") -> Array:
    """(N, 2) positions (y, x).

    Parameters
    ----------
    table : table with columns ``y`` and ``x``, or (N, 2) array of (y, x).
    name : of the argument, for the error.

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


def unit_of(sampling: Sampling | None) -> Array:
    """(2,) what a pixel measures along y and x: Å, or 1 where the sampling is not known.

    Raises
    ------
    ValueError
        The sampling is not one or two positive numbers.
    """
    if sampling is None:
        return np.ones(2)
    from napari_atomseg.localization.table import pixel_size

    return np.array(pixel_size(sampling))


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
    return points * unit_of(sampling)
