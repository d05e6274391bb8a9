"""The size of the pixels of a layer, set for all layers that lie on it or were made from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Layer, Points

from napari_atomseg._napari.layers import PROVENANCE, Placement
from napari_atomseg._shared.types import Sampling
from napari_atomseg._shared.units import pixel_size

if TYPE_CHECKING:
    import napari.viewer


def set_sampling(
    viewer: napari.viewer.Viewer, image: Layer, sampling: Sampling, notes: tuple[str, ...] = ()
) -> None:
    """Set the size of a layer's pixels (Å), and of all layers that lie on it or were made from it.

    They keep their place relative to each other: what lies on the image still does.
    """
    before, size = Placement.of(image), np.asarray(pixel_size(sampling))
    together = [
        layer
        for layer in viewer.layers
        if layer is image or (layer.ndim >= 2 and _belongs(layer, image, before))
    ]
    factor = size / np.asarray(before.scale, dtype=float)[-2:]
    for layer in together:
        leading = layer.ndim - 2
        layer.units = (*tuple(layer.units)[:leading], "angstrom", "angstrom")
        layer.scale = (*layer.scale[:leading], *(np.asarray(layer.scale)[-2:] * factor))
        shift = np.asarray(layer.translate, dtype=float)
        shift[-2:] *= factor
        layer.translate = shift
        if isinstance(layer, Points) and {"y_angstrom", "x_angstrom"} <= set(layer.features):
            places = np.asarray(layer.data)[:, -2:] * np.asarray(layer.scale)[-2:]
            layer.features = layer.features.assign(y_angstrom=places[:, 0], x_angstrom=places[:, 1])
    # What is in sight stays in sight.
    camera = viewer.scene.camera
    camera.center = (*camera.center[:-2], *(np.asarray(camera.center[-2:]) * factor))
    camera.zoom /= float(factor.mean())
    image.metadata[PROVENANCE] = {
        **image.metadata.get(PROVENANCE, {}),
        "calibration": {"sampling": sampling, "notes": list(notes)},
    }


def _belongs(layer: Layer, image: Layer, place: Placement) -> bool:
    """Whether a layer lies on the pixels of an image, on halves of them, or was made from it."""
    own = Placement.of(layer)
    if _lies_on(own, place) or _lies_on(own, place.doubled()):
        return True
    source = layer.metadata.get(PROVENANCE, {}).get("source")
    return source == image.name and np.allclose(own.scale[-2:], place.scale[-2:])


def _lies_on(own: Placement, image: Placement) -> bool:
    """Whether a layer has the placement of an image along its last two axes."""
    for name in ("scale", "translate"):
        mine, its = (np.asarray(getattr(each, name))[-2:] for each in (own, image))
        if not np.allclose(mine, its):
            return False
    turned = np.allclose(np.asarray(own.rotate)[-2:, -2:], np.asarray(image.rotate)[-2:, -2:])
    moved = np.allclose(np.asarray(own.affine)[-3:, -3:], np.asarray(image.affine)[-3:, -3:])
    return turned and moved
