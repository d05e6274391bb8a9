"""Which layers are columns, and which image they lie on."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from napari.layers import Image, Layer, Points
from numpy.typing import NDArray

from napari_atomseg._napari.layers import PROVENANCE

ACTION = "measure"
"""What the record of a layer says that a measurement drew."""
COMPONENT = "napari-atomseg component"
"""Key of the metadata of an image of strain for the component that it shows."""


def columns_layers(layers: Iterable[Layer]) -> list[Points]:
    """Return those that may be columns: not the symbols that measurements are drawn with."""
    return [layer for layer in layers if isinstance(layer, Points) and not drawn(layer)]


def image_layers(layers: Iterable[Layer]) -> list[Image]:
    """Return the images that columns may lie on."""
    images = (layer for layer in layers if isinstance(layer, Image))
    return [layer for layer in images if not layer.rgb and not drawn(layer)]


def aligned(columns: Points, image: Image | None) -> bool:
    """Whether pixels of an image are those that positions of columns count in."""
    if image is None:
        return False
    corners = np.array([[0.0, 0.0], [0.0, 100.0], [100.0, 0.0]])

    def places(layer: Layer) -> NDArray[np.float64]:
        leading = [0.0] * (layer.ndim - 2)
        return np.array([layer.data_to_world([*leading, *corner])[-2:] for corner in corners])

    here, there = places(columns), places(image)
    return bool(np.allclose(here, there, atol=1e-3 * np.ptp(here)))


def own_image(columns: Points | None, images: list[Image]) -> Image | None:
    """Return the image that columns were measured on, or else one with the same pixels."""
    if columns is None:
        return None
    source = columns.metadata.get(PROVENANCE, {}).get("source")
    fitting = [image for image in images if aligned(columns, image)]
    named = [image for image in fitting if image.name == source]
    return next(iter(named or fitting), None)


def drawn(layer: Layer) -> bool:
    """Whether a measurement made the layer."""
    return bool(layer.metadata.get(PROVENANCE, {}).get("action") == ACTION)
