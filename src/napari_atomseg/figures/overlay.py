"""Figure of columns drawn on their image."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from napari_atomseg._shared.objects import takes_images
from napari_atomseg._shared.types import Sampling
from napari_atomseg.figures.canvas import (
    CATEGORIES,
    MARKERS,
    NOTHING,
    SEQUENTIAL,
    WIDTH,
    sheet,
    style,
)
from napari_atomseg.figures.picture import (
    bar_place,
    draw_image,
    fit_height,
    scale_bar,
    single_image,
    true_proportions,
)
from napari_atomseg.figures.tables import (
    chosen,
    is_category,
    kind_text,
    known_sampling,
    label,
    limits,
    spacing,
    words,
)

_DOT = 0.3
"""Diameter of a marker over the distance between neighbours."""


@takes_images("image")
def overlay(
    image: ArrayLike,
    columns: pd.DataFrame | None = None,
    *,
    sampling: Sampling | None = None,
    colour_by: str | None = None,
    unit: str | None = None,
    cells: ArrayLike | None = None,
    size: float | None = None,
    frame: int | None = None,
    contrast: tuple[float, float] | None = None,
    title: str = "",
    width: float = WIDTH,
) -> Figure:
    """Draw an image with its columns and a scale bar.

    Parameters
    ----------
    image : (H, W) image.
    columns : table with ``y`` and ``x`` in px.
    sampling : Å per pixel, one number or (dy, dx), for the scale bar; by default that of the table.
    colour_by : column of the table. Numbers are coloured by value, with a colour bar; kinds, such
        as names or few whole numbers, have a colour and a marker each, and a legend.
    unit : unit of `colour_by`; by default from its name.
    cells : (N, K, 2) corners (y, x) of N polygons, px, such as unit cells.
    size : diameter of the markers, px; by default 0.3 of the distance between neighbours.
    frame : frame to draw, where the table is that of a stack.
    contrast : intensities of black and white; by default percentiles 0.5 and 99.8.
    width : width of the figure, mm.

    Raises
    ------
    ValueError
        `image` is not a single image, or the table lacks a column.
    """
    picture = single_image(image)
    table = None
    if columns is not None:
        needed = ["y", "x"] + ([] if colour_by is None else [colour_by])
        table = chosen(columns, needed, frame)
    known = known_sampling(columns, sampling)
    with style():
        figure = sheet(width, picture.shape[0] / picture.shape[1])
        axes = figure.add_subplot()
        draw_image(axes, picture, contrast)
        proportion = true_proportions(axes, known) * picture.shape[0] / picture.shape[1]
        if cells is not None:
            _draw_cells(axes, cells)
        if table is not None:
            place = bar_place(proportion)
            _draw_columns(figure, axes, table, colour_by, unit, size, place)
        scale_bar(axes, known, picture.shape)
        if title:
            axes.set_title(title)
        fit_height(figure, [axes], proportion)
    return figure


def points_of(axes: Axes, pixels: float) -> float:
    """Area in points² of a marker with a diameter in pixels, as `scatter` takes sizes."""
    figure = axes.figure
    span = abs(np.subtract(*axes.get_xlim()))
    inches = figure.get_figwidth() * 0.9 / span * pixels  # type: ignore[union-attr]
    return float(max(inches * 72, 1.0) ** 2)


def _draw_columns(
    figure: Figure,
    axes: Axes,
    table: pd.DataFrame,
    colour_by: str | None,
    unit: str | None,
    size: float | None,
    place: dict[str, Any],
) -> None:
    distance = spacing(table)
    diameter = size or _DOT * (distance if np.isfinite(distance) else 10.0)
    style: dict[str, Any] = {"s": points_of(axes, diameter), "linewidths": 0.3, "edgecolors": "w"}
    if colour_by is None:
        axes.scatter(table["x"], table["y"], c=CATEGORIES[1], **style)
        return
    values = table[colour_by]
    if not is_category(values):
        numbers = values.to_numpy(float)
        low, high = limits(numbers)
        nowhere = ~np.isfinite(numbers)
        axes.scatter(table["x"][nowhere], table["y"][nowhere], c=NOTHING, **style)
        shown = axes.scatter(
            table["x"], table["y"], c=numbers, cmap=SEQUENTIAL, vmin=low, vmax=high, **style
        )
        figure.colorbar(shown, ax=axes, label=label(colour_by, unit), **place)
        return
    for k, kind in enumerate(sorted(values.dropna().unique(), key=str)):
        some = table[values == kind]
        axes.scatter(
            some["x"],
            some["y"],
            c=CATEGORIES[k % len(CATEGORIES)],
            marker=MARKERS[k % len(MARKERS)],
            label=kind_text(kind),
            **style,
        )
    figure.legend(loc="outside lower center", ncols=6, title=words(colour_by), markerscale=1.0)


def _draw_cells(axes: Axes, cells: ArrayLike) -> None:
    corners = np.asarray(cells, dtype=float)
    if corners.ndim != 3 or corners.shape[-1] != 2:
        raise ValueError(f"cells of shape {corners.shape}; (N, K, 2) corners (y, x) are needed")
    axes.add_collection(
        PolyCollection(
            list(corners[..., ::-1]), facecolors="none", edgecolors=CATEGORIES[4], lw=0.5
        )
    )
