"""Reports as layers: the one place where marks become what napari draws."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import singledispatch
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Layer, Points, Shapes, Tracks, Vectors

from napari_atomseg._napari.columns.colours import colour_points
from napari_atomseg._napari.columns.layers import COMPONENT
from napari_atomseg._napari.keys import Key, in_words, key_of, show_key
from napari_atomseg._napari.layers import PROVENANCE, Placement
from napari_atomseg._napari.measure.source import LATTICE, ChosenColumns, put_features
from napari_atomseg._napari.replace import note_features
from napari_atomseg.figures.tables import label
from napari_atomseg.io.inputs import THEN_MEASURED
from napari_atomseg.measurements.observation import SELECTED
from napari_atomseg.measurements.report import (
    SIGNED,
    ImageMarks,
    Mark,
    PointMarks,
    PolygonMarks,
    Report,
    Scale,
    TrackMarks,
    VectorMarks,
)
from napari_atomseg.progress import CancelToken

if TYPE_CHECKING:
    import napari.viewer


@dataclass(frozen=True)
class Place:
    """Where marks lie: the placement of a layer, and the frame (index) that they belong to."""

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
    report : with summary, tables and plot.
    note : for the user, where the results are elsewhere than expected.
    """

    columns: Points
    layers: tuple[Layer, ...]
    report: Report
    note: str = ""

    @property
    def maps(self) -> list[Layer]:
        """The layers that are read instead of the columns: those whose colours have a key.

        None where the measurement colours the columns themselves.
        """
        coloured = self.report.colour_by is not None
        return [] if coloured else [layer for layer in self.layers if key_of(layer) is not None]

    @property
    def images(self) -> dict[str, Image]:
        """The images by the name of their quantity, the topmost first."""
        images = [layer for layer in reversed(self.layers) if isinstance(layer, Image)]
        return {str(layer.metadata[COMPONENT]): layer for layer in images}


def make_layers(
    report: Report,
    name: str,
    record: dict[str, Any],
    columns: Place,
    image: Place | None,
    cancel: CancelToken,
) -> list[Layer]:
    """Return the layers of a report, or raise `Cancelled`.

    Many polygons take seconds: this may run in another thread.

    Parameters
    ----------
    name : of the columns, in front of that of each layer.
    record : how the report was made.
    columns, image : where marks on the columns and on the image lie.
    """
    layers = []
    for mark in report.marks:
        cancel.raise_if_cancelled()
        on_image = isinstance(mark, ImageMarks) and mark.on_image and image is not None
        layer = _layer(mark, image if on_image and image is not None else columns)
        layer.name = f"{name} {layer.name}"
        layer.metadata = {PROVENANCE: record, **layer.metadata}
        layers.append(layer)
    return layers


Put = Callable[..., list[Layer]]
"""Adds the layers of a result in place of the former ones, as `Panel.put`."""


def show(
    viewer: napari.viewer.Viewer,
    columns: ChosenColumns,
    record: dict[str, Any],
    report: Report,
    layers: list[Layer],
    put: Put,
) -> Measured:
    """Join the features to the columns, and add the layers: images below the columns."""
    target, note = columns, ""
    if columns.layer not in viewer.layers or not columns.unchanged():
        target, note = _copy(columns), "The columns changed meanwhile: see the new layer."
        viewer.add_layer(target.layer)
    layer = target.layer
    if report.columns is not None and report.features:
        put_features(target, report.columns[list(report.features)])
        note_features(layer, report.features)
        layer.metadata[PROVENANCE] = _with(layer.metadata.get(PROVENANCE, {}), record)
        if report.colour_by is not None:
            colour_points(layer, report.colour_by)
    if report.lattice is not None:
        layer.metadata[LATTICE] = report.lattice
    parts = {each.name.removeprefix(f"{columns.name} "): each for each in layers}
    settings = record["settings"]
    kind = f"measure {settings['measure']} of {settings['use']}"
    shown = put(parts, kind, str(layer.unique_id), *columns.leading)
    for each in shown:
        if isinstance(each, Image) and viewer.layers.index(each) > viewer.layers.index(layer):
            viewer.layers.move(viewer.layers.index(each), viewer.layers.index(layer))
    return Measured(layer, tuple(shown), report, note)


@singledispatch
def _layer(mark: Mark, place: Place) -> Layer:
    """Return the layer of a mark, with the mark's name."""
    raise TypeError(f"{type(mark).__name__} is no mark")


@_layer.register
def _points(mark: PointMarks, place: Place) -> Points:
    return Points(
        _in_frame(mark.places, place.leading),
        name=mark.name,
        symbol=mark.symbol,
        size=mark.size,
        face_color=mark.colour,
        border_color="white",
        border_width=0.05,
        features=_features(mark.table),
        **place.placement.arguments(),
    )


@_layer.register
def _vectors(mark: VectorMarks, place: Place) -> Vectors:
    start = _in_frame(mark.starts, place.leading)
    step = _in_frame(mark.steps, (0,) * len(place.leading))
    looks: dict[str, Any] = {}
    if isinstance(mark.colour, Scale):
        looks["edge_color"] = mark.colour.feature
        looks["edge_colormap"] = mark.colour.colormap
        looks["edge_contrast_limits"] = mark.colour.limits
    else:
        alike = isinstance(mark.colour, str)
        looks["edge_color"] = mark.colour if alike else list(mark.colour)
    layer = Vectors(
        np.stack([start, step], axis=1),
        name=mark.name,
        length=mark.factor,
        edge_width=mark.width,
        vector_style="arrow" if mark.arrows else "line",
        opacity=1.0,
        features=_features(mark.table),
        **looks,
        **place.placement.arguments(),
    )
    if isinstance(mark.colour, Scale):
        show_key(layer, _key(mark.colour))
    return layer


@_layer.register
def _polygons(mark: PolygonMarks, place: Place) -> Shapes:
    corners = [_in_frame(each, place.leading) for each in mark.corners]
    # Napari need not triangulate those of four corners, of which there are thousands.
    four = all(len(each) == 4 for each in corners)
    closed = "rectangle" if four else "polygon"
    layer = Shapes(
        corners,
        name=mark.name,
        shape_type=closed if mark.closed else "path",
        edge_color=mark.edge,
        edge_width=mark.width,
        face_color=list(mark.faces) or "transparent",
        opacity=mark.opacity,
        features=_features(mark.table),
        **place.placement.arguments(),
    )
    if mark.scale is not None:
        show_key(layer, _key(mark.scale))
    elif mark.legend:
        show_key(layer, Key(mark.legend_title, kinds=dict(mark.legend), title=mark.legend_title))
    return layer


def _key(scale: Scale) -> Key:
    low, high = scale.limits
    title = (scale.title or label(scale.feature)) + in_words(scale.unit)
    return Key(
        scale.feature,
        low,
        high,
        title=title,
        colormap=scale.colormap,
        wheel=scale.directions,
    )


@_layer.register
def _tracks(mark: TrackMarks, place: Place) -> Tracks:
    return Tracks(
        mark.data,
        name=mark.name,
        tail_length=mark.tail,
        tail_width=3,
        blending="translucent",
        **place.placement.arguments(),
    )


@_layer.register
def _image(mark: ImageMarks, place: Place) -> Image:
    limit = mark.factor * mark.limit
    name = mark.name.removesuffix("_deg")
    layer = Image(
        np.asarray(mark.factor * mark.values, np.float32)[(None,) * len(place.leading)],
        name=f"{mark.prefix}{name}" + (f" ({mark.unit})" if mark.unit else ""),
        colormap=SIGNED if mark.signed else "gray",
        contrast_limits=(-limit if mark.signed else 0.0, limit),
        interpolation2d="nearest",
        metadata={COMPONENT: mark.name},
        **place.placement.at_frame(place.leading).arguments(),
    )
    title = f"{mark.prefix}{mark.title or name}{in_words(mark.unit)}"
    show_key(layer, Key(mark.name, title=title))
    return layer


def _features(table: Any) -> Any:
    return None if table is None else table.reset_index(drop=True)


def _in_frame(places: Any, leading: tuple[int, ...]) -> Any:
    """(N, D) places of a frame (N, 2), or as they are where they have their frame."""
    places = np.asarray(places, dtype=float)
    if not leading or places.shape[-1] != 2:
        return places
    return np.column_stack([np.tile(np.array(leading, float), (len(places), 1)), places])


def _copy(columns: ChosenColumns) -> ChosenColumns:
    """Return the columns as they were, in a layer of their own."""
    not_features = ["y", "x", "y_angstrom", "x_angstrom", SELECTED]
    table = columns.table.drop(columns=not_features, errors="ignore")
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
    """Return the record of columns with those of all their measurements, in order.

    They leave out what they were measured of: these columns. One that repeats the last takes its
    place.
    """
    inputs = {name: what for name, what in measured.get("inputs", {}).items() if name != "of"}
    own = {**measured, "inputs": inputs}
    before = list(record.get(THEN_MEASURED, ()))
    kinds = [each["settings"]["measure"] for each in (*before[-1:], own)]
    return {**record, THEN_MEASURED: [*before[: -1 if len(set(kinds)) < len(kinds) else None], own]}
