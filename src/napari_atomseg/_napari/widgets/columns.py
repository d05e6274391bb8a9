"""The Columns panel: look at columns, correct them, plot, import, export and draw them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from magicgui.widgets import ComboBox
from matplotlib.figure import Figure
from napari.layers import Image, Layer, Points
from napari.utils.notifications import show_error
from napari.utils.theme import get_theme
from numpy.typing import NDArray
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QHBoxLayout, QLabel, QPushButton, QTabWidget, QVBoxLayout

from napari_atomseg import figures
from napari_atomseg._napari import columns_figures, columns_files
from napari_atomseg._napari.choices import NameOrFile
from napari_atomseg._napari.columns_edits import Edits
from napari_atomseg._napari.columns_legend import Legend
from napari_atomseg._napari.columns_plots import Plots
from napari_atomseg._napari.columns_refit import refit
from napari_atomseg._napari.columns_table import table_of
from napari_atomseg._napari.form import Inputs, make_narrow, option
from napari_atomseg._napari.jobs import Job, Show, Work, describe
from napari_atomseg._napari.layers import PROVENANCE, Source, unwrapped
from napari_atomseg._napari.panel import Panel
from napari_atomseg._napari.point_colours import Key, colour_points
from napari_atomseg.figures.tables import label
from napari_atomseg.io import provenance

if TYPE_CHECKING:
    import napari.viewer

_NOTHING = {"": "nothing"}


@dataclass(frozen=True)
class ColumnsSettings:
    """Settings of the Columns panel."""

    colour_by: str = option("", "Colour by", "The measurement that colours the points")
    refine: str = option(
        "",
        "Refit by",
        "How columns that were added or dragged are measured again on the image",
        choices=[
            ("what measured the others", ""),
            ("Gaussian fit", "gaussian"),
            ("elliptic fit", "elliptic"),
            ("rotated elliptic fit", "rotated"),
            ("joint fit", "joint"),
            ("centre of mass", "centre_of_mass"),
            ("centroid", "centroid"),
        ],
    )


class Columns(Panel):
    """Works on a points layer of columns, as Localize makes it."""

    title = "Columns"
    Settings = ColumnsSettings

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        self.edits, self.legend, self.plots = Edits(), Legend(), Plots()
        self.files, self.figures = columns_files.Files(), columns_figures.Figures()
        self.status = QLabel()
        self.status.setWordWrap(True)
        self.all_button = QPushButton("All")
        self.all_button.setToolTip("Measure all columns of the layer again")
        self.undo_button = QPushButton("Undo")
        self.undo_button.setToolTip("Take back the last edit or refit")
        self.tabs = QTabWidget()
        self._everything = False
        super().__init__(viewer)
        self._columns = self._chooser("columns", Points, "The points layer of columns")
        self._image = self._chooser("image", Image, "The image that the columns lie on")
        self.form.rows.insertRow(0, "Columns", self._columns.native)
        self.form.rows.insertRow(1, "Image", self._image.native)
        self.run_button.setToolTip("Measure only columns that were added or dragged")
        self._refresh = QTimer(self)
        self._refresh.setSingleShot(True)
        self._refresh.timeout.connect(self._replot)
        self._connect()
        active = self.viewer.layers.selection.active
        if isinstance(active, Points):
            self._columns.value = active
        self._wear()
        self._follow()

    @property
    def columns(self) -> Points | None:
        """The layer of columns; set it to a layer of the viewer or to its name."""
        return self._columns.value

    @columns.setter
    def columns(self, layer: Points | str) -> None:
        self._choose(self._columns, layer, Points)
        self._follow()

    @property
    def image(self) -> Image | None:
        """The image of the columns; set it to a layer of the viewer or to its name."""
        return self._image.value

    @image.setter
    def image(self, layer: Image | str) -> None:
        self._choose(self._image, layer, Image)

    def make_inputs(self) -> Inputs:
        """Return the input of the feature, whose names follow the layer."""
        return {"colour_by": lambda: NameOrFile(_NOTHING)}

    def prepare(self) -> tuple[str, Work, Show]:
        everything, self._everything = self._everything, False
        return refit(self.edits, self.image, self.form["refine"], everything)

    def refit_all(self) -> Job:
        """Measure all columns again, as `run` does those that changed."""
        self._everything = True
        return self.run()

    def undo(self) -> bool:
        """Take back the last edit or refit; return whether there was one."""
        done = self.edits.undo()
        self.message.setText("Undone" if done else "Nothing to undo")
        return done

    def select(self, feature: str, low: float, high: float) -> NDArray[np.intp]:
        """Select the columns whose feature lies between two values; return their rows."""
        self.plots.of.value = feature
        self._replot()
        return self.plots.select_range(low, high)

    def import_columns(
        self, path: str | Path, *, axes: str = "", units: str = "", origin: float = 0.0
    ) -> Points:
        """Add the columns of a file to the viewer, on the chosen image, and choose them.

        Raises
        ------
        OSError, ValueError
            See `io.read_columns`, which also says what `axes`, `units` and `origin` are.
        """
        image = self.image
        layer = columns_files.import_columns(path, image, axes=axes, units=units, origin=origin)
        self.viewer.add_layer(layer)
        self.columns, count = layer, len(layer.data)
        if image is not None:
            self.image = image
        beyond = 0 if image is None else columns_files.outside(layer, image)
        where = f"; {beyond} lie outside of {image.name!r}: other axes or unit?" if beyond else ""
        self.message.setText(f"{count} columns of {Path(path).name}{where}")
        return layer

    def export_columns(self, path: str | Path, elements: str = "") -> None:
        """Write the columns as CSV, XYZ, CIF or HDF5; see `columns_files.export_columns`."""
        layer = self._there()
        columns_files.export_columns(path, layer, self._own_image(), elements)
        self.message.setText(f"{len(layer.data)} columns saved as {Path(path).name}")

    def figure(self, kind: str) -> Figure:
        """Return a figure of the columns: "overlay", "vectors", "histogram" or "strain"."""
        drawn = columns_figures.draw(
            kind,
            self._there(),
            self._own_image(),
            colour_by=self.form["colour_by"] or None,
            of=self.plots.of.value or "volume",
            width=self.figures.width_mm,
            point=tuple(self.viewer.dims.point),
        )
        self.figures.show_figure(drawn)
        return drawn

    def save_figure(self, kind: str, path: str | Path) -> Figure:
        """Draw a figure and write it as PNG, SVG or PDF; see `figure` and `figures.save`."""
        drawn = self.figure(kind)
        settings = {"colour_by": self.form["colour_by"], "of": self.plots.of.value}
        record = provenance(f"figure {kind}", self._there().name, settings)
        made = self._there().metadata.get(PROVENANCE)
        figures.save(drawn, path, metadata=record | {"columns": made})
        self.message.setText(f"Saved as {Path(path).name}")
        return drawn

    def summary(self, result: Points) -> str:
        again = result.metadata[PROVENANCE]["refit"]
        failed = int((~result.features["converged"].fillna(False).astype(bool)).sum())
        trouble = f"; {failed} of all did not converge" if failed else ""
        return f"{again['columns']} columns measured on {again['source']}{trouble}"

    def reset_choices(self, event: Any = None) -> None:
        """Offer the layers that the viewer holds now; napari calls this when they change."""
        self._columns.reset_choices()
        self._image.reset_choices()
        self._follow()

    def _lay_out(self) -> None:
        self.run_button.setText("Refit changed columns")
        buttons = QHBoxLayout()
        buttons.addWidget(self.run_button, 3)
        for button in (self.all_button, self.undo_button, self.cancel_button):
            buttons.addWidget(button, 1)
        self.tabs.addTab(self.plots, "Plot")
        self.tabs.addTab(self.files, "Files")
        self.tabs.addTab(self.figures, "Figures")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 6, 6, 6)
        layout.setSpacing(4)
        for part in (self.form, self.legend, self.status):
            layout.addWidget(part)
        layout.addLayout(buttons)
        layout.addWidget(self.progress)
        layout.addWidget(self.tabs, 1)
        layout.addWidget(self.message)

    def _connect(self) -> None:
        self.all_button.clicked.connect(lambda _on: self.refit_all())
        self.undo_button.clicked.connect(lambda _on: self.undo())
        self._columns.changed.connect(self._follow)
        self.form.inputs["colour_by"].changed.connect(lambda _name: self._recolour())
        self.edits.happened.connect(self._changed)
        self.edits.told.connect(self._changed)
        self.edits.chosen.connect(self._mark)
        self.plots.selected.connect(self._select)
        self.files.opened.connect(self._open)
        self.files.saved.connect(self._save)
        self.figures.asked.connect(self._draw)
        self.viewer.events.theme.connect(self._wear)

    def _chooser(self, name: str, kind: type, about: str) -> ComboBox:
        box = ComboBox(
            name=name,
            choices=lambda _widget: [(each.name, each) for each in self._layers(kind)],
            nullable=False,
        )
        make_narrow(box.native)
        box.native.setToolTip(about)
        return box

    def _layers(self, kind: type) -> list[Any]:
        return [
            layer
            for layer in self.viewer.layers
            if isinstance(layer, kind) and not getattr(layer, "rgb", False)
        ]

    def _choose(self, box: ComboBox, layer: Any, kind: type[Layer]) -> None:
        layer = self.viewer.layers[layer] if isinstance(layer, str) else unwrapped(layer)
        if not isinstance(layer, kind):
            raise ValueError(f"{layer!r} is no {kind.__name__.lower()} layer: choose another")
        if isinstance(layer, Image):
            Source.of(layer)
        if layer not in self.viewer.layers:
            raise ValueError(f"{layer.name!r} is not a layer of this viewer: add it first")
        box.reset_choices()
        box.value = layer

    def _there(self) -> Points:
        """Return the layer of columns, or say kindly that there is none."""
        if self.columns is None:
            raise ValueError("there are no columns: run Localize, or choose a points layer")
        return self.columns

    def _own_image(self) -> Image | None:
        """Return the image if the columns lie on its pixels."""
        image, layer = self.image, self.columns
        if image is None or layer is None or image.ndim != layer.ndim:
            return None
        return image

    def _follow(self, event: Any = None) -> None:
        """Watch the layer that is chosen now."""
        layer = self.columns
        if layer is not None and layer is not self.edits.layer:
            source = layer.metadata.get(PROVENANCE, {}).get("source")
            images = {image.name: image for image in self._layers(Image)}
            if source in images:
                self._image.value = images[source]
        self.edits.watch(layer)
        self._changed()

    def _changed(self) -> None:
        """Show what the layer holds now."""
        layer = self.edits.layer
        names = [] if layer is None else [str(name) for name in layer.features]
        box = self.form.inputs["colour_by"]
        box.blockSignals(True)
        box.offer(_NOTHING | {name: label(name) for name in names})
        box.blockSignals(False)
        self._recolour()
        self._say()
        self._refresh.start(50)

    def _recolour(self) -> None:
        layer = self.edits.layer
        key = Key() if layer is None else colour_points(layer, self.form["colour_by"] or None)
        self.legend.show_key(key)
        self._refresh.start(50)

    def _say(self) -> None:
        """Say how many columns there are, what was edited, and what comes next."""
        layer, changed = self.edits.layer, int(self.edits.changed.sum())
        idle = self.job is None or self.job.done
        count = 0 if layer is None else len(layer.data)
        if layer is None:
            text = "No columns yet: run Localize, or import positions in Files."
        elif not count:
            text = "No columns yet: add points with napari's tools."
        else:
            text = f"{count} columns" + (f", {changed} to be refitted" if changed else "")
            less = self.edits.deleted
            text += f", {less} deleted" if less else ""
            if not changed:
                text += ". Add, drag or delete points to correct them."
        self.status.setText(text)
        self.run_button.setText(f"Refit {changed} changed" if changed else "Refit changed")
        self.run_button.setEnabled(idle and changed > 0)
        self.all_button.setEnabled(idle and count > 0)
        self.undo_button.setEnabled(idle and self.edits.can_undo)
        self.files.export_button.setEnabled(count > 0)
        for button in self.figures.buttons.values():
            button.setEnabled(count > 0)

    def _replot(self) -> None:
        self._refresh.stop()
        layer = self.edits.layer
        if layer is None:
            self.plots.show_table(table_of(Points()), np.zeros((0, 4)))
            return
        rows = sorted(layer.selected_data)
        self.plots.show_table(table_of(layer), layer.border_color, rows)

    def _mark(self) -> None:
        layer = self.edits.layer
        if layer is not None and len(self.plots.table) == len(layer.data):
            self.plots.mark(sorted(layer.selected_data))

    def _select(self, rows: NDArray[np.intp]) -> None:
        layer = self.edits.layer
        if layer is not None:
            layer.selected_data = {int(row) for row in rows if row < len(layer.data)}
            self.message.setText(f"{len(layer.selected_data)} of {len(layer.data)} selected")

    def _open(self, path: str) -> None:
        files = self.files
        self._try(
            lambda: self.import_columns(
                path,
                axes=files.axes.value,
                units=files.units.value,
                origin=files.origin.value(),
            )
        )

    def _save(self, path: str) -> None:
        self._try(lambda: self.export_columns(path, self.files.elements.text().strip()))

    def _draw(self, kind: str) -> None:
        def ask() -> None:
            self.figure(kind)
            path = self.figures.ask(kind)
            if path:
                self.save_figure(kind, path)

        self._try(ask)

    def _try(self, work: Callable[[], Any]) -> None:
        """Do what a button asks for; what is wrong is told in a line."""
        try:
            work()
        except (ValueError, TypeError, OSError, ImportError) as error:
            self.message.setText(describe(error))
            show_error(f"{self.title}: {describe(error)}")

    def _show_running(self, running: bool) -> None:
        super()._show_running(running)
        if hasattr(self, "_columns"):
            self._say()

    def _wear(self, event: Any = None) -> None:
        theme = get_theme(self.viewer.theme)
        self.plots.wear(theme.background.as_hex(), theme.text.as_hex(), "#ffff00")
