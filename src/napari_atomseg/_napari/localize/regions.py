"""Regions of interest: shapes and labels of the viewer in the pixels of an image."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from napari.layers import Image, Labels, Layer, Shapes
from numpy.typing import NDArray

from napari_atomseg._napari.columns.layers import drawn
from napari_atomseg._napari.layers import Placement
from napari_atomseg._napari.measure.source import frame_shown

WHOLE = {"": "the whole image"}
_ROUND = 72
"""Corners of the polygon that approximates an ellipse."""


def region_layers(layers: Iterable[Layer]) -> dict[str, str]:
    """Return the choices of a region: the whole image, and layers of shapes or labels."""
    found = (
        layer.name for layer in layers if isinstance(layer, Shapes | Labels) and not drawn(layer)
    )
    return WHOLE | {name: name for name in found}


def region_of(layer: Layer, image: Image, point: Any) -> Any:
    """Return a region as `localize` takes it: polygons (V, 2), or labels (H, W), in pixels.

    Labels of a stack are those of the shown frame; shapes apply to all frames.

    Parameters
    ----------
    point : of the viewer's sliders.

    Raises
    ------
    ValueError
        The labels have other pixels than the image, or no shape has an area.
    """
    if isinstance(layer, Labels):
        return _labels(layer, image, point)
    polygons = [
        _in_pixels(corners, layer, image)
        for shape, kind in zip(layer.data, layer.shape_type, strict=True)
        if (corners := _outline(np.asarray(shape, dtype=float), kind)) is not None
    ]
    if not polygons:
        raise ValueError(
            f"{layer.name!r} has no shape with an area: draw a rectangle, an ellipse or a polygon"
        )
    return polygons


def _labels(layer: Labels, image: Image, point: Any) -> NDArray[Any]:
    there, here = (tuple(each.data.shape[-2:]) for each in (layer, image))
    mine, its = (Placement.of(each) for each in (layer, image))
    same = layer.ndim != image.ndim or mine.agrees(its)
    if there != here or not same:
        raise ValueError(
            f"{layer.name!r} does not have the pixels of {image.name!r}: labels of a region must"
        )
    shown = np.clip(frame_shown(layer, point), 0, np.array(layer.data.shape[:-2]) - 1)
    return np.asarray(layer.data[tuple(shown.astype(int))])


def _outline(shape: NDArray[np.float64], kind: str) -> NDArray[np.float64] | None:
    """Corners of a shape; none of a line or a path."""
    if kind in ("line", "path"):
        return None
    if kind != "ellipse":
        return shape
    middle, turn = shape.mean(axis=0), np.linspace(0.0, 2 * np.pi, _ROUND, endpoint=False)
    first, second = 0.5 * (shape[1] - shape[0]), 0.5 * (shape[3] - shape[0])
    return np.asarray(middle + np.outer(np.cos(turn), first) + np.outer(np.sin(turn), second))


def _in_pixels(corners: NDArray[np.float64], layer: Shapes, image: Image) -> NDArray[np.float64]:
    """Corners (V, D) of a layer, which may be turned and scaled, as (V, 2) px of an image."""
    places = []
    for corner in corners:
        world = np.asarray(layer.data_to_world(corner), dtype=float)
        whole = np.zeros(image.ndim)
        count = min(len(world), image.ndim)
        whole[-count:] = world[-count:]
        places.append(np.asarray(image.world_to_data(whole))[-2:])
    return np.array(places)
