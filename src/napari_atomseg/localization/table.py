"""The table of columns: its names, units and order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from napari_atomseg._shared.types import Array
from napari_atomseg.localization.completion.frame import Completed
from napari_atomseg.localization.fit.independent import Fits

ELLIPSES = ("elliptic", "rotated")


def measured_columns(fits: Fits, sign: float, refine: str) -> dict[str, Any]:
    """What fits measured on ``sign * image``, sign 1 for bright and -1 for dark columns.

    `ellipticity` and `angle` are there where `refine` measures them.
    """
    values = {
        "y": fits.y,
        "x": fits.x,
        "y_err": fits.y_err,
        "x_err": fits.x_err,
        "sigma": fits.sigma,
        "amplitude": sign * fits.amplitude,
        "background": sign * fits.background,
        "volume": sign * fits.volume,
        "volume_err": fits.volume_err,
        "converged": fits.converged,
    }
    if refine in ELLIPSES:
        values |= {"ellipticity": fits.ellipticity, "angle": -fits.angle}
    return values


def column_table(
    measured: dict[str, Any],
    found: Completed,
    pixel: tuple[float, float] | None,
    judged: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Rows of one image.

    Parameters
    ----------
    measured : see `measured_columns`.
    found : the columns and how they were found.
    pixel : (dy, dx) in Å, or None.
    judged : trust in each column: a `score`, which replaces that of the detection, and further
        columns, which follow the label.
    """
    later = ("volume_err", "converged", "ellipticity", "angle")
    table = pd.DataFrame(
        {name: value for name, value in measured.items() if name not in later}
        | {"score": found.score, "label": found.label}
        | {name: measured[name] for name in later if name in measured}
        | {"significance": found.significance, "found_by": found.found_by}
    )
    if judged is not None:
        table = table.assign(**judged)
    if pixel is not None:
        table = in_angstrom(table, pixel)
    return table


def in_angstrom(table: pd.DataFrame, pixel: tuple[float, float]) -> pd.DataFrame:
    """The table with positions in Å besides, for pixels (dy, dx) in Å."""
    return table.assign(y_angstrom=table["y"] * pixel[0], x_angstrom=table["x"] * pixel[1])


def joined(tables: list[pd.DataFrame], *, stacked: bool, attrs: dict[str, Any]) -> pd.DataFrame:
    """One table of all frames; those of a stack carry the number of their frame."""
    if stacked:
        for number, table in enumerate(tables):
            table.insert(0, "frame", number)
    filled = [table for table in tables if len(table)] or tables[:1]
    whole = pd.concat(filled, ignore_index=True)
    whole.attrs.update(attrs)
    return whole


def widths_or_typical(table: pd.DataFrame) -> Array | None:
    """(N,) widths (sigma) of columns, the typical one where none was fitted; None without any."""
    sigma = table["sigma"].to_numpy(float) if "sigma" in table else np.zeros(0)
    if not np.isfinite(sigma).any():
        return None
    return np.where(np.isfinite(sigma), sigma, np.nanmedian(sigma))
