"""Tables of columns for figures: rows, kinds, labels and limits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_atomseg._shared.geometry import median_spacing
from napari_atomseg._shared.types import Sampling
from napari_atomseg.io.columns.table import unit_of

MOST_KINDS = 8
"""Whole numbers with more different values are a quantity, with fewer a category."""


def chosen(columns: pd.DataFrame, needed: Sequence[str], frame: int | None = None) -> pd.DataFrame:
    """The rows of one frame that have positions.

    Raises
    ------
    ValueError
        The table lacks one of the `needed` columns, or a frame of a stack must be chosen.
    """
    missing = [name for name in needed if name not in columns]
    if missing:
        raise ValueError(
            f"the table has no {' and no '.join(map(repr, missing))}; it has "
            f"{', '.join(map(str, columns.columns))}"
        )
    table = columns
    if "frame" in table and (frame is not None or table["frame"].nunique() > 1):
        if frame is None:
            raise ValueError("the table is that of a stack; choose a frame")
        table = table[table["frame"] == frame]
    return table[np.isfinite(table["y"]) & np.isfinite(table["x"])] if "y" in table else table


def known_sampling(columns: pd.DataFrame | None, sampling: Sampling | None) -> Sampling | None:
    """The sampling given, or else that of the table."""
    if sampling is not None or columns is None:
        return sampling
    stored: Sampling | None = columns.attrs.get("sampling")
    return stored


def spacing(columns: pd.DataFrame) -> float:
    """Median distance of nearest neighbours, px; NaN for fewer than two columns."""
    return median_spacing(columns[["y", "x"]].to_numpy(float))


def is_category(values: pd.Series) -> bool:
    """Whether values are categories: names, truth values or few different whole numbers."""
    if not pd.api.types.is_numeric_dtype(values) or values.dtype.kind == "b":
        return True
    known = values.dropna()
    whole = values.dtype.kind in "iu"
    if values.dtype.kind == "f":
        # Whole numbers become floats where some are missing.
        whole = 0 < len(known) < len(values) and bool((known % 1 == 0).all())
    return whole and known.nunique() <= MOST_KINDS


def kind_text(value: Any) -> str:
    """Name of a category; whole numbers without decimals."""
    return f"{value:g}" if isinstance(value, (float, np.floating)) else str(value)


def label(name: str, unit: str | None = None) -> str:
    """Label of an axis such as "volume (intensity px²)", with the unit once."""
    unit = unit_of(name) if unit is None else unit
    return f"{words(name)} ({unit})" if unit else words(name)


def words(name: str) -> str:
    """Name of a table column in words, without its unit: "dy_pm" becomes "dy"."""
    for ending in ("_angstrom", "_pm", "_nm", "_px", "_deg", "_percent"):
        name = name.removesuffix(ending)
    return name.replace("_", " ")


def limits(values: NDArray[Any], *, signed: bool = False) -> tuple[float, float]:
    """Limits of a colour scale: 1st to 99th percentile, symmetric where `signed`; never empty."""
    finite = values[np.isfinite(values)]
    if finite.size == 0:
        return (-1.0, 1.0) if signed else (0.0, 1.0)
    if signed:
        high = float(np.percentile(np.abs(finite), 98)) or 1e-12
        return -high, high
    low, high = (float(each) for each in np.percentile(finite, (1, 99)))
    return (low, high) if high > low else (low - 0.5, high + 0.5)
