"""Figures of columns: taken from layers in the window, drawn in another thread, saved."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from napari.layers import Image, Layer, Points
from numpy.typing import NDArray
from qtpy.QtCore import Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtGui import QImage, QPixmap
from qtpy.QtWidgets import QGridLayout, QLabel, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from napari_atomseg import figures
from napari_atomseg._napari.columns.base import ColumnsLayerPanel
from napari_atomseg._napari.columns.files import ask_save_path
from napari_atomseg._napari.columns.layers import COMPONENT, drawn, table_of
from napari_atomseg._napari.forms.choices import NameOrFile
from napari_atomseg._napari.forms.form import form_rows
from napari_atomseg._napari.jobs import Job, Show, Work
from napari_atomseg._napari.layers import PROVENANCE, SAVED_FIGURES, grey_data, layer_sampling
from napari_atomseg._shared.types import Sampling
from napari_atomseg.figures.strain import NAMES as STRAINS
from napari_atomseg.figures.vectors import PAIRS
from napari_atomseg.io import provenance
from napari_atomseg.progress import CancelToken, Progress, report

KINDS = ("overlay", "vectors", "histogram", "strain")
_ARROWS = {
    "shift_y_pm": "displacements (pm)",
    "shift_y": "displacements (px)",
    "polarization_y": "polarization (µC/cm²)",
    "dy_pm": "offsets from sites (pm)",
    "dy": "offsets from sites (px)",
}
"""Names of vectors by their component along y; the most likely choices come first."""
_DPI = 150.0
"""Resolution of a figure on the screen."""


@dataclass(frozen=True)
class FigureChoices:
    """Choices of what figures show.

    Attributes
    ----------
    colour_by : feature that colours the columns of an overlay, or None.
    of : feature of the histogram.
    arrows : feature with the vectors' component along y; empty for the first one present.
    strain : key of `strain_images`; empty for the strain of the columns themselves.
    width : mm.
    """

    colour_by: str | None = None
    of: str = "volume"
    arrows: str = ""
    strain: str = ""
    width: float = 89.0


def figure_of(
    kind: str,
    layer: Points,
    image: Image | None,
    choices: FigureChoices,
    strains: Mapping[str, Mapping[str, Image]],
    point: tuple[float, ...] = (),
) -> Callable[[], Figure]:
    """Return a function that draws a figure, and may be called in another thread.

    Parameters
    ----------
    kind : one of `KINDS`.
    image : that the columns lie on; overlays need it.
    strains : see `strain_images`.
    point : world coordinates of the viewer's sliders, which choose the frame of a stack.

    Raises
    ------
    ValueError
        There is no such kind, there are no columns, or no image where one is needed.
    """
    if kind not in KINDS:
        raise ValueError(f"kind={kind!r}; choose one of {', '.join(KINDS)}")
    width = choices.width
    if kind == "strain" and choices.strain:
        maps, sampling = _maps(strains[choices.strain])
        return partial(figures.strain_map, maps, sampling=sampling, width=max(width, 120.0))
    if not len(layer.data):
        raise ValueError(f"{layer.name!r} has no columns to draw")
    shape = None if image is None else grey_data(image).shape
    table = table_of(layer, shape)
    pixels, frame = (None, None) if image is None else _picture(image, point)
    common: dict[str, Any] = {
        "sampling": layer_sampling(layer),
        "frame": frame if "frame" in table else None,
        "width": width,
    }
    if kind == "histogram":
        _check_numbers(table, choices.of)
        return partial(figures.histogram, table, choices.of, width=width)
    if kind == "strain":
        common["width"] = max(width, 120.0)
        return partial(
            figures.strain_map, table, shape=None if shape is None else shape[-2:], **common
        )
    if image is not None:
        common["contrast"] = tuple(float(each) for each in image.contrast_limits)
    if kind == "vectors":
        pair = next((pair for pair in PAIRS if pair[0] == choices.arrows), None)
        return partial(figures.vector_map, table, pixels, vectors=pair, **common)
    if pixels is None:
        raise ValueError("an overlay needs the image of the columns: choose it above")
    feature = choices.colour_by if choices.colour_by in table else None
    return partial(figures.overlay, pixels, table, colour_by=feature, **common)


def arrows_of(layer: Points | None) -> dict[str, str]:
    """Return the names of the vectors of a layer by their component along y."""
    features = set() if layer is None else set(layer.features)
    there = [y for y, x in PAIRS if {y, x} <= features]
    order = [name for name in _ARROWS if name in there]
    order += [name for name in there if name not in order]
    return {name: _ARROWS.get(name, name) for name in order}


def strain_images(layers: Iterable[Layer]) -> dict[str, dict[str, Image]]:
    """Return images of strain by measurement, the latest first, and by component."""
    found: dict[str, dict[str, Image]] = {}
    for layer in layers:
        record = layer.metadata.get(PROVENANCE, {})
        component = layer.metadata.get(COMPONENT)
        if drawn(layer) and component in STRAINS and isinstance(layer, Image):
            phase = record["settings"]["measure"] == "gpa"
            way = "geometric phase" if phase else "positions"
            key = f"{way}, {record['source']}, {record['created'][11:19]}"
            found.setdefault(key, {})[component] = layer
    return dict(reversed(found.items()))


def make_figure(
    draw: Callable[[], Figure],
    path: Path | None,
    record: Mapping[str, Any],
    progress: Progress,
    cancel: CancelToken,
) -> tuple[Figure, NDArray[np.uint8]]:
    """Return a figure and its pixels (H, W, 4), and write it where there is a path."""
    report(progress, cancel, 0, 3, "Drawing the figure")
    figure = draw()
    report(progress, cancel, 1, 3, "Drawing the figure")
    figure.set_dpi(_DPI)
    canvas: Any = figure.canvas
    canvas.draw()
    pixels = np.array(canvas.buffer_rgba())
    if path is not None:
        report(progress, cancel, 2, 3, "Writing the figure")
        figures.save(figure, path, metadata=record)
    return figure, pixels


def _check_numbers(table: pd.DataFrame, of: str) -> None:
    if of in table and not pd.api.types.is_numeric_dtype(table[of]):
        raise ValueError(f"{of!r} holds kinds, not numbers: plot another feature")


def _picture(image: Image, point: tuple[float, ...]) -> tuple[Any, int | None]:
    """Return the shown frame and its number."""
    data = grey_data(image)
    leading = tuple(data.shape[:-2])
    if not leading:
        return data, None
    at = image.world_to_data(point[-image.ndim :]) if len(point) >= image.ndim else ()
    index = tuple(
        int(np.clip(round(float(each)), 0, size - 1))
        for each, size in zip(at[: len(leading)] or (0,) * len(leading), leading, strict=True)
    )
    return data[index], int(np.ravel_multi_index(index, leading))


def _maps(images: Mapping[str, Image]) -> tuple[dict[str, NDArray[Any]], Sampling | None]:
    """Strain by component as fractions (layers show per cent), and the sampling."""
    maps = {}
    for name in STRAINS:
        if name in images:
            data = np.asarray(images[name].data)
            maps[name] = data.reshape(data.shape[-2:]) / (1.0 if "rotation" in name else 100.0)
    return maps, layer_sampling(next(iter(images.values())))


class FiguresPanel(ColumnsLayerPanel):
    """A panel whose figures are drawn by jobs, as large ones take seconds."""

    figures: Figures

    @abstractmethod
    def choices(self) -> FigureChoices:
        """Return the choices of what figures show."""

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
            layer, choices = self.require_columns(), self.choices()
            strains = strain_images(self.viewer.layers)
            point = tuple(self.viewer.dims.point)
            draw = figure_of(kind, layer, self.own_image(), choices, strains, point)
            record = provenance(f"figure {kind}", layer.name, asdict(choices))
            record["columns"] = layer.metadata.get(PROVENANCE)
            work = partial(make_figure, draw if drawn is None else lambda: drawn, path, record)
            return f"Figure of {layer.name}", work, partial(self._show_figure, layer, path)

        return self.begin(prepare, lambda _figure: "" if path is None else f"Saved as {path.name}")

    def _show_figure(
        self, layer: Points, path: Path | None, made: tuple[Figure, NDArray[np.uint8]]
    ) -> Figure:
        figure, pixels = made
        if path is not None:
            layer.metadata[SAVED_FIGURES] = [*layer.metadata.get(SAVED_FIGURES, ()), str(path)]
        self.figures.show_pixels(pixels)
        return figure


FIGURES = {
    "overlay": ("Overlay", "Columns on their image, coloured as above"),
    "vectors": ("Vector map", "Displacements or polarization as arrows; measure them first"),
    "histogram": ("Histogram", "Histogram of the plotted feature"),
    "strain": ("Strain map", "Strain and rotation as colours; measure them first"),
}
WIDTHS = {"89": "one column, 89 mm", "120": "120 mm", "183": "two columns, 183 mm"}
NO_ARROWS = {"": "none measured yet"}
OWN_STRAIN = {"": "the columns"}
_KINDS = {"PNG": "*.png", "SVG": "*.svg", "PDF": "*.pdf"}


class Figures(QWidget):
    """A button for each figure, its options, and a preview of the last one.

    `asked` carries the kind of figure whose button was pressed.
    """

    asked = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.width_box = NameOrFile(WIDTHS)
        self.width_box.setToolTip("Width of the figure on paper")
        self.arrows, self.strain = NameOrFile(NO_ARROWS), NameOrFile(OWN_STRAIN)
        self.arrows.setToolTip("Quantity that the arrows of the vector map show")
        self.strain.setToolTip(
            "Source of the strain map: the columns, or images of strain that Measure added,\n"
            "such as those of geometric phase analysis"
        )
        rows = form_rows()
        rows.addRow("Width", self.width_box)
        rows.addRow("Arrows", self.arrows)
        rows.addRow("Strain of", self.strain)
        self.buttons: dict[str, QPushButton] = {}
        grid = QGridLayout()
        grid.setSpacing(4)
        for place, (kind, (text, about)) in enumerate(FIGURES.items()):
            button = self.buttons[kind] = QPushButton(f"{text} …")
            button.setToolTip(f"{about}; saved as PNG, SVG or PDF")
            button.clicked.connect(lambda _on, kind=kind: self.asked.emit(kind))
            grid.addWidget(button, place // 2, place % 2)
        self.preview = _Preview()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(2, 4, 2, 2)
        layout.addLayout(rows)
        layout.addLayout(grid)
        layout.addWidget(self.preview, 1)

    @property
    def width_mm(self) -> float:
        """Width of the figures, mm."""
        return float(self.width_box.value)

    def offer(self, arrows: dict[str, str], strains: Iterable[str], own: bool) -> None:
        """Offer vectors and images of strain.

        Parameters
        ----------
        own : whether the columns have strain themselves.
        """
        self.arrows.offer(arrows or NO_ARROWS)
        before, images = self.strain.value, {name: name for name in strains}
        self.strain.offer(OWN_STRAIN | images)
        if not own and not before and images:
            self.strain.value = next(iter(images))

    def show_pixels(self, pixels: NDArray[np.uint8]) -> None:
        """Show a figure (H, W, 4) below the buttons."""
        height, width = pixels.shape[:2]
        kind = QImage.Format.Format_RGBA8888
        self.preview.show_pixmap(
            QPixmap.fromImage(QImage(pixels.tobytes(), width, height, 4 * width, kind).copy())
        )

    def ask(self, kind: str) -> str:
        """Ask for the file of a figure; empty for none."""
        return ask_save_path(self, FIGURES[kind][0], kind, _KINDS)


class _Preview(QLabel):
    """A picture, scaled to the room available."""

    def __init__(self) -> None:
        super().__init__("Each button draws its figure here\nand asks where to save it.")
        self.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.setWordWrap(True)
        self.setMinimumSize(120, 120)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Ignored)
        self._pixmap: QPixmap | None = None

    def show_pixmap(self, pixmap: QPixmap) -> None:
        self._pixmap = pixmap
        self._fit()

    def resizeEvent(self, event: Any) -> None:
        """Scale the picture to the new size."""
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        if self._pixmap is not None:
            self.setPixmap(
                self._pixmap.scaled(
                    self.size(),
                    Qt.AspectRatioMode.KeepAspectRatio,
                    Qt.TransformationMode.SmoothTransformation,
                )
            )
