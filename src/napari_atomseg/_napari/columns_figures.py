"""Figures for papers, each by one button."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from napari.layers import Image, Points
from numpy.typing import NDArray
from qtpy.QtCore import Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtGui import QImage, QPixmap
from qtpy.QtWidgets import QGridLayout, QLabel, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from napari_atomseg import figures
from napari_atomseg._napari.choices import NameOrFile
from napari_atomseg._napari.columns_files import ask_where
from napari_atomseg._napari.columns_table import table_of
from napari_atomseg._napari.form import form_rows
from napari_atomseg._napari.layers import layer_sampling

FIGURES = {
    "overlay": ("Overlay", "The columns on their image, coloured as above"),
    "vectors": ("Vector map", "Displacements or polarization as arrows: measure them first"),
    "histogram": ("Histogram", "How often values of the plotted feature occur"),
    "strain": ("Strain map", "Strain and rotation in colours: measure them first"),
}
WIDTHS = {"89": "one column, 89 mm", "120": "120 mm", "183": "two columns, 183 mm"}
_KINDS = {"PNG": "*.png", "SVG": "*.svg", "PDF": "*.pdf"}


def draw(
    kind: str,
    layer: Points,
    image: Image | None = None,
    *,
    colour_by: str | None = None,
    of: str = "volume",
    width: float = 89.0,
    point: tuple[float, ...] = (),
) -> Figure:
    """Return a figure of a layer of columns, drawn by one call of `napari_atomseg.figures`.

    Parameters
    ----------
    kind : one of `FIGURES`.
    image : that the columns lie on; overlays need it.
    colour_by : feature that colours the columns of an overlay.
    of : feature of a histogram.
    width : mm.
    point : world coordinates of what is shown, which say the frame of a stack.

    Raises
    ------
    ValueError
        The columns have nothing of the kind, or there is no image where one is needed.
    """
    if kind not in FIGURES:
        raise ValueError(f"kind={kind!r}; choose one of {', '.join(FIGURES)}")
    if not len(layer.data):
        raise ValueError(f"{layer.name!r} has no columns to draw")
    shape = None if image is None else np.shape(image.data[0] if image.multiscale else image.data)
    table = table_of(layer, shape)
    pixels, frame = (None, None) if image is None else _picture(image, point)
    frame = frame if "frame" in table else None
    sampling = layer_sampling(layer)
    if kind == "histogram":
        return figures.histogram(_numeric(table, of), of, width=width)
    if kind == "strain":
        size = None if pixels is None else (pixels.shape[0], pixels.shape[1])
        return figures.strain_map(
            table, shape=size, sampling=sampling, frame=frame, width=max(width, 120.0)
        )
    common: dict[str, Any] = {"sampling": sampling, "frame": frame, "width": width}
    if image is not None:
        common["contrast"] = tuple(float(each) for each in image.contrast_limits)
    if kind == "vectors":
        return figures.vector_map(table, pixels, **common)
    if pixels is None:
        raise ValueError("an overlay needs the image of the columns: choose it above")
    feature = colour_by if colour_by and colour_by in table else None
    return figures.overlay(pixels, table, colour_by=feature, **common)


def picture(figure: Figure, dpi: float = 150.0) -> QPixmap:
    """Return a figure as it looks on the screen."""
    figure.set_dpi(dpi)
    canvas: Any = figure.canvas
    canvas.draw()
    rgba = np.asarray(canvas.buffer_rgba())
    height, width = rgba.shape[:2]
    image = QImage(rgba.tobytes(), width, height, 4 * width, QImage.Format.Format_RGBA8888)
    return QPixmap.fromImage(image.copy())


def _numeric(table: pd.DataFrame, of: str) -> pd.DataFrame:
    if of in table and not pd.api.types.is_numeric_dtype(table[of]):
        raise ValueError(f"{of!r} holds kinds, not numbers: plot another feature")
    return table


def _picture(image: Image, point: tuple[float, ...]) -> tuple[NDArray[Any], int | None]:
    """Return the frame that is shown, and its number."""
    data = image.data[0] if image.multiscale else image.data
    leading = tuple(data.shape[:-2])
    if not leading:
        return np.asarray(data), None
    at = image.world_to_data(point[-image.ndim :]) if len(point) >= image.ndim else ()
    index = tuple(
        int(np.clip(round(float(each)), 0, size - 1))
        for each, size in zip(at[: len(leading)] or (0,) * len(leading), leading, strict=True)
    )
    return np.asarray(data[index]), int(np.ravel_multi_index(index, leading))


class Figures(QWidget):
    """A button a figure, its width, and the last figure.

    `asked` has the kind of figure whose button was pressed.
    """

    asked = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.width_box = NameOrFile(WIDTHS)
        self.width_box.setToolTip("Width of the figure on paper")
        rows = form_rows()
        rows.addRow("Width", self.width_box)
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

    def show_figure(self, figure: Figure) -> None:
        """Show a figure below the buttons."""
        self.preview.take(picture(figure))

    def ask(self, kind: str) -> str:
        """Ask for the file of a figure; empty for none."""
        return ask_where(self, FIGURES[kind][0], kind, _KINDS)


class _Preview(QLabel):
    """A picture, as large as there is room."""

    def __init__(self) -> None:
        super().__init__("Each button draws its figure here\nand asks where to save it.")
        self.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.setWordWrap(True)
        self.setMinimumSize(120, 120)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Ignored)
        self._whole: QPixmap | None = None

    def take(self, whole: QPixmap) -> None:
        self._whole = whole
        self._fit()

    def resizeEvent(self, event: Any) -> None:
        """Fit the picture into the room that there is."""
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        if self._whole is not None:
            self.setPixmap(
                self._whole.scaled(
                    self.size(),
                    Qt.AspectRatioMode.KeepAspectRatio,
                    Qt.TransformationMode.SmoothTransformation,
                )
            )
