"""Maps of strain and rotation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

from napari_atomseg._shared.types import Sampling
from napari_atomseg.figures.canvas import NOTHING, SIGNED, STYLE, sheet, style
from napari_atomseg.figures.picture import fit_height, scale_bar, single_image, true_proportions
from napari_atomseg.figures.picture import frame as framed
from napari_atomseg.figures.tables import chosen, known_sampling, limits, spacing, words
from napari_atomseg.progress import CancelToken, Progress, report

TWO_COLUMNS = 183.0
"""Width of a page of most journals, mm."""
NAMES = ("eps_xx", "eps_yy", "eps_xy", "rotation_deg", "rotation")
"""Columns of a table that are drawn, where it has them."""

_TITLES = {"eps_xx": "ε$_{xx}$", "eps_yy": "ε$_{yy}$", "eps_xy": "ε$_{xy}$"}
_GAP = 0.04
"""Gap between an image and its colour bar, over the width of the image."""
_BAND = 128
"""Rows of pixels that are computed at once."""
_REACH = 1.0
"""Distance up to which columns colour pixels, in median spacings."""


def strain_map(
    maps: Mapping[str, ArrayLike] | pd.DataFrame,
    *,
    shape: tuple[int, int] | None = None,
    sampling: Sampling | None = None,
    limit: float | None = None,
    frame: int | None = None,
    title: str = "",
    width: float = TWO_COLUMNS,
) -> Figure:
    """Draw strain in per cent and rotation in degrees, grey where there is none, a panel each.

    Parameters
    ----------
    maps : (H, W) images by name, or a table with ``y`` and ``x`` in px and one or more of eps_xx,
        eps_yy, eps_xy, rotation_deg. Strain is a fraction; maps with "rotation" in their name
        are in degrees. Each column of a table colours the pixels nearest to it, without smoothing.
    shape : (H, W) of the image of a table; by default up to the last column.
    sampling : Å per pixel, one number or (dy, dx), for the scale bar; by default that of the table.
    limit : largest strain on the colour scale, per cent; by default the 98th percentile.
    frame : frame to draw, where the table is that of a stack.
    width : width of the figure, mm.

    Raises
    ------
    ValueError
        There is nothing to draw, images differ in shape, or `limit` is not positive.
    """
    if limit is not None and not limit > 0:
        raise ValueError(f"limit={limit!r} must be positive, in per cent")
    table = maps if isinstance(maps, pd.DataFrame) else None
    images = _images(maps, shape, frame)
    first = next(iter(images.values()))
    known = known_sampling(table, sampling)
    strains = [image.ravel() for name, image in images.items() if not _is_rotation(name)]
    high = limit or (limits(np.concatenate(strains), signed=True)[1] if strains else 1.0)
    with style():
        count = len(images)
        figure = sheet(width, first.shape[0] / first.shape[1] / count)
        panels = figure.subplots(1, count, squeeze=False)[0]
        colours = colormaps[SIGNED].with_extremes(bad=NOTHING)
        for panel, (name, image) in zip(panels, images.items(), strict=True):
            bound = limits(image, signed=True)[1] if _is_rotation(name) else high
            shown = panel.imshow(
                image, cmap=colours, vmin=-bound, vmax=bound, interpolation="nearest"
            )
            framed(panel, image.shape)
            ratio = true_proportions(panel, known)
            unit = "°" if _is_rotation(name) else "%"
            panel.set_title(_TITLES.get(name, words(name)))
            proportion = ratio * first.shape[0] / first.shape[1]
            bar = {"shrink": 0.8, "aspect": 25, "pad": _GAP / proportion}
            figure.colorbar(shown, ax=panel, location="bottom", label=unit, **bar)
        scale_bar(panels[0], known, first.shape)
        if title:
            figure.suptitle(title, fontsize=STYLE["axes.titlesize"])
        fit_height(figure, list(panels), proportion)
    return figure


def nearest_values(
    columns: pd.DataFrame,
    names: Sequence[str],
    shape: tuple[int, int],
    *,
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
) -> dict[str, NDArray[np.float64]]:
    """(H, W) values of the column nearest to each pixel, by name; NaN far from all columns.

    Raises
    ------
    Cancelled
        `cancel` was raised.
    """
    values = columns[list(names)].to_numpy(float)
    there = np.isfinite(values).any(axis=1)
    # Pixels beyond the reach have the index after the last.
    values = np.vstack([values[there], np.full(len(names), np.nan)])
    images = {name: np.full(shape, np.nan) for name in names}
    if not there.any():
        return images
    distance = spacing(columns[there])
    tree = cKDTree(columns.loc[there, ["y", "x"]].to_numpy(float))
    reach = _REACH * distance if np.isfinite(distance) else 5.0
    for top in range(0, shape[0], _BAND):
        report(progress, cancel, top, shape[0], "Drawing the maps")
        band = slice(top, top + _BAND)
        pixels = np.mgrid[top : min(top + _BAND, shape[0]), : shape[1]]
        _, index = tree.query(np.moveaxis(pixels, 0, -1), distance_upper_bound=reach)
        for name, column in zip(names, values.T, strict=True):
            images[name][band] = column[index]
    return images


def _is_rotation(name: str) -> bool:
    return "rotation" in name


def _images(
    maps: Mapping[str, ArrayLike] | pd.DataFrame, shape: tuple[int, int] | None, frame: int | None
) -> dict[str, NDArray[Any]]:
    """Images by name: strain in per cent, rotation in degrees."""
    if isinstance(maps, pd.DataFrame):
        names = [name for name in NAMES if name in maps]
        if not names:
            raise ValueError(f"the table has none of {', '.join(NAMES)}")
        table = chosen(maps, ["y", "x", *names], frame)
        if table.empty:
            raise ValueError("the table has no columns to draw")
        size = shape or tuple(int(np.ceil(table[a].max())) + 1 for a in ("y", "x"))
        found: dict[str, NDArray[Any]] = {**nearest_values(table, names, (size[0], size[1]))}
    else:
        found = {name: single_image(image, name).astype(float) for name, image in maps.items()}
        if not found:
            raise ValueError("no maps to draw")
    if len({image.shape for image in found.values()}) > 1:
        raise ValueError(f"maps differ in shape: {[image.shape for image in found.values()]}")
    return {name: image if _is_rotation(name) else 100.0 * image for name, image in found.items()}
