"""What the figures of columns are drawn from: taken from layers, and drawn in any thread."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from napari.layers import Image, Layer, Points
from numpy.typing import NDArray

from napari_atomseg import figures
from napari_atomseg._napari.columns_layers import COMPONENT, drawn
from napari_atomseg._napari.columns_table import table_of
from napari_atomseg._napari.layers import PROVENANCE, Sampling, layer_sampling
from napari_atomseg.figures.strain import NAMES as STRAINS
from napari_atomseg.figures.vectors import PAIRS
from napari_atomseg.progress import CancelToken, Progress, report

KINDS = ("overlay", "vectors", "histogram", "strain")
_ARROWS = {
    "shift_y_pm": "displacements (pm)",
    "shift_y": "displacements (px)",
    "polarization_y": "polarization (µC/cm²)",
    "dy_pm": "offsets from sites (pm)",
    "dy": "offsets from sites (px)",
}
"""What vectors are called, by their part along y; those that are rather meant stand first."""
_DPI = 150.0
"""Of a figure on the screen."""


@dataclass(frozen=True)
class Choices:
    """What figures show, and how.

    Attributes
    ----------
    colour_by : feature that colours the columns of an overlay, or None.
    of : feature of a histogram.
    arrows : feature of the part along y of the vectors; empty for the first that there is.
    strain : of the images of strain, one of `strain_images`; empty for the columns' own.
    width : mm.
    """

    colour_by: str | None = None
    of: str = "volume"
    arrows: str = ""
    strain: str = ""
    width: float = 89.0


def figure_of(
    kind: str,
    layer: Points,
    image: Image | None,
    choices: Choices,
    strains: Mapping[str, Mapping[str, Image]],
    point: tuple[float, ...] = (),
) -> Callable[[], Figure]:
    """Return what draws a figure by one call of `napari_atomseg.figures`, also in another thread.

    Parameters
    ----------
    kind : one of `KINDS`.
    image : that the columns lie on; overlays need it.
    strains : see `strain_images`.
    point : world coordinates of what is shown, which say the frame of a stack.

    Raises
    ------
    ValueError
        There is no such kind, there are no columns, or no image where one is needed.
    """
    if kind not in KINDS:
        raise ValueError(f"kind={kind!r}; choose one of {', '.join(KINDS)}")
    width = choices.width
    if kind == "strain" and choices.strain:
        maps, sampling = _maps(strains[choices.strain])
        return partial(figures.strain_map, maps, sampling=sampling, width=max(width, 120.0))
    if not len(layer.data):
        raise ValueError(f"{layer.name!r} has no columns to draw")
    shape = None if image is None else np.shape(image.data[0] if image.multiscale else image.data)
    table = table_of(layer, shape)
    pixels, frame = (None, None) if image is None else _picture(image, point)
    common: dict[str, Any] = {
        "sampling": layer_sampling(layer),
        "frame": frame if "frame" in table else None,
        "width": width,
    }
    if kind == "histogram":
        _check_numbers(table, choices.of)
        return partial(figures.histogram, table, choices.of, width=width)
    if kind == "strain":
        common["width"] = max(width, 120.0)
        return partial(
            figures.strain_map, table, shape=None if shape is None else shape[-2:], **common
        )
    if image is not None:
        common["contrast"] = tuple(float(each) for each in image.contrast_limits)
    if kind == "vectors":
        pair = next((pair for pair in PAIRS if pair[0] == choices.arrows), None)
        return partial(figures.vector_map, table, pixels, vectors=pair, **common)
    if pixels is None:
        raise ValueError("an overlay needs the image of the columns: choose it above")
    feature = choices.colour_by if choices.colour_by in table else None
    return partial(figures.overlay, pixels, table, colour_by=feature, **common)


def arrows_of(layer: Points | None) -> dict[str, str]:
    """Return the vectors that a layer has, by their part along y, and what they are called."""
    features = set() if layer is None else set(layer.features)
    there = [y for y, x in PAIRS if {y, x} <= features]
    order = [name for name in _ARROWS if name in there]
    order += [name for name in there if name not in order]
    return {name: _ARROWS.get(name, name) for name in order}


def strain_images(layers: Iterable[Layer]) -> dict[str, dict[str, Image]]:
    """Return the images of strain by measurement, and of each by component, the latest first.

    The names say how they were measured, and of what.
    """
    found: dict[str, dict[str, Image]] = {}
    for layer in layers:
        record = layer.metadata.get(PROVENANCE, {})
        component = layer.metadata.get(COMPONENT)
        if drawn(layer) and component in STRAINS and isinstance(layer, Image):
            phase = record["settings"]["strain_from"] == "phase"
            way = "geometric phase" if phase else "positions"
            key = f"{way}, {record['source']}, {record['created'][11:19]}"
            found.setdefault(key, {})[component] = layer
    return dict(reversed(found.items()))


def make_figure(
    draw: Callable[[], Figure],
    path: Path | None,
    record: Mapping[str, Any],
    progress: Progress,
    cancel: CancelToken,
) -> tuple[Figure, NDArray[np.uint8]]:
    """Return a figure and its pixels (H, W, 4), and write it where there is a path."""
    report(progress, cancel, 0, 3, "Drawing the figure")
    figure = draw()
    report(progress, cancel, 1, 3, "Drawing the figure")
    figure.set_dpi(_DPI)
    canvas: Any = figure.canvas
    canvas.draw()
    pixels = np.array(canvas.buffer_rgba())
    if path is not None:
        report(progress, cancel, 2, 3, "Writing the figure")
        figures.save(figure, path, metadata=record)
    return figure, pixels


def _check_numbers(table: pd.DataFrame, of: str) -> None:
    if of in table and not pd.api.types.is_numeric_dtype(table[of]):
        raise ValueError(f"{of!r} holds kinds, not numbers: plot another feature")


def _picture(image: Image, point: tuple[float, ...]) -> tuple[Any, int | None]:
    """Return the frame that is shown, and its number."""
    data = image.data[0] if image.multiscale else image.data
    leading = tuple(data.shape[:-2])
    if not leading:
        return data, None
    at = image.world_to_data(point[-image.ndim :]) if len(point) >= image.ndim else ()
    index = tuple(
        int(np.clip(round(float(each)), 0, size - 1))
        for each, size in zip(at[: len(leading)] or (0,) * len(leading), leading, strict=True)
    )
    return data[index], int(np.ravel_multi_index(index, leading))


def _maps(images: Mapping[str, Image]) -> tuple[dict[str, NDArray[Any]], Sampling | None]:
    """Strain by component, pure numbers of the per cent that layers show, and their sampling."""
    maps = {}
    for name in STRAINS:
        if name in images:
            data = np.asarray(images[name].data)
            maps[name] = data.reshape(data.shape[-2:]) / (1.0 if "rotation" in name else 100.0)
    return maps, layer_sampling(next(iter(images.values())))
