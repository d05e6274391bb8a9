"""Vectors as arrows on an image: displacements, polarization."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from numpy.typing import ArrayLike, NDArray

from napari_atomseg._shared.objects import takes_images
from napari_atomseg._shared.types import Sampling
from napari_atomseg._shared.units import pixel_size
from napari_atomseg.figures.canvas import CYCLIC, SEQUENTIAL, WIDTH, sheet, style
from napari_atomseg.figures.picture import (
    bar_place,
    draw_image,
    fit_height,
    scale_bar,
    single_image,
    true_proportions,
)
from napari_atomseg.figures.tables import chosen, known_sampling, limits, spacing
from napari_atomseg.io.columns.table import unit_of

PAIRS = (
    ("dy_pm", "dx_pm"),
    ("dy_angstrom", "dx_angstrom"),
    ("dy", "dx"),
    ("uy", "ux"),
    ("py", "px"),
    ("shift_y_pm", "shift_x_pm"),
    ("shift_y", "shift_x"),
    ("polarization_y", "polarization_x"),
    ("p_y", "p_x"),
)
"""Names of vectors in tables, in the order in which they are looked for."""
COLOURS = ("direction", "length")

_PER_ANGSTROM = {"Å": 1.0, "pm": 100.0, "nm": 0.1}
_LONG = 0.9
"""Length of a long arrow over the distance between neighbours."""


@takes_images("image")
def vector_map(
    columns: pd.DataFrame,
    image: ArrayLike | None = None,
    *,
    vectors: tuple[str, str] | None = None,
    unit: str | None = None,
    sampling: Sampling | None = None,
    colour_by: str = "direction",
    magnify: float | None = None,
    frame: int | None = None,
    contrast: tuple[float, float] | None = None,
    title: str = "",
    width: float = WIDTH,
) -> Figure:
    """Draw arrows at columns, and one of a round length as a scale.

    Parameters
    ----------
    columns : table with ``y``, ``x`` in px and the vectors; rows without a vector are left out.
    image : (H, W) image under the arrows.
    vectors : names of the columns with the components along y (downwards) and x. By default the
        first of `PAIRS` in the table: displacements before polarization.
    unit : unit of the vectors; by default from their names, otherwise px.
    sampling : Å per pixel, one number or (dy, dx); by default that of the table.
    colour_by : "direction", with a colour wheel, or "length", with a colour bar.
    magnify : length of the drawn arrows over their true length. By default the long ones (95th
        percentile) nearly reach the next column.
    frame : frame to draw, where the table is that of a stack.
    width : width of the figure, mm.

    Raises
    ------
    ValueError
        The table has no such vectors, `colour_by` or `image` is not accepted, or the vectors are in
        a unit of length and the sampling, needed for `magnify`, is unknown.
    """
    if colour_by not in COLOURS:
        raise ValueError(f"colour_by={colour_by!r}; choose one of {', '.join(COLOURS)}")
    names = vectors or _found(columns)
    table = chosen(columns, ["y", "x", *names], frame)
    table = table[np.isfinite(table[names[0]]) & np.isfinite(table[names[1]])]
    unit = unit or unit_of(names[0]) or "px"
    picture = None if image is None else single_image(image)
    shape = _extent(table) if picture is None else picture.shape
    known = known_sampling(columns, sampling)
    dy, dx = table[names[0]].to_numpy(float), table[names[1]].to_numpy(float)
    length = np.hypot(dy, dx)
    steps = _pixels(unit, known, magnify)
    scale = _magnification(table, dy * steps[0], dx * steps[1]) if magnify is None else magnify
    with style():
        figure = sheet(width, shape[0] / shape[1])
        axes = figure.add_subplot()
        draw_image(axes, np.full(shape, np.nan) if picture is None else picture, contrast)
        proportion = true_proportions(axes, known) * shape[0] / shape[1]
        colours, bounds = _colours(dy, dx, length, colour_by)
        axes.quiver(
            table["x"],
            table["y"],
            scale * steps[1] * dx,
            scale * steps[0] * dy,
            color=colours,
            angles="xy",
            scale_units="xy",
            scale=1.0,
            width=0.0045,
            headwidth=3.6,
            headlength=4.0,
            headaxislength=3.6,
            zorder=3,
            path_effects=[
                withStroke(linewidth=0.5, foreground="black" if picture is None else "white")
            ],
        )
        if colour_by == "direction":
            _wheel(axes, proportion)
        else:
            bar = Normalize(*bounds)
            from matplotlib.cm import ScalarMappable

            figure.colorbar(
                ScalarMappable(bar, SEQUENTIAL),
                ax=axes,
                label=f"length ({unit})",
                **bar_place(proportion),
            )
        _scale_arrow(axes, shape, length, unit, scale * steps[1])
        if picture is not None:
            scale_bar(axes, known, shape)
        if title:
            axes.set_title(title)
        fit_height(figure, [axes], proportion)
    return figure


def _found(columns: pd.DataFrame) -> tuple[str, str]:
    for pair in PAIRS:
        if set(pair) <= set(columns):
            return pair
    raise ValueError(
        f"the table has no known vectors; name their columns, y first. It has "
        f"{', '.join(map(str, columns.columns))}"
    )


def _pixels(unit: str, sampling: Sampling | None, magnify: float | None) -> tuple[float, float]:
    """Pixels (y, x) in one `unit`; (1, 1) where only the directions of the arrows matter."""
    if unit not in _PER_ANGSTROM:
        return 1.0, 1.0
    if sampling is None:
        if magnify is not None:
            raise ValueError(f"vectors are in {unit}: magnify needs the sampling, Å per pixel")
        return 1.0, 1.0
    dy, dx = pixel_size(sampling)
    return 1.0 / (_PER_ANGSTROM[unit] * dy), 1.0 / (_PER_ANGSTROM[unit] * dx)


def _magnification(table: pd.DataFrame, dy: NDArray[Any], dx: NDArray[Any]) -> float:
    long = float(np.percentile(np.hypot(dy, dx), 95)) if len(dy) else 0.0
    distance = spacing(table)
    if long == 0 or not np.isfinite(distance):
        return 1.0
    return _LONG * distance / long


def _extent(table: pd.DataFrame) -> tuple[int, int]:
    """(H, W) of an image with room for all columns."""
    if table.empty:
        return 10, 10
    margin = spacing(table)
    margin = margin if np.isfinite(margin) else 5.0
    height, width = (int(np.ceil(table[axis].max() + margin)) + 1 for axis in ("y", "x"))
    return max(height, 2), max(width, 2)


def _colours(
    dy: NDArray[Any], dx: NDArray[Any], length: NDArray[Any], colour_by: str
) -> tuple[NDArray[Any], tuple[float, float]]:
    bounds = limits(length)
    if colour_by == "direction":
        return colormaps[CYCLIC](_turn(dy, dx)), bounds
    return colormaps[SEQUENTIAL](Normalize(*bounds)(length)), bounds


def _turn(dy: Any, dx: Any) -> Any:
    """Direction as a fraction of a full turn, anticlockwise from the right as shown."""
    return (np.arctan2(-dy, dx) / (2 * np.pi)) % 1.0


def _wheel(axes: Axes, proportion: float) -> None:
    """Draw the colours of directions as a ring in the upper right corner.

    `proportion` is the height over the width of the image.
    """
    across = max(0.14 * min(1.0, proportion), min(0.3 * proportion, 0.08))
    high, gap = across / proportion, 0.02 * min(1.0, proportion)
    place = (1.0 - gap - across, 1.0 - gap / proportion - high, across, high)
    inset = axes.inset_axes(place)
    y, x = np.mgrid[1:-1:101j, -1:1:101j]
    radius = np.hypot(x, y)
    ring = colormaps[CYCLIC](_turn(-y, x))
    ring[..., 3] = (radius > 0.55) & (radius < 1)
    inset.imshow(ring, extent=(-1, 1, -1, 1))
    inset.set_axis_off()


def _scale_arrow(
    axes: Axes, shape: tuple[int, ...], length: NDArray[Any], unit: str, scale: float
) -> None:
    """Draw an arrow of a round length in the lower right corner."""
    long = float(np.percentile(length, 95)) if len(length) else 0.0
    if long == 0:
        return
    power = 10.0 ** np.floor(np.log10(long))
    round_length = max(digit * power for digit in (1, 2, 5) if digit * power <= long)
    height, width = shape
    x, y = 0.96 * width, height - 1 - 0.06 * min(shape)
    glow = [withStroke(linewidth=1.2, foreground="black")]
    axes.annotate(
        "",
        xy=(x, y),
        xytext=(x - round_length * scale, y),
        arrowprops={
            "arrowstyle": "->",
            "color": "white",
            "lw": 1.2,
            "shrinkA": 0,
            "shrinkB": 0,
            "path_effects": glow,
        },
        zorder=5,
    )
    axes.text(
        x,
        y - 0.02 * min(shape),
        f"{round_length:g} {unit}",
        color="white",
        ha="right",
        va="bottom",
        weight="bold",
        zorder=5,
        path_effects=glow,
    )
