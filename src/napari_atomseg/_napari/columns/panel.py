"""The Columns panel: look at columns, correct them, plot, import, export and draw them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Points
from napari.utils.theme import get_theme
from numpy.typing import NDArray
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QLabel, QPushButton, QTabWidget

from napari_atomseg._napari.columns import files as columns_files
from napari_atomseg._napari.columns.colours import COLOURED, Legend, colour_points
from napari_atomseg._napari.columns.edits import REFIT, Edits, refit
from napari_atomseg._napari.columns.figures import (
    FigureChoices,
    Figures,
    FiguresPanel,
    arrows_of,
    strain_images,
)
from napari_atomseg._napari.columns.layers import table_of
from napari_atomseg._napari.columns.plots import Plots
from napari_atomseg._napari.forms.choices import NameOrFile
from napari_atomseg._napari.jobs import Job, Show, Work
from napari_atomseg._napari.keys import Key
from napari_atomseg._napari.layers import PROVENANCE
from napari_atomseg._napari.panel import Scroll
from napari_atomseg.figures.tables import label
from napari_atomseg.localization.settings import FitSettings
from napari_atomseg.settings import Settings, about, setting

if TYPE_CHECKING:
    import napari.viewer

_NOTHING = {"": "nothing"}
_PAGES = ("Plot", "Files", "Figures")
_REFINEMENTS = about(FitSettings, "refine").choices or {}


class ColumnsSettings(Settings):
    """Settings of the Columns panel."""

    colour_by: str = setting("", "Colour by", "The measurement that colours the points.")
    refine: str = setting(
        "",
        "Refit by",
        "How columns that were added or dragged are measured again on the image.",
        choices={"": "as the others were"}
        | {name: text for name, text in _REFINEMENTS.items() if name != "none"},
    )


class ColumnsPanel(FiguresPanel):
    """Works on a points layer of columns, as Localize makes it."""

    title = "Columns"
    Settings = ColumnsSettings

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__(viewer, {"colour_by": lambda: NameOrFile(_NOTHING)})
        self.edits = Edits()
        self._everything = False
        self.run_button.setToolTip("Measure only columns that were added or dragged")
        self._refresh = QTimer(self)
        self._refresh.setSingleShot(True)
        self._refresh.timeout.connect(self._replot)
        self._add_parts()
        self._connect()
        self._follow_theme()
        self._follow()
        if self._followed is None:
            self.layer_changed(None)

    def prepare(self) -> tuple[str, Work, Show]:
        return refit(self.edits, self.image, self.form["refine"], self._everything)

    def refit_all(self) -> Job:
        """Measure all columns again; `run` measures those that changed."""
        self._everything = True
        try:
            return self.run()
        finally:
            self._everything = False

    def turn_to(self, page: str) -> None:
        """Show the page of figures, or that of corrections."""
        self.tabs.setCurrentIndex(_PAGES.index(page or _PAGES[0]))

    def undo(self) -> bool:
        """Undo the last edit or refit; return whether there was one."""
        done = self.edits.undo()
        self.message.setText("Undone" if done else "Nothing to undo")
        return done

    def reset_choices(self, event: Any = None) -> None:
        """Offer the layers that the viewer holds now, and its images of strain."""
        super().reset_choices(event)
        self._offer_features()

    def select(self, feature: str, low: float, high: float) -> NDArray[np.intp]:
        """Select the columns whose feature lies between two values; return their rows."""
        self._replot()
        self.plots.of.value = feature
        return self.plots.select_range(low, high)

    def import_columns(
        self, path: str | Path, *, axes: str = "", units: str = "", origin: float = 0.0
    ) -> Points:
        """Add the columns of a file to the viewer, on the chosen image, and choose them.

        Raises
        ------
        OSError, ValueError
            See `io.read_columns`, also for `axes`, `units` and `origin`.
        """
        image = self.image
        layer = columns_files.import_columns(path, image, axes=axes, units=units, origin=origin)
        self.viewer.add_layer(layer)
        self.columns, count = layer, len(layer.data)
        if image is not None:
            self.image = image
        beyond = 0 if image is None else columns_files.outside(layer, image)
        where = f"; {beyond} lie outside of {image.name!r}: check axes and unit" if beyond else ""
        self.message.setText(f"{count} columns of {Path(path).name}{where}")
        return layer

    def export_columns(self, path: str | Path, elements: str = "") -> None:
        """Write the columns as CSV, XYZ, CIF or HDF5; see `columns_files.export_columns`."""
        layer = self.require_columns()
        columns_files.export_columns(path, layer, self.own_image(), elements)
        self.message.setText(f"{len(layer.data)} columns saved as {Path(path).name}")

    def choices(self) -> FigureChoices:
        """Return what figures show, and how."""
        return FigureChoices(
            self.form["colour_by"] or None,
            self.plots.of.value or "volume",
            self.figures.arrows.value,
            self.figures.strain.value,
            self.figures.width_mm,
        )

    def summary(self, result: Points) -> str:
        record = result.metadata[PROVENANCE][REFIT]
        count, failed = record["columns"], record["failed"]
        trouble = f"; {failed} failed: move or delete them" if failed else ""
        return f"{count} column{'s' * (count != 1)} measured on {record['source']}{trouble}"

    def _add_parts(self) -> None:
        self.legend, self.plots = Legend(), Plots()
        self.files, self.figures = columns_files.Files(), Figures()
        self.status = QLabel()
        self.status.setWordWrap(True)
        self.all_button = QPushButton("All")
        self.all_button.setToolTip("Measure all columns of the layer again")
        self.undo_button = QPushButton("Undo")
        self.undo_button.setToolTip("Undo the last edit or refit")
        self.tabs = QTabWidget()
        for name, page in zip(_PAGES, (self.plots, self.files, self.figures), strict=True):
            self.tabs.addTab(Scroll(page, self.width_of_form), name)
        self.add_body(self.legend)
        self.add_body(self.status)
        self.add_button(self.all_button)
        self.add_button(self.undo_button)
        self.add_footer(self.tabs)

    def _connect(self) -> None:
        self.tabs.currentChanged.connect(self._mark_step)
        self.all_button.clicked.connect(lambda _on: self.refit_all())
        self.undo_button.clicked.connect(lambda _on: self.undo())
        self.form.inputs["colour_by"].changed.connect(lambda _name: self._recolour())
        self.edits.edited.connect(self._changed)
        self.edits.features_changed.connect(self._changed)
        self.edits.selection_changed.connect(self._mark)
        self.plots.selected.connect(self._select)
        self.files.opened.connect(self._open)
        self.files.saved.connect(self._save)
        self.figures.asked.connect(self.draw_and_ask)
        self.viewer.events.theme.connect(self._follow_theme)

    def layer_changed(self, before: Points | None) -> None:
        self.edits.watch(self._followed)
        self.message.setText("")
        self._offer_features()
        layer = self.edits.layer
        feature = "" if layer is None else layer.metadata.get(COLOURED, "")
        known = layer is not None and feature in layer.features
        self.form["colour_by"] = feature if known else ""
        self._changed()
        self._replot()

    def _changed(self) -> None:
        """Show the columns of the layer as they are now."""
        self._offer_features()
        self._recolour()
        self._show_status()

    def _offer_features(self) -> None:
        names = [] if self.edits.layer is None else map(str, self.edits.layer.features)
        box = self.form.inputs["colour_by"]
        box.blockSignals(True)
        box.offer(_NOTHING | {name: label(name) for name in names})
        box.blockSignals(False)
        layer = self.edits.layer
        own = layer is not None and "eps_xx" in layer.features
        self.figures.offer(arrows_of(layer), strain_images(self.viewer.layers), own)

    def _recolour(self) -> None:
        layer, feature = self.edits.layer, self.form["colour_by"]
        key = Key()
        if layer is not None and (feature or layer.metadata.get(COLOURED)):
            key = colour_points(layer, feature or None)
        self.legend.show_key(key)
        self._refresh.start(50)

    def _show_status(self) -> None:
        """Show the number of columns, what was edited, and what to do next."""
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
            button.setEnabled(idle and count > 0)

    def _mark_step(self, place: int) -> None:
        """Mark the step that the page belongs to."""
        if self.step_row is not None:
            figures = place == _PAGES.index("Figures")
            self.step_row.mark("Columns", "Figures" if figures else "")

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
        self.attempt(
            lambda: self.import_columns(
                path,
                axes=files.axes.value,
                units=files.units.value,
                origin=files.origin.value(),
            )
        )

    def _save(self, path: str) -> None:
        self.attempt(lambda: self.export_columns(path, self.files.elements.text().strip()))

    def running_changed(self, running: bool) -> None:
        self._show_status()

    def _follow_theme(self, event: Any = None) -> None:
        theme = get_theme(self.viewer.theme)
        dark = sum(theme.background.as_rgb_tuple()[:3]) < sum(theme.text.as_rgb_tuple()[:3])
        selected = "#ffff00" if dark else "#c00000"
        background, text = (each.as_hex("long") for each in (theme.background, theme.text))
        self.plots.set_colours(background, text, selected)
