"""The Calibrate section where an image is chosen: the size of its pixels, for all panels."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from magicgui.widgets import ComboBox
from napari.layers import Image, Layer, Points, Shapes
from qtpy.QtWidgets import QHBoxLayout, QLabel, QPushButton, QWidget

from napari_atomseg._napari.columns.layers import position_table
from napari_atomseg._napari.forms.form import Form, Section, make_narrow
from napari_atomseg._napari.jobs import Job, attempt, describe
from napari_atomseg._napari.large import require_memory
from napari_atomseg._napari.layers import (
    Placement,
    Source,
    image_layer,
    layer_sampling,
    points_layer,
    sampled,
    shown_sampling,
)
from napari_atomseg._napari.scale import set_sampling
from napari_atomseg.calibration.settings import CalibrationSettings
from napari_atomseg.io import provenance

if TYPE_CHECKING:
    import napari.viewer

    from napari_atomseg.calibration import Calibration

_SHOWN = {
    "pixel": ("pixel", "unit"),
    "line": ("length", "unit"),
    "bar": ("length", "unit"),
    "crystal": ("crystal", "zone_axis", "tolerance"),
}
"""Settings that count for each way."""
_LINE = "Calibration line"
_BYTES = 24
"""Memory that a corrected stack takes for each pixel while it is made."""


class Calibrate(Section):
    """Sets the size of the pixels of an image layer, and of all layers that lie on it.

    Parameters
    ----------
    viewer : with the layers.
    image : gives the image layer that is chosen.
    """

    def __init__(self, viewer: napari.viewer.Viewer, image: Callable[[], Image | None]) -> None:
        super().__init__("Calibrate")
        self._viewer, self._image = viewer, image
        self.job: Job | None = None
        self.form = Form(CalibrationSettings)
        self.columns = ComboBox(
            name="columns",
            choices=lambda _widget: [
                ("find them first", None),
                *((layer.name, layer) for layer in viewer.layers if isinstance(layer, Points)),
            ],
        )
        make_narrow(self.columns.native)
        self.columns.native.setToolTip("Columns of the crystal, as Localize adds them")
        self.form.rows.addRow("Columns", self.columns.native)
        self.draw_button = _button("Draw", "Draw a line of known length in a layer of its own")
        self.apply_button = _button(
            "Use this scale", "Set the size of the pixels of this image and of all that lies on it"
        )
        self.correct_button = _button(
            "Correct shear", "Add the image and its columns on square pixels, without shear"
        )
        buttons = QWidget()
        row = QHBoxLayout(buttons)
        row.setContentsMargins(0, 0, 0, 0)
        for button, act in (
            (self.draw_button, self.draw),
            (self.apply_button, self.apply),
            (self.correct_button, self.correct),
        ):
            row.addWidget(button)
            button.clicked.connect(partial(self._clicked, act))
        self.message = QLabel()
        self.message.setWordWrap(True)
        for widget in (self.form, buttons, self.message):
            self.rows.addRow(widget)
        self.form.inputs["by"].changed.connect(self._show_rows_of)
        self._show_rows_of()

    def reset_choices(self) -> None:
        """Offer the points layers that the viewer holds now."""
        self.columns.reset_choices()

    def draw(self) -> Shapes:
        """Add a layer in which the next stroke is a line, or take the one that is there."""
        image = self._chosen()
        if _LINE in self._viewer.layers:
            layer = self._viewer.layers[_LINE]
        else:
            layer = Shapes(
                ndim=image.ndim, name=_LINE, edge_color="yellow", edge_width=2,
                **Placement.of(image).arguments(),
            )  # fmt: skip
            self._viewer.add_layer(layer)
        self._viewer.layers.selection.active = layer
        layer.mode = "add_line"
        self.message.setText("Draw the line in the image, give its length, then use this scale.")
        return layer

    def apply(self) -> Job:
        """Measure the size of a pixel, and set it."""
        return self._start(self._set)

    def correct(self) -> Job:
        """Measure size and shear of the pixels, and add what is corrected."""
        return self._start(self._add_corrected)

    def _clicked(self, act: Callable[[], Any], _checked: bool = False) -> None:
        attempt("Calibrate", act, self.message)

    def _chosen(self) -> Image:
        image = self._image()
        if image is None:
            raise ValueError("there is no image to calibrate: open one first")
        return image

    def _start(self, show: Callable[[Image, Any], Any]) -> Job:
        if self.job is not None and not self.job.done:
            raise ValueError("the last calibration is still running")
        image = self._chosen()
        Source.of(image)
        settings = dict(self.form.values())
        by = settings["by"]
        known: dict[str, Any] = {"sampling": layer_sampling(image)}
        plane: Any = None
        if by == "line":
            known["line"] = self._line(image)
        elif by in ("bar", "crystal"):
            plane = np.asarray(self._plane(image))
        if by == "crystal" and self.columns.value is not None:
            known["columns"] = self._table()
        self.message.setText("Measuring …")
        self.job = Job(
            f"Calibrate {image.name}",
            partial(_calibrated, plane, settings | known),
            partial(show, image),
        )
        self.job.settled.connect(self._settled)
        self.job.start()
        return self.job

    def _settled(self) -> None:
        job = self.job
        if job is None:
            return
        if job.error is not None:
            self.message.setText(describe(job.error))
        elif not job.cancelled:
            self.message.setText("; ".join(job.result().notes))

    def _plane(self, image: Image) -> Any:
        """The image that is shown, of a stack its frame."""
        data = Source.of(image).data
        if data.ndim == 2:
            return data
        step = self._viewer.dims.current_step[-image.ndim : -2]
        return data[tuple(np.clip(step, 0, np.array(data.shape[:-2]) - 1))]

    def _line(self, image: Image) -> Any:
        """Ends (y, x) of the last line that was drawn, in pixels of the image."""
        layers = [each for each in self._viewer.layers if isinstance(each, Shapes)]
        layers.sort(key=lambda each: each.name != _LINE)
        for layer in layers:
            lines = [
                np.asarray(shape)
                for shape, kind in zip(layer.data, layer.shape_type, strict=True)
                if kind in ("line", "path")
            ]
            if lines:
                ends = lines[-1][[0, -1]]
                world = [np.asarray(layer.data_to_world(each))[-image.ndim :] for each in ends]
                return np.array([np.asarray(image.world_to_data(each))[-2:] for each in world])
        raise ValueError("there is no line: press Draw, and draw one in the image")

    def _table(self) -> pd.DataFrame:
        """The columns that were chosen, of a stack those of the frame that is shown."""
        layer = self.columns.value
        table = position_table(layer.data, layer.features, layer_sampling(layer))
        if "frame" in table and table["frame"].nunique() > 1:
            shown = int(self._viewer.dims.current_step[-3])
            table = table[table["frame"] == shown].reset_index(drop=True)
        return table

    def _set(self, image: Image, made: Calibration) -> Calibration:
        set_sampling(self._viewer, image, made.sampling, made.notes)
        return made

    def _add_corrected(self, image: Image, made: Calibration) -> Calibration:
        if made.pixels is None:
            raise ValueError("shear is seen by a known crystal alone")
        source = Source.of(image)
        require_memory(source.data, _BYTES, "correcting the shear")
        data = np.asarray(source.data)
        straight, size, first = made.pixels.correct(data)
        place = sampled(size, straight.ndim)
        settings = {"sampling": size, "shear_deg": made.pixels.shear_deg}
        record = provenance("calibrate", image.name, settings) | {"notes": list(made.notes)}
        layers: list[Layer] = [image_layer(straight, f"{image.name} corrected", place, record)]
        if made.columns is not None and data.ndim == 2:
            table = made.pixels.correct_columns(made.columns, first)
            name = f"{image.name} columns corrected"
            layers.append(points_layer(table, name, place, record))
        for layer in layers:
            self._viewer.add_layer(layer)
        return made

    def _show_rows_of(self, _value: object = None) -> None:
        by = self.form["by"]
        for name in self.form.inputs:
            if name != "by":
                self.form.show_row(name, name in _SHOWN[by])
        label = self.form.rows.labelForField(self.columns.native)
        for widget in (self.columns.native, label, self.correct_button):
            widget.setVisible(by == "crystal")
        self.draw_button.setVisible(by == "line")


class UseScale(QPushButton):
    """Appears below a sampling that was typed, and gives it to the layer, once for all panels.

    Parameters
    ----------
    viewer : with the layers.
    form : has the sampling (Å per pixel).
    layer : gives the layer that is chosen.
    """

    def __init__(
        self, viewer: napari.viewer.Viewer, form: Form, layer: Callable[[], Layer | None]
    ) -> None:
        super().__init__("Use this scale for the layer")
        self.setToolTip(
            "Set the size of its pixels, and of all layers that lie on it: all panels, the scale\n"
            "bar and files follow"
        )
        self._viewer, self._form, self._layer = viewer, form, layer
        row, _ = form.rows.getWidgetPosition(form.inputs["sampling"].native)
        form.rows.insertRow(row + 1, self)
        form.inputs["sampling"].changed.connect(self.offer)
        self.clicked.connect(lambda _on: self.use())
        self.hide()

    def offer(self, _sampling: object = None) -> None:
        """Show the button where the form has another sampling than the layer."""
        typed, layer = self._form["sampling"], self._layer()
        own = None if layer is None else layer_sampling(layer)
        same = own is not None and typed == shown_sampling(own)
        self.setVisible(layer is not None and typed is not None and not same)

    def settle(self) -> None:
        """Give the sampling to a layer that has none, so that results lie on it, in Å."""
        layer = self._layer()
        if layer is not None and layer_sampling(layer) is None:
            self.use()

    def use(self) -> None:
        """Give the sampling to the layer."""
        typed, layer = self._form["sampling"], self._layer()
        if typed is not None and layer is not None:
            set_sampling(self._viewer, layer, typed, ("typed",))
        self.offer()


def _button(text: str, tip: str) -> QPushButton:
    button = QPushButton(text)
    button.setToolTip(tip)
    return button


def _calibrated(plane: Any, settings: dict[str, Any], progress: Any, cancel: Any) -> Calibration:
    from napari_atomseg.calibration import calibrate

    return calibrate(plane, **settings, progress=progress, cancel=cancel)
