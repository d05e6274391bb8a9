"""What figures take from tables of columns."""

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
"""Whole numbers of more values than this are a quantity, of fewer a category."""


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
            raise ValueError("the columns are those of a stack; choose a frame")
        table = table[table["frame"] == frame]
    return table[np.isfinite(table["y"]) & np.isfinite(table["x"])] if "y" in table else table


def known_sampling(columns: pd.DataFrame | None, sampling: Sampling | None) -> Sampling | None:
    """What was given, or else what the table says."""
    if sampling is not None or columns is None:
        return sampling
    said: Sampling | None = columns.attrs.get("sampling")
    return said


def spacing(columns: pd.DataFrame) -> float:
    """Median distance of nearest neighbours, px; NaN for fewer than two columns."""
    return median_spacing(columns[["y", "x"]].to_numpy(float))


def is_category(values: pd.Series) -> bool:
    """Whether values are kinds, as names, yes and no, or few whole numbers, and no quantity."""
    if not pd.api.types.is_numeric_dtype(values) or values.dtype.kind == "b":
        return True
    known = values.dropna()
    whole = values.dtype.kind in "iu"
    if values.dtype.kind == "f":
        # What whole numbers become where some are missing.
        whole = 0 < len(known) < len(values) and bool((known % 1 == 0).all())
    return whole and known.nunique() <= MOST_KINDS


def kind_text(value: Any) -> str:
    """What a kind is called: a name, or a whole number without decimals."""
    return f"{value:g}" if isinstance(value, (float, np.floating)) else str(value)


def label(name: str, unit: str | None = None) -> str:
    """What stands at an axis: "volume (intensity px²)"; the unit is no longer in the name."""
    unit = unit_of(name) if unit is None else unit
    return f"{words(name)} ({unit})" if unit else words(name)


def words(name: str) -> str:
    """A column's name in words, without its unit: "dy_pm" is "dy"."""
    for ending in ("_angstrom", "_pm", "_nm", "_px", "_deg", "_percent"):
        name = name.removesuffix(ending)
    return name.replace("_", " ")


def limits(values: NDArray[Any], *, signed: bool = False) -> tuple[float, float]:
    """From the 1st to the 99th percentile, about zero where `signed`; never empty."""
    finite = values[np.isfinite(values)]
    if finite.size == 0:
        return (-1.0, 1.0) if signed else (0.0, 1.0)
    if signed:
        high = float(np.percentile(np.abs(finite), 98)) or 1e-12
        return -high, high
    low, high = (float(each) for each in np.percentile(finite, (1, 99)))
    return (low, high) if high > low else (low - 0.5, high + 0.5)
