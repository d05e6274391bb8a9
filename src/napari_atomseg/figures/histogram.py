"""Histograms of spacings, cross-sections, displacements and other values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from napari_atomseg.figures.canvas import CATEGORIES, STYLE, WIDTH, sheet, style
from napari_atomseg.figures.tables import chosen, label
from napari_atomseg.io.columns.table import unit_of

MOST_BINS = 200
FITS = ("normal", "none")
Component = tuple[float, float, float]
"""Weight, mean and standard deviation of a normal distribution."""


def histogram(
    values: Mapping[str, ArrayLike] | ArrayLike | pd.DataFrame,
    of: str | Sequence[str] | None = None,
    *,
    unit: str | None = None,
    bins: int | None = None,
    fit: str = "normal",
    components: Sequence[Component] | None = None,
    title: str = "",
    width: float = WIDTH,
) -> Figure:
    """Draw a histogram of each quantity in a panel of its own.

    Parameters
    ----------
    values : numbers, several sets of numbers by name, or a table; values that are not finite are
        left out. Sets with the same unit share their axis.
    of : columns of a table, or the name of a single set.
    unit : unit of the values; by default from their names.
    bins : number of bins; by default after Freedman & Diaconis (1981), at most 200.
    fit : "normal" draws the normal distribution of the mean and standard deviation, and prints both
        with the standard error of the mean; "none" does not.
    components : (weight, mean, standard deviation) of a mixture to draw instead, such as that of
        cross-sections of columns of one, two, three… atoms.
    width : width of the figure, mm.

    Raises
    ------
    ValueError
        There are no finite values, or an argument is not accepted.
    """
    if fit not in FITS:
        raise ValueError(f"fit={fit!r}; choose one of {', '.join(FITS)}")
    if bins is not None and not 1 <= bins <= MOST_BINS:
        raise ValueError(f"bins={bins!r}; from 1 to {MOST_BINS}")
    sets = _sets(values, of)
    units = {unit_of(name) if unit is None else unit for name in sets}
    with style():
        figure = sheet(width, 0.62 * len(sets) ** 0.75)
        panels = figure.subplots(len(sets), 1, squeeze=False, sharex=len(units) == 1)[:, 0]
        for k, (panel, (name, numbers)) in enumerate(zip(panels, sets.items(), strict=True)):
            colour = CATEGORIES[k % len(CATEGORIES)]
            edges = np.histogram_bin_edges(numbers, bins or number_of_bins(numbers))
            panel.hist(numbers, edges, color=colour, alpha=0.55, lw=0)
            panel.set(xlabel=label(name, unit), ylabel="columns")
            area = len(numbers) * float(edges[1] - edges[0])
            if components is not None:
                _draw_components(panel, components, area)
            elif fit == "normal":
                _draw_normal(panel, numbers, area, unit_of(name) if unit is None else unit)
        if title:
            figure.suptitle(title, fontsize=STYLE["axes.titlesize"])
    return figure


def normal(x: NDArray[Any], mean: float, deviation: float) -> NDArray[np.float64]:
    """Density of the normal distribution."""
    z = (x - mean) / deviation
    density: NDArray[np.float64] = np.exp(-0.5 * z**2) / (deviation * np.sqrt(2 * np.pi))
    return density


def _sets(
    values: Mapping[str, ArrayLike] | ArrayLike | pd.DataFrame, of: str | Sequence[str] | None
) -> dict[str, NDArray[np.float64]]:
    names = [of] if isinstance(of, str) else list(of or [])
    if isinstance(values, pd.DataFrame):
        if not names:
            raise ValueError("name columns of the table, such as of='volume'")
        table = chosen(values, names, None) if "frame" not in values else values
        found: dict[str, ArrayLike] = {name: table[name].to_numpy() for name in names}
    elif isinstance(values, Mapping):
        found = dict(values)
    else:
        found = {names[0] if names else "value": values}
    if not found:
        raise ValueError("no values to draw")
    sets = {}
    for name, each in found.items():
        numbers = np.asarray(each)
        if numbers.dtype.kind not in "buif":
            raise ValueError(f"{name} has no numbers")
        numbers = numbers.astype(float).ravel()
        sets[str(name)] = numbers[np.isfinite(numbers)]
        if sets[str(name)].size == 0:
            raise ValueError(f"{name} has no finite values")
    return sets


def number_of_bins(numbers: NDArray[np.float64]) -> int:
    """Number of bins after Freedman & Diaconis: a width of 2 IQR n^(-1/3)."""
    low, high = np.percentile(numbers, (25, 75))
    step = 2 * (high - low) * len(numbers) ** (-1 / 3)
    if step <= 0:
        return 10
    return int(np.clip(np.ceil(np.ptp(numbers) / step), 5, MOST_BINS))


def _draw_normal(panel: Axes, numbers: NDArray[np.float64], area: float, unit: str) -> None:
    mean = float(numbers.mean())
    text = f"n = {len(numbers)}\nmean {mean:.4g}"
    if len(numbers) > 1 and np.ptp(numbers) > 0:
        deviation = float(numbers.std(ddof=1))
        x = np.linspace(*panel.get_xlim(), 400)
        panel.plot(x, area * normal(x, mean, deviation), color="black")
        error = deviation / len(numbers) ** 0.5
        few = _decimals(error, 2)
        text = (
            f"n = {len(numbers)}\nmean {mean:.{few}f} ± {error:.{few}f} {unit}"
            f"\nσ = {deviation:.{_decimals(deviation, 3)}f} {unit}"
        )
    panel.text(0.98, 0.95, text, transform=panel.transAxes, ha="right", va="top", fontsize=6.5)


def _decimals(value: float, digits: int) -> int:
    """Decimals that show a number of digits of a positive value."""
    return int(np.clip(digits - 1 - np.floor(np.log10(value)), 0, 8))


def _draw_components(panel: Axes, components: Sequence[Component], area: float) -> None:
    x = np.linspace(*panel.get_xlim(), 1000)
    whole = np.zeros_like(x)
    for weight, mean, deviation in components:
        part = area * weight * normal(x, mean, deviation)
        panel.plot(x, part, color=CATEGORIES[3], lw=0.6)
        whole += part
    panel.plot(x, whole, color="black")
