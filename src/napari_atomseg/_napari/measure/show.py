"""Measurements as layers."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Layer, Points, Shapes, Tracks, Vectors
from napari.utils.transforms import Affine

from napari_atomseg._napari.columns.colours import Key, colour_points
from napari_atomseg._napari.layers import PROVENANCE, Placement
from napari_atomseg._napari.measure.source import LATTICE, Columns, put_features
from napari_atomseg._napari.measure.task import Drawing, Outcome
from napari_atomseg.progress import CancelToken

if TYPE_CHECKING:
    import napari.viewer

_LAYERS: dict[str, type[Layer]] = {
    "image": Image,
    "points": Points,
    "shapes": Shapes,
    "vectors": Vectors,
    "tracks": Tracks,
}


@dataclass(frozen=True)
class Place:
    """Where drawings lie: the placement of a layer, and the frame (index) that they belong to."""

    placement: Placement
    leading: tuple[int, ...] = ()


@dataclass(frozen=True)
class Measured:
    """What a measurement added to the viewer.

    Attributes
    ----------
    columns : the layer that has the features: that of the columns, or a copy of what it was when
        the layer was changed or removed meanwhile.
    layers : new ones.
    outcome : with text, tables and plot.
    note : what the user must know of where the results are.
    key : what the colours of the columns mean.
    """

    columns: Points
    layers: tuple[Layer, ...]
    outcome: Outcome
    note: str = ""
    key: Key = field(default_factory=Key)


def make_layers(
    outcome: Outcome,
    name: str,
    record: dict[str, Any],
    places: dict[str, Place],
    cancel: CancelToken,
) -> list[Layer]:
    """Return the layers of an outcome, or raise `Cancelled`.

    Many polygons take seconds: this may run in another thread.
    """
    layers = []
    for each in outcome.drawings:
        cancel.raise_if_cancelled()
        layers.append(_layer(each, name, record, places[each.on]))
    return layers


def show(
    viewer: napari.viewer.Viewer,
    columns: Columns,
    record: dict[str, Any],
    outcome: Outcome,
    layers: list[Layer],
) -> Measured:
    """Join the features to the columns, and add the layers: images below the columns."""
    target, note, key = columns, "", Key(outcome.coloured, kinds=dict(outcome.colours))
    if columns.layer not in viewer.layers or not columns.unchanged():
        target, note = _copy(columns), "The columns changed meanwhile: see the new layer."
        viewer.add_layer(target.layer)
    layer = target.layer
    if outcome.features is not None:
        put_features(target, outcome.features)
        layer.metadata[PROVENANCE] = _with(layer.metadata.get(PROVENANCE, {}), record)
        if outcome.colour_by is not None:
            key = colour_points(layer, outcome.colour_by)
    if outcome.lattice is not None:
        layer.metadata[LATTICE] = outcome.lattice
    for each in layers:
        viewer.add_layer(each)
        if isinstance(each, Image):
            viewer.layers.move(viewer.layers.index(each), viewer.layers.index(layer))
    return Measured(layer, tuple(layers), outcome, note, key)


def _layer(drawing: Drawing, name: str, record: dict[str, Any], place: Place) -> Layer:
    lead = place.leading
    arguments = place.placement.arguments()
    data = drawing.data
    if drawing.kind == "image":
        data = np.asarray(data)[(None,) * len(lead)]
        arguments = _at_frame(place).arguments()
    elif drawing.kind == "shapes":
        data = [_with_frame(each, lead) for each in data]
    elif drawing.kind == "points":
        data = _with_frame(data, lead)
    elif drawing.kind == "vectors" and lead and data.shape[-1] == 2:
        zeros = (0,) * len(lead)
        start, step = _with_frame(data[:, 0], lead), _with_frame(data[:, 1], zeros)
        data = np.stack([start, step], axis=1)
    if drawing.features is not None:
        arguments["features"] = drawing.features.reset_index(drop=True)
    layer = _LAYERS[drawing.kind](
        data,
        name=f"{name} {drawing.name}",
        metadata={PROVENANCE: record, **drawing.says},
        **(arguments | dict(drawing.looks)),
    )
    if drawing.kind == "image" and hasattr(layer, "colorbar"):
        layer.colorbar.visible = True
    return layer


def _with_frame(places: Any, leading: tuple[int, ...]) -> Any:
    """(N, D) places of a frame (N, 2), or as they are where they tell their frame."""
    places = np.asarray(places, dtype=float)
    if not leading or places.shape[-1] != 2:
        return places
    return np.column_stack([np.tile(np.array(leading, float), (len(places), 1)), places])


def _at_frame(place: Place) -> Placement:
    """Return the placement of an image of one frame."""
    at, lead = place.placement, place.leading
    if not lead:
        return at
    whole = Affine(scale=at.scale, translate=at.translate, rotate=at.rotate, shear=at.shear)
    return replace(at, translate=np.asarray(whole(np.array([*lead, 0.0, 0.0]))))


def _copy(columns: Columns) -> Columns:
    """Return the columns as they were, in a layer of their own."""
    table = columns.table.drop(columns=["y", "x", "y_angstrom", "x_angstrom"], errors="ignore")
    old = columns.layer
    layer = Points(
        columns.data[columns.rows],
        name=f"{columns.name} measured",
        features=table,
        size=float(np.median(old.size)) if len(old.size) else 10.0,
        symbol="disc",
        face_color="transparent",
        border_width=0.15,
        border_color="yellow",
        metadata={PROVENANCE: old.metadata.get(PROVENANCE, {})},
        **columns.placement.arguments(),
    )
    return replace(
        columns, layer=layer, data=columns.data[columns.rows], rows=np.arange(len(table))
    )


def _with(record: dict[str, Any], measured: dict[str, Any]) -> dict[str, Any]:
    """Return the record of columns with that of their latest measurements, by kind."""
    before = record.get("measured", {})
    return {**record, "measured": {**before, measured["settings"]["measure"]: measured}}
