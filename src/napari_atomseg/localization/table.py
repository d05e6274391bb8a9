"""The table of columns: its names, units and order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from napari_atomseg.localization.detect import Detections
from napari_atomseg.localization.fits import Fits

Sampling = float | tuple[float, float]


def pixel_size(sampling: Sampling | None) -> tuple[float, float] | None:
    """(dy, dx) in Å of one number or two.

    Raises
    ------
    ValueError
        It is neither.
    """
    if sampling is None:
        return None
    try:
        values = np.asarray(sampling, dtype=float).ravel()
    except (TypeError, ValueError):
        values = np.zeros(0)
    if values.size not in (1, 2) or not np.all(np.isfinite(values)) or np.any(values <= 0):
        raise ValueError(f"sampling={sampling!r} must be one or two positive numbers, Å a pixel")
    return float(values[0]), float(values[-1])


def column_table(
    fits: Fits,
    found: Detections,
    sign: float,
    pixel: tuple[float, float] | None,
    judged: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Rows of one image.

    Parameters
    ----------
    fits : measured on ``sign * image``, sign 1 for bright and -1 for dark columns.
    pixel : (dy, dx) in Å, or None.
    judged : a row each of what is to be trusted, `score` among it, which stands in for that of the
        detection; the rest follows the label.
    """
    table = pd.DataFrame(
        {
            "y": fits.y,
            "x": fits.x,
            "y_err": fits.y_err,
            "x_err": fits.x_err,
            "sigma": fits.sigma,
            "amplitude": sign * fits.amplitude,
            "background": sign * fits.background,
            "volume": sign * 2 * np.pi * fits.sigma**2 * fits.amplitude,
            "score": found.score,
            "label": np.arange(1, len(found) + 1),
        }
    )
    if judged is not None:
        table = table.assign(**judged)
    if pixel is not None:
        table["y_angstrom"], table["x_angstrom"] = table["y"] * pixel[0], table["x"] * pixel[1]
    return table


def joined(tables: list[pd.DataFrame], *, stacked: bool, attrs: dict[str, Any]) -> pd.DataFrame:
    """One table of all frames; those of a stack carry the number of their frame."""
    if stacked:
        for number, table in enumerate(tables):
            table.insert(0, "frame", number)
    filled = [table for table in tables if len(table)] or tables[:1]
    whole = pd.concat(filled, ignore_index=True)
    whole.attrs.update(attrs)
    return whole
