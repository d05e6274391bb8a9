"""Results of a measurement: summary, plot, species that can be named, tables."""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.backends.backend_qtagg import FigureCanvasQTAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from qtpy.QtCore import Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtGui import QFontMetrics
from qtpy.QtWidgets import (
    QAbstractItemView,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QPlainTextEdit,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from napari_atomseg._napari.forms.choices import NameOrFile
from napari_atomseg.figures.canvas import SEQUENTIAL
from napari_atomseg.figures.density import density_grid, highest
from napari_atomseg.figures.tables import label
from napari_atomseg.measurements.report import ImageMarks, Plot, Report

COLOURS = ("#009ade", "#ffa23f", "#6fd36f")
_SMALL = 7
"""Points of type."""
_MOST_ROWS = 500
"""More rows are not listed, but saved."""
_BINS = 40
_COARSE = 36
"""Squares across a density in the panel."""
_FIXED = ("sublattice", "columns", "intensity")
"""What is listed of a species beside its name."""


class Headline(QLabel):
    """The result of a measurement in one large line, which can be copied."""

    def __init__(self) -> None:
        super().__init__()
        self.setWordWrap(True)
        self.setTextFormat(Qt.TextFormat.RichText)
        self.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.hide()

    def show_report(self, report: Report) -> None:
        """Show the headline of a report, and below it what it rests on."""
        first, small = html.escape(report.headline), html.escape(report.footnote)
        self.setText(
            f"<span style='font-size: large'><b>{first}</b></span><br><small>{small}</small>"
        )
        self.setVisible(bool(report.headline))


class Results(QTabWidget):
    """Summary, plot, species and tables of the last measurement.

    `renamed` has a sublattice and the new name of its species, `saving` what is to be saved,
    "table" or "model", and the path.
    """

    renamed = Signal(int, str)
    saving = Signal(str, str)

    def __init__(self) -> None:
        super().__init__()
        self.text = QPlainTextEdit()
        self.text.setReadOnly(True)
        self.text.setPlaceholderText("Run a measurement to see its results here.")
        self.images = NameOrFile({"": "no image"})
        self.images.setToolTip("The image that is shown; the others are hidden")
        self.figure = Figure(layout="constrained")
        self.canvas = FigureCanvasQTAgg(self.figure)
        self.species = QTableWidget()
        self.species.setToolTip("Double-click a name to give the species another one")
        self.table = QTableWidget()
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.which = NameOrFile({"": "no table"})
        self.which.setToolTip("The table that is listed and saved")
        self.table_button = QPushButton("Save CSV …")
        self.table_button.setToolTip("Save the table that is listed, with all its rows and columns")
        self.model_button = QPushButton("Save 3-D model …")
        self.model_button.setToolTip("Save the start model as CIF or XYZ")
        self.tables: dict[str, pd.DataFrame] = {}
        self._text_colour = "white"
        self._plot: Plot | None = None
        self.setMinimumHeight(110)
        self._lay_out()
        self.which.changed.connect(self._list)
        self.species.itemChanged.connect(self._rename)
        self.table_button.clicked.connect(lambda _on: self._ask("table", "Tables (*.csv)"))
        self.model_button.clicked.connect(lambda _on: self._ask("model", "Atoms (*.cif *.xyz)"))
        self.clear_results()

    def _lay_out(self) -> None:
        summary = QWidget()
        layout = QVBoxLayout(summary)
        layout.setContentsMargins(2, 2, 2, 2)
        layout.addWidget(self.text, 1)
        layout.addWidget(self.images)
        layout.addWidget(self.model_button)
        tables = QWidget()
        row = QHBoxLayout()
        row.addWidget(self.which, 1)
        row.addWidget(self.table_button)
        layout = QVBoxLayout(tables)
        layout.setContentsMargins(2, 2, 2, 2)
        layout.addLayout(row)
        layout.addWidget(self.table, 1)
        self.addTab(summary, "Summary")
        self.addTab(self.canvas, "Plot")
        self.addTab(self.species, "Species")
        self.addTab(tables, "Tables")
        for table in (self.species, self.table):
            table.verticalHeader().setVisible(False)

    def clear_results(self) -> None:
        """Show nothing."""
        self.show_report(Report(()))

    def show_report(self, report: Report, note: str = "") -> None:
        """Show a report."""
        caption = ["", *report.caption] if report.caption else []
        self.text.setPlainText("\n".join([note] * bool(note) + list(report.lines) + caption))
        self.model_button.setVisible(report.atoms is not None)
        images = [mark for mark in reversed(report.marks) if isinstance(mark, ImageMarks)]
        self.images.offer({mark.name: mark.label for mark in images} or {"": "no image"})
        self.images.setVisible(len(images) > 1)
        self._plot = report.plot
        self._draw()
        self._show_species(report.sublattices)
        self.tables = dict(report.tables)
        if report.columns is not None and report.features:
            places = [name for name in ("frame", "y", "x") if name in report.columns]
            self.tables["Columns"] = report.columns[[*places, *report.features]]
        self.which.offer({name: name for name in self.tables} or {"": "no table"})
        self._list()
        shown = (True, report.plot is not None, report.sublattices is not None, bool(self.tables))
        for tab, there in enumerate(shown):
            self.setTabVisible(tab, there)
        self.setCurrentIndex(0)

    def set_colours(self, text: str, background: str) -> None:
        """Take the colours of napari's theme."""
        self._text_colour = text
        self.figure.set_facecolor(background)
        self._draw()

    def _draw(self) -> None:
        self.figure.clear()
        plot = self._plot
        if plot is not None:
            both = plot.density is not None
            axes = self.figure.add_subplot(1, 2, 2) if both else self.figure.add_subplot()
            _curves(axes, plot)
            self._colour(axes, plot.x_label, plot.y_label)
            if plot.density is not None:
                beside = self.figure.add_subplot(1, 2, 1)
                values, extent = highest(*density_grid(plot.density), most=_COARSE)
                beside.imshow(values, cmap=SEQUENTIAL, extent=extent, vmin=0.0)
                self._colour(beside, f"x ({plot.unit})", f"y ({plot.unit})")
            if len(plot.values) > 1:
                axes.legend(fontsize=_SMALL, frameon=False, labelcolor=self._text_colour)
        self.canvas.draw_idle()

    def _colour(self, axes: Any, x_label: str, y_label: str) -> None:
        axes.set_facecolor("none")
        axes.set_xlabel(x_label, color=self._text_colour, fontsize=_SMALL + 1)
        axes.set_ylabel(y_label, color=self._text_colour, fontsize=_SMALL + 1)
        axes.tick_params(colors=self._text_colour, labelsize=_SMALL)
        for axis in (axes.xaxis, axes.yaxis):
            axis.get_offset_text().set(color=self._text_colour, fontsize=_SMALL)
        for spine in axes.spines.values():
            spine.set_color(self._text_colour)

    def _show_species(self, kinds: pd.DataFrame | None) -> None:
        self.species.blockSignals(True)
        if kinds is None:
            self.species.setRowCount(0)
        else:
            names = ["species", *_FIXED]
            _fill(self.species, kinds[names])
            for row in range(len(kinds)):
                item = self.species.item(row, 0)
                item.setFlags(item.flags() | Qt.ItemFlag.ItemIsEditable)
        self.species.blockSignals(False)

    def _rename(self, item: QTableWidgetItem) -> None:
        if item.column() == 0:
            kind = int(self.species.item(item.row(), 1).text())
            self.renamed.emit(kind, item.text().strip())

    def _list(self, _name: object = None) -> None:
        table = self.tables.get(self.which.value)
        if table is None:
            self.table.setRowCount(0)
        else:
            _fill(self.table, table.head(_MOST_ROWS))

    def _ask(self, what: str, files: str) -> None:
        suffix = ".csv" if what == "table" else ".cif"
        name = f"{self.which.value or what}{suffix}".lower()
        path, _ = QFileDialog.getSaveFileName(self, "Save", name, files)
        if path:
            self.saving.emit(what, path if Path(path).suffix else f"{path}{suffix}")


def _curves(axes: Any, plot: Plot) -> None:
    lines = all(isinstance(values, tuple) for values in plot.values.values())
    edges: Any = None
    if not lines:
        every = np.concatenate([np.asarray(each, float) for each in plot.values.values()])
        every = every[np.isfinite(every)]
        edges = np.histogram_bin_edges(every, "fd") if len(every) else np.array([0.0, 1.0])
        if not 8 <= len(edges) <= _BINS:
            edges = np.histogram_bin_edges(every, int(np.clip(len(edges), 8, _BINS)))
    for (name, values), colour in zip(plot.values.items(), COLOURS, strict=False):
        if lines:
            axes.plot(*values, color=colour, label=name, marker=".", linewidth=1.2)
        else:
            axes.hist(values, edges, color=colour, alpha=0.7, label=name)
    if lines and all(np.all(np.mod(x, 1) == 0) for x, _ in plot.values.values()):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if plot.marked is not None:
        axes.axvline(plot.marked, color="#ff4040", linewidth=1.0, linestyle="--")


def _fill(table: QTableWidget, rows: pd.DataFrame) -> None:
    table.setColumnCount(len(rows.columns))
    table.setHorizontalHeaderLabels([label(str(name)) for name in rows.columns])
    table.setRowCount(len(rows))
    for place, (_, row) in enumerate(rows.iterrows()):
        for column, value in enumerate(row):
            item = QTableWidgetItem(_text(value))
            item.setFlags(item.flags() & ~Qt.ItemFlag.ItemIsEditable)
            table.setItem(place, column, item)
    metrics = QFontMetrics(table.font())
    table.verticalHeader().setDefaultSectionSize(metrics.height() + 6)
    table.resizeColumnsToContents()


def _text(value: Any) -> str:
    if isinstance(value, (float, np.floating)):
        return "" if not np.isfinite(value) else f"{value:.5g}"
    return "" if pd.isna(value) else str(value)
