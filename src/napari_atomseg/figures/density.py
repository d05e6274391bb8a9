"""The two-dimensional density of bond vectors: the vector pair correlation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from napari_atomseg.figures.canvas import SEQUENTIAL, STYLE, WIDTH, sheet, style

SHOWN = 60
"""Bins across a figure, at most: narrower peaks could not be seen."""
NEEDED = ("vector_y", "vector_x", "density")


def density_map(
    density: pd.DataFrame,
    *,
    around: tuple[float, float] | None = None,
    reach: float | None = None,
    unit: str = "Å",
    title: str = "",
    width: float = WIDTH,
) -> Figure:
    """Draw the density of bond vectors as an image, with x to the right and y down.

    Of many bins, squares of them are drawn by their highest value, so that narrow peaks are seen.

    Parameters
    ----------
    density : table of a `bond_density`.
    around : (y, x) of the vector in the middle of the figure; None draws all of them.
    reach : how far the figure reaches from there, with `around`; None takes a tenth of the
        vector's length.
    unit : of the vectors.
    width : width of the figure, mm.

    Raises
    ------
    ValueError
        The table has no density there, its bins are on no grid, or `reach` is not positive.
    """
    if around is not None:
        far = 0.1 * float(np.hypot(*around)) if reach is None else reach
        if not far > 0:
            raise ValueError(f"reach={far!r} must be positive")
        if set(NEEDED) <= set(density):
            places = density[["vector_y", "vector_x"]].to_numpy(float)
            away = np.abs(places - np.array(around)).max(axis=1)
            density = density[away <= far]
            if density.empty:
                raise ValueError(f"around={around!r}: there is no density within {far:g} {unit}")
    values, extent = highest(*density_grid(density))
    with style():
        figure = sheet(width, 0.85)
        panel = figure.subplots()
        shown = panel.imshow(values, cmap=SEQUENTIAL, extent=extent, vmin=0.0)
        panel.set(xlabel=f"x ({unit})", ylabel=f"y ({unit})")
        figure.colorbar(shown, ax=panel, label=f"vectors a column and {unit}²", shrink=0.8)
        if title:
            figure.suptitle(title, fontsize=STYLE["axes.titlesize"])
    return figure


def highest(
    values: NDArray[np.float64],
    extent: tuple[float, float, float, float],
    most: int = SHOWN,
) -> tuple[NDArray[np.float64], tuple[float, float, float, float]]:
    """The highest value of each square of bins, of which at most so many are side by side."""
    size = -(-max(values.shape) // most)
    short = [-length % size for length in values.shape]
    padded = np.pad(values, [(0, each) for each in short])
    rows, cols = (length // size for length in padded.shape)
    left, right, bottom, top = extent
    y, x = (bottom - top) / values.shape[0], (right - left) / values.shape[1]
    blocks = padded.reshape(rows, size, cols, size).max(axis=(1, 3))
    return blocks, (left, right + x * short[1], bottom + y * short[0], top)


def density_grid(
    density: pd.DataFrame,
) -> tuple[NDArray[np.float64], tuple[float, float, float, float]]:
    """(H, W) density from its table, whose empty bins are left out, and the place of its borders:
    left, right, bottom and top, as matplotlib takes them.

    Raises
    ------
    ValueError
        The table has no density, or its bins are on no grid.
    """
    missing = [name for name in NEEDED if name not in density]
    if missing or density.empty:
        raise ValueError(f"a table of a density has the columns {', '.join(NEEDED)}, and rows")
    points = density[["vector_y", "vector_x"]].to_numpy(float)
    steps: Any = np.concatenate([np.diff(np.unique(each.round(9))) for each in points.T])
    if not len(steps):
        raise ValueError("a density of a single bin cannot be drawn")
    step = float(steps.min())
    first = points.min(axis=0)
    index = (points - first) / step
    rows, cols = np.round(index).astype(int).T
    if np.abs(index - np.round(index)).max() > 0.1:
        raise ValueError("the vectors of the density are on no grid")
    values = np.zeros((rows.max() + 1, cols.max() + 1))
    values[rows, cols] = density["density"]
    left, right = first[1] - 0.5 * step, first[1] + step * (cols.max() + 0.5)
    top, bottom = first[0] - 0.5 * step, first[0] + step * (rows.max() + 0.5)
    return values, (left, right, bottom, top)
