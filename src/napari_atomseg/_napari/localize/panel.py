"""The Localize panel: the positions of the columns, with their errors, in regions of interest."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Labels, Layer, Points, Shapes
from numpy.typing import NDArray
from qtpy.QtWidgets import QPushButton

from napari_atomseg._napari.columns.colours import colour_points
from napari_atomseg._napari.columns.layers import drawn
from napari_atomseg._napari.forms.choices import NameOrFile
from napari_atomseg._napari.image_panel import ImagePanel, ImageSettings
from napari_atomseg._napari.jobs import Show, Work
from napari_atomseg._napari.layers import PROVENANCE, Placement, Source, points_layer
from napari_atomseg._napari.message import with_notes
from napari_atomseg._napari.models.choice import fetch_model, identity
from napari_atomseg._napari.stack import frame_shown
from napari_atomseg._shared.files import plain
from napari_atomseg.alignment.settings import noise_of
from napari_atomseg.inference.scan.settings import LINES_MODEL, ScanSettings
from napari_atomseg.io import provenance
from napari_atomseg.localization.settings import DetectionSettings, FitSettings
from napari_atomseg.progress import CancelToken, Progress
from napari_atomseg.settings import Settings, setting

if TYPE_CHECKING:
    import napari.viewer


WHOLE = {"": "the whole image"}
_MAPS = {"network": ("column_map",), "otsu": ("column_mask",)}
"""Maps that a detector needs of a model."""
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


_ONLY = {
    "likelihood": ("gaussian", "elliptic", "rotated", "joint"),
    "frames": ("gaussian", "elliptic", "rotated", "joint"),
    "widths": ("joint",),
    "backgrounds": ("joint",),
}
"""Refinements with which a setting has an effect."""
_VERDICTS = ("calibrated", "training_range", "contrast", "notes")
"""Attributes of the table that are copied to the record of its layer."""


class ResultSettings(Settings):
    """Which columns are measured, and how the points show them."""

    region: str = setting(
        "",
        "Region",
        "Only columns in it are measured: shapes or labels, drawn in a layer of napari.",
    )
    colour_by: str = setting(
        "volume",
        "Colour by",
        "The measurement that colours the points; changes the last result at once.",
        choices={
            "volume": "volume (intensity px²)",
            "amplitude": "amplitude",
            "sigma": "width (sigma)",
            "ellipticity": "ellipticity",
            "y_err": "error in y",
            "x_err": "error in x",
            "background": "background",
            "score": "score (probability)",
            "consistency": "consistency with the raw image",
            "in_range": "inside the training range",
            "species": "species",
        },
    )


class LocalizePanelSettings(
    ImageSettings, ResultSettings, FitSettings, DetectionSettings, ScanSettings
):
    """Settings of the Localize panel."""


class Localize(ImagePanel):
    """Measures the columns of the chosen image as a new points layer."""

    title = "Localize"
    Settings = LocalizePanelSettings

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__(viewer, {"region": lambda: NameOrFile(WHOLE)})
        self.warn_of_restored()
        self.table_button = QPushButton("Show table")
        self.table_button.setToolTip("Open napari's table of the selected layer's features")
        self.table_button.clicked.connect(self.show_table)
        self.add_footer(self.table_button, stretch=0)
        self.table_button.setVisible(False)
        self.form.inputs["colour_by"].changed.connect(self._recolour)
        for name in ("detector", "on"):
            self.form.inputs[name].changed.connect(self._offer_models)
        self.form.inputs["refine"].changed.connect(self._enable)
        self._enable()
        self._offer_regions()

    def reset_choices(self, event: Any = None) -> None:
        """Offer the images and regions that the viewer holds now."""
        super().reset_choices(event)
        self._offer_regions()

    @staticmethod
    def tasks(settings: LocalizePanelSettings) -> tuple[str, ...]:
        maps = _MAPS.get(settings.detector, ())
        return maps if settings.on == "raw" else (*maps, "denoise")

    def prepare(self) -> tuple[str, Work, Show]:
        source = self.source()
        options = self.options(source)
        names = (
            *FitSettings.model_fields,
            *DetectionSettings.model_fields,
            *ScanSettings.model_fields,
        )
        settings = options | {name: self.form[name] for name in names}
        chosen, region = self.form["region"], None
        if chosen and self.image is not None:
            point = self.viewer.dims.point
            region = region_of(self.viewer.layers[chosen], self.image, point)
        # An average of aligned frames says how far its pixels share their noise.
        noise = {} if self.image is None else noise_of(self.image.metadata.get(PROVENANCE, {}))
        return (
            f"Localize {source.title}",
            partial(_localize, source.data, region, settings | noise),
            partial(self._show, source, settings | {"region": chosen} | source.chosen, region),
        )

    def summary(self, result: Points) -> str:
        record = result.metadata[PROVENANCE]
        first = f"{len(result.data)} columns on {record['measured_on']}{_median_error(result)}"
        return with_notes(first, [record.get("training_range", ""), *record.get("notes", ())])

    def show_table(self) -> None:
        """Open napari's table of features beside the viewer."""
        self.viewer.window.add_plugin_dock_widget("napari", "Features table widget")

    def _show(self, source: Source, options: dict[str, Any], region: Any, result: Any) -> Points:
        columns, model = result
        inputs = {"of": source.described()}
        record = provenance("localize", source.name, options, **model, inputs=inputs)
        record["measured_on"] = source.told
        if isinstance(region, list):
            record["polygons"] = plain(region)
        layer = points_layer(
            source.with_frames(columns),
            f"{source.title} columns",
            source.placement.arguments(),
            record | {key: columns.attrs[key] for key in _VERDICTS if key in columns.attrs},
            leading=source.shape[:-2],
            colour_by=self.form["colour_by"],
        )
        (placed,) = self.put(
            {"columns": layer}, "localize", source.identity, options["region"], *source.frame
        )
        self.table_button.setVisible(True)
        return placed

    def _enable(self, _value: object = None) -> None:
        for name, refinements in _ONLY.items():
            self.form.inputs[name].native.setEnabled(self.form["refine"] in refinements)

    def _offer_regions(self) -> None:
        self.form.inputs["region"].offer(region_layers(self.viewer.layers))

    def _recolour(self, feature: str) -> None:
        job = self.job
        if job is not None and job.done and job.error is None:
            colour_points(job.result(), feature)


def _median_error(layer: Points) -> str:
    features = layer.features
    if not {"y_err", "x_err"} <= set(features) or not len(features):
        return ""
    errors = np.hypot(features["y_err"], features["x_err"])
    if not np.isfinite(errors).any():
        return ""
    error = float(np.nanmedian(errors))
    sampling = layer.metadata[PROVENANCE]["settings"]["sampling"]
    if sampling is None:
        return f", median error {error:.3f} px"
    return f", median error {100 * error * float(np.mean(sampling)):.1f} pm"


def _localize(
    data: Any, region: Any, options: dict[str, Any], progress: Progress, cancel: CancelToken
) -> tuple[Any, dict[str, str]]:
    from napari_atomseg.localization import localize

    if options["scan"] != "none":
        fetch_model(LINES_MODEL, progress, cancel)
    work = partial(localize, data, region=region, progress=progress, cancel=cancel)
    if options["detector"] == "peaks" and options["on"] == "raw":
        return work(**options), {}
    model = fetch_model(options["model"], progress, cancel)
    return work(**options | {"model": model}), identity(model)
