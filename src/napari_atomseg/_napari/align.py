"""The Align panel: frames of one field laid on each other, and averaged."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.backends.backend_qtagg import FigureCanvasQTAgg
from napari.layers import Image
from napari.utils.transforms import Affine
from qtpy.QtWidgets import QTableWidget, QTabWidget

from napari_atomseg._napari.image_panel import LayerPanel, SamplingSettings
from napari_atomseg._napari.jobs import Show, Work
from napari_atomseg._napari.large import require_memory
from napari_atomseg._napari.layers import PROVENANCE, Placement, Source, image_layer
from napari_atomseg._napari.message import with_notes
from napari_atomseg._napari.scan import fill
from napari_atomseg.alignment.settings import AVERAGE, AlignSettings
from napari_atomseg.io import provenance
from napari_atomseg.progress import CancelToken, Progress
from napari_atomseg.settings import setting

if TYPE_CHECKING:
    import napari.viewer

    from napari_atomseg.alignment import Alignment

_HEIGHT = 240
"""Least height of the plot and the tables, pixels."""
_BYTES = 32
"""Memory that aligning takes for each pixel of a stack."""


class AlignPanelSettings(SamplingSettings, AlignSettings):
    """Settings of the Align panel."""

    aligned: bool = setting(
        False, "Aligned stack", "Also show all frames at their places, as a stack."
    )
    error: bool = setting(
        False, "Standard error", "Also show the standard error of each pixel of the average."
    )


class Align(LayerPanel):
    """Lays the frames of the chosen stack on each other, and adds their average."""

    title = "Align"
    Settings = AlignPanelSettings

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__(viewer)
        self.results = QTabWidget()
        self.results.setMinimumHeight(_HEIGHT)
        self.table, self.line_table = QTableWidget(), QTableWidget()
        for table in (self.table, self.line_table):
            table.setEditTriggers(QTableWidget.EditTrigger.NoEditTriggers)
        self.results.hide()
        self.add_footer(self.results)

    def images(self) -> list[Image]:
        return [layer for layer in super().images() if layer.ndim > 2]

    def prepare(self) -> tuple[str, Work, Show]:
        if self.image is None:
            raise ValueError(
                "there is no stack to align: open one, or select the images and choose Merge to "
                "Stack in the menu of the layer list"
            )
        source = self.source()
        require_memory(source.data, _BYTES, "aligning")
        options = {name: self.form[name] for name in AlignSettings.model_fields}
        options["sampling"] = self.sampling_of(source)
        more = (self.form["aligned"], self.form["error"])
        return (
            f"Align {source.name}",
            partial(_aligned, source.data, options, self.form["aligned"]),
            partial(self._show, source, options, more),
        )

    def summary(self, result: Image) -> str:
        return with_notes(f"Added {result.name!r}", result.metadata[PROVENANCE]["notes"])

    def _show(
        self, source: Source, options: dict[str, Any], more: tuple[bool, bool], made: Any
    ) -> Image:
        done, stack = made
        inputs = {"of": source.described()}
        record = provenance("align", source.name, options, inputs=inputs) | done.record()
        record |= {"notes": list(done.notes)}
        place = _flat(source.placement, done.origin)

        def layer(data: Any, name: str, where: Placement) -> Image:
            own = record | {"part": name}
            return image_layer(data, f"{source.name} {name}", where.arguments(), own)

        made_layers = {}
        if more[1]:
            made_layers["standard error"] = layer(done.standard_error, "standard error", place)
        if stack is not None:
            whole = _stacked(source.placement, done.origin)
            made_layers["aligned"] = layer(stack, "aligned", whole)
        made_layers[AVERAGE] = layer(done.average, AVERAGE, place)
        *_, average = self.put(made_layers, "align", source.identity)
        self._show_shifts(done)
        return average

    def _show_shifts(self, made: Alignment) -> None:
        """Show the shifts as a plot and a table, and the table of the lines where there is one."""
        from napari_atomseg.figures import frame_shifts

        self.results.clear()
        self.results.addTab(FigureCanvasQTAgg(frame_shifts(made.shifts)), "Plot")
        fill(self.table, made.shifts)
        self.results.addTab(self.table, "Shifts")
        if made.lines is not None:
            fill(self.line_table, made.lines)
            self.results.addTab(self.line_table, "Lines")
        self.results.show()


def _flat(place: Placement, origin: tuple[int, int]) -> Placement:
    """Placement (2-D) of an average that begins at a pixel (y, x) of the frames of a stack."""
    moved = _stacked(place, origin)
    matrix = np.eye(3)
    matrix[:2, :2] = np.asarray(place.affine)[-3:-1, -3:-1]
    matrix[:2, 2] = np.asarray(place.affine)[-3:-1, -1]
    turn = np.asarray(place.rotate)
    shear = Affine(shear=place.shear, ndim=len(place.scale)).linear_matrix[-2:, -2:]
    return replace(
        moved,
        scale=moved.scale[-2:],
        translate=moved.translate[-2:],
        rotate=turn[-2:, -2:],
        shear=np.asarray(shear),
        affine=matrix,
        units=tuple(place.units)[-2:],
        axis_labels=tuple(place.axis_labels)[-2:],
    )


def _stacked(place: Placement, origin: tuple[int, int]) -> Placement:
    """Placement of frames that begin at a pixel (y, x) of those of a stack."""
    first = np.zeros(len(place.scale))
    first[-2:] = origin
    own = Affine(
        scale=place.scale, translate=place.translate, rotate=place.rotate, shear=place.shear
    )
    return replace(place, translate=np.asarray(own(first)))


def _aligned(
    data: Any, options: dict[str, Any], stack: bool, progress: Progress, cancel: CancelToken
) -> Any:
    from napari_atomseg.alignment import align

    made = align(np.asarray(data), **options, progress=progress, cancel=cancel)
    return made, made.stack() if stack else None
