"""The Scan panel: lines that jitter, put back where they were taken."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.backends.backend_qtagg import FigureCanvasQTAgg
from napari.layers import Image
from qtpy.QtWidgets import QTableWidget, QTableWidgetItem, QTabWidget

from napari_atomseg._napari.image_panel import ImagePanel, LayerSettings
from napari_atomseg._napari.jobs import Show, Work
from napari_atomseg._napari.large import require_memory
from napari_atomseg._napari.layers import PROVENANCE, Source, image_layer
from napari_atomseg._napari.message import with_notes
from napari_atomseg._napari.models.choice import fetch_model
from napari_atomseg.inference.scan.settings import ScanCorrectionSettings
from napari_atomseg.io import provenance
from napari_atomseg.networks.tasks import LINE_SHIFTS
from napari_atomseg.progress import CancelToken, Progress

if TYPE_CHECKING:
    import napari.viewer

_HEIGHT = 240
"""Least height of the plot and the table, pixels."""
_BYTES = 24
"""Memory that the result takes for each pixel of a stack while it is made."""


class ScanPanelSettings(LayerSettings, ScanCorrectionSettings):
    """Settings of the Scan panel."""


class Scan(ImagePanel):
    """Puts the scan lines of the chosen image back, as a new image layer."""

    title = "Scan lines"
    Settings = ScanPanelSettings

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__(viewer)
        self.results = QTabWidget()
        self.results.setMinimumHeight(_HEIGHT)
        self.table = QTableWidget()
        self.table.setEditTriggers(QTableWidget.EditTrigger.NoEditTriggers)
        self.results.hide()
        self.add_footer(self.results)

    @staticmethod
    def tasks(settings: ScanPanelSettings) -> tuple[str, ...]:
        return (LINE_SHIFTS,)

    def prepare(self) -> tuple[str, Work, Show]:
        source = self.source()
        require_memory(source.data, _BYTES, "putting scan lines back")
        options = self.layer_options(source) | {"scan": self.form["scan"]}
        return (
            f"Scan lines of {source.title}",
            partial(_corrected, source.data, options),
            partial(self._show, source, options | source.chosen),
        )

    def summary(self, result: Image) -> str:
        return with_notes(f"Added {result.name!r}", result.metadata[PROVENANCE]["notes"])

    def _show(self, source: Source, options: dict[str, Any], made: Any) -> Image:
        record = provenance(
            "scan",
            source.name,
            options,
            model=made.model,
            sha256=made.sha256,
            inputs={"of": source.described()},
        )
        layer = image_layer(
            source.stacked(made.image),
            f"{source.title} scan lines",
            source.place.arguments(),
            record | {"notes": list(made.notes)},
        )
        (placed,) = self.put({"image": layer}, "scan", source.identity, *source.frame)
        self._show_lines(made.lines)
        return placed

    def _show_lines(self, lines: pd.DataFrame) -> None:
        """Show the plot of the lines, of the first frame of a stack, and the table of all."""
        from napari_atomseg.figures import scan_lines

        self.results.clear()
        figure = scan_lines(lines, frame=0 if "frame" in lines else None)
        self.results.addTab(FigureCanvasQTAgg(figure), "Plot")
        fill(self.table, lines)
        self.results.addTab(self.table, "Table")
        self.results.show()


def fill(table: QTableWidget, rows: pd.DataFrame) -> None:
    """Show rows in a table, numbers with three decimals."""
    table.setColumnCount(len(rows.columns))
    table.setHorizontalHeaderLabels(list(rows.columns))
    table.setRowCount(len(rows))
    for row, values in enumerate(rows.itertuples(index=False)):
        for column, value in enumerate(values):
            text = f"{value:.3f}" if isinstance(value, float | np.floating) else str(value)
            table.setItem(row, column, QTableWidgetItem(text))


def _corrected(data: Any, options: dict[str, Any], progress: Progress, cancel: CancelToken) -> Any:
    from napari_atomseg.inference import correct_scan

    model = fetch_model(options["model"], progress, cancel)
    return correct_scan(data, **options | {"model": model}, progress=progress, cancel=cancel)
