"""A panel with columns that draws figures of them, beside the window."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from napari_atomseg._napari.columns_drawing import Choices, figure_of, make_figure, strain_images
from napari_atomseg._napari.columns_figures import Figures
from napari_atomseg._napari.columns_panel import ColumnsPanel
from napari_atomseg._napari.jobs import Job, Show, Work
from napari_atomseg._napari.layers import PROVENANCE
from napari_atomseg.io import provenance


class FiguresPanel(ColumnsPanel):
    """A panel whose figures are drawn by jobs, as large ones take seconds."""

    figures: Figures

    @abstractmethod
    def choices(self) -> Choices:
        """Return what figures show, and how."""

    def figure(self, kind: str) -> Job:
        """Draw a figure of the columns: "overlay", "vectors", "histogram" or "strain".

        The result of the job is the figure.
        """
        return self._make_figure(kind, None)

    def save_figure(self, kind: str, path: str | Path) -> Job:
        """Draw a figure and write it as PNG, SVG or PDF; see `figure` and `figures.save`."""
        return self._make_figure(kind, Path(path))

    def draw_and_ask(self, kind: str) -> None:
        """Draw a figure, show it and ask where to save it."""
        job = self.figure(kind)

        def ask() -> None:
            path = self.figures.ask(kind) if job.error is None else ""
            if path:
                self._make_figure(kind, Path(path), job.result())

        job.settled.connect(ask)

    def _make_figure(self, kind: str, path: Path | None, drawn: Figure | None = None) -> Job:
        """Draw a figure, or take the one that was drawn, and write it where there is a path."""

        def prepare() -> tuple[str, Work, Show]:
            layer, choices = self.there(), self.choices()
            strains = strain_images(self.viewer.layers)
            point = tuple(self.viewer.dims.point)
            draw = figure_of(kind, layer, self.own_image(), choices, strains, point)
            record = provenance(f"figure {kind}", layer.name, asdict(choices))
            record["columns"] = layer.metadata.get(PROVENANCE)
            work = partial(make_figure, draw if drawn is None else lambda: drawn, path, record)
            return f"Figure of {layer.name}", work, self._show_figure

        return self.begin(prepare, lambda _figure: "" if path is None else f"Saved as {path.name}")

    def _show_figure(self, made: tuple[Figure, NDArray[np.uint8]]) -> Figure:
        figure, pixels = made
        self.figures.show_pixels(pixels)
        return figure
