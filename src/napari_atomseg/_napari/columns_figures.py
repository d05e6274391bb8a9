"""Figures for papers, each by one button."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtGui import QImage, QPixmap
from qtpy.QtWidgets import QGridLayout, QLabel, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from napari_atomseg._napari.choices import NameOrFile
from napari_atomseg._napari.columns_files import ask_where
from napari_atomseg._napari.form import form_rows

FIGURES = {
    "overlay": ("Overlay", "The columns on their image, coloured as above"),
    "vectors": ("Vector map", "Displacements or polarization as arrows: measure them first"),
    "histogram": ("Histogram", "How often values of the plotted feature occur"),
    "strain": ("Strain map", "Strain and rotation in colours: measure them first"),
}
WIDTHS = {"89": "one column, 89 mm", "120": "120 mm", "183": "two columns, 183 mm"}
NO_ARROWS = {"": "none measured yet"}
OWN_STRAIN = {"": "the columns"}
_KINDS = {"PNG": "*.png", "SVG": "*.svg", "PDF": "*.pdf"}


class Figures(QWidget):
    """A button a figure, what it shows, its width, and the last figure.

    `asked` has the kind of figure whose button was pressed.
    """

    asked = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.width_box = NameOrFile(WIDTHS)
        self.width_box.setToolTip("Width of the figure on paper")
        self.arrows, self.strain = NameOrFile(NO_ARROWS), NameOrFile(OWN_STRAIN)
        self.arrows.setToolTip("What the arrows of the vector map are")
        self.strain.setToolTip(
            "What the strain map shows: strain of the columns, or images of strain that Measure\n"
            "added, such as those of geometric phase analysis"
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
        """Offer the vectors and the images of strain that there are.

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
        self.preview.take(
            QPixmap.fromImage(QImage(pixels.tobytes(), width, height, 4 * width, kind).copy())
        )

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
