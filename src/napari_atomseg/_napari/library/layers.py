"""A sample of a library as layers: the image, its targets and its columns, in one place."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_atomseg._napari.layers import image_layer, labels_layer, points_layer, sampled
from napari_atomseg.io import provenance

if TYPE_CHECKING:
    from napari.layers import Layer

    from napari_atomseg.simulation.library.read import LibrarySample

_MAPS = "element_maps"
_MASKS = ("circular_mask", "small_circular_mask")
_COLOURS = ("cyan", "magenta", "yellow", "green", "red", "blue")


def sample_layers(
    sample: LibrarySample, source: str, *, targets: bool = True, columns: bool = True
) -> list[Layer]:
    """Return the layers of a sample, the image first, the columns last.

    Parameters
    ----------
    source : name of the library, for the record.
    targets : whether the targets come too, hidden: masks as labels with a number a column.
    columns : whether the true positions come too, as points.
    """
    place = _place(sample.sampling)
    made = provenance("library", source, sample.settings)
    layers: list[Layer] = [image_layer(sample.image, sample.name, place, made)]
    if targets:
        layers += list(_target_layers(sample, place, made))
    if columns and len(sample.columns):
        known = "elements" if "elements" in sample.columns else "radius"
        name = f"{sample.name} true columns"
        layers.append(points_layer(sample.columns, name, place, made, colour_by=known))
    return layers


def _target_layers(
    sample: LibrarySample, place: dict[str, Any], made: dict[str, Any]
) -> Iterator[Layer]:
    from napari_atomseg.simulation.result import label_columns

    positions = sample.columns[["y", "x"]].to_numpy(dtype=float)
    for target, data in sample.targets.items():
        short = target.removesuffix("upinterpolation_2x") + "2x" * target.endswith("2x")
        name = f"{sample.name} {short.replace('_', ' ')}"
        if target in _MASKS and len(positions):
            yield labels_layer(label_columns(data, positions), name, place, made)
        elif target == _MAPS:
            yield from _map_layers(sample, data, place, made)
        elif isinstance(data, np.ndarray) and data.ndim == 2:
            finer = _finer(place, data.shape[0] / sample.image.shape[0])
            yield image_layer(data, name, finer, made)


def _map_layers(
    sample: LibrarySample, maps: Any, place: dict[str, Any], made: dict[str, Any]
) -> Iterator[Layer]:
    elements = sample.settings.get("elements", range(len(maps)))
    for number, (element, data) in enumerate(zip(elements, maps, strict=False)):
        colour = _COLOURS[number % len(_COLOURS)]
        name = f"{sample.name} map of {element}"
        yield image_layer(data, name, place, made, colormap=colour, blending="additive")


def _place(sampling: float | None) -> dict[str, Any]:
    return sampled(sampling) or {"scale": (1.0, 1.0)}


def _finer(place: dict[str, Any], factor: float) -> dict[str, Any]:
    """Return the place of an image with `factor` times the pixels on the same area."""
    scale = np.asarray(place["scale"])
    return place | {"scale": scale / factor, "translate": 0.5 * scale * (1.0 / factor - 1.0)}
