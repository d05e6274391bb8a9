"""A gallery of the images of a library: a page of thumbnails at a time, read in another thread."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from qtpy.QtCore import QSize, Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtGui import QIcon, QImage, QPixmap
from qtpy.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QListView,
    QListWidget,
    QListWidgetItem,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_atomseg._napari.jobs import Job
from napari_atomseg._napari.layers import contrast_limits
from napari_atomseg.progress import CancelToken, Progress, report

PAGE = 24
"""Thumbnails shown at once."""
SIDE = 72
"""Pixels of a thumbnail's longer side."""


class Gallery(QWidget):
    """Thumbnails of some samples of a library; `chosen` carries the number of one."""

    chosen = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self.job: Job | None = None
        self._library: Any = None
        self._numbers: Sequence[int] = ()
        self._page = 0
        self.list = QListWidget()
        self.list.setViewMode(QListView.ViewMode.IconMode)
        self.list.setResizeMode(QListView.ResizeMode.Adjust)
        self.list.setMovement(QListView.Movement.Static)
        self.list.setUniformItemSizes(True)
        self.list.setIconSize(QSize(SIDE, SIDE))
        self.list.setSpacing(3)
        self.list.setMinimumHeight(SIDE)
        self.list.itemActivated.connect(self._choose)
        self.position = QLabel()
        self.position.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.back = _turning("‹", "Previous page", partial(self._turn, -1))
        self.forth = _turning("›", "Next page", partial(self._turn, 1))
        pages = QHBoxLayout()
        pages.addWidget(self.back)
        pages.addWidget(self.position, 1)
        pages.addWidget(self.forth)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self.list, 1)
        layout.addLayout(pages)
        self._fill()

    @property
    def numbers(self) -> list[int]:
        """Numbers of the samples on this page."""
        first = self._page * PAGE
        return [int(number) for number in self._numbers[first : first + PAGE]]

    @property
    def selected(self) -> int | None:
        """Number of the selected sample, None if there is none."""
        row = self.list.currentRow()
        return self.numbers[row] if row >= 0 else None

    def show_samples(self, library: Any, numbers: Sequence[int]) -> None:
        """Show these samples of a library, from the first page on."""
        self._library, self._numbers, self._page = library, numbers, 0
        self._fill()

    def cancel(self) -> None:
        """Stop reading thumbnails."""
        if self.job is not None:
            self.job.cancel()

    def _turn(self, pages: int) -> None:
        self._page += pages
        self._fill()

    def _fill(self) -> None:
        numbers, total = self.numbers, len(self._numbers)
        first = self._page * PAGE
        self.back.setEnabled(self._page > 0)
        self.forth.setEnabled(first + PAGE < total)
        empty = "" if self._library is None else "no such samples"
        shown = f"{first + 1}–{first + len(numbers)} of {total}"
        self.position.setText(shown if total else empty)
        self.list.clear()
        for number in numbers:
            row = self._library.table.iloc[number]
            item = QListWidgetItem(_blank(), caption(row))
            item.setToolTip(description(row))
            self.list.addItem(item)
        self.cancel()
        if numbers:
            self.job = Job("Library", partial(_thumbnails, self._library, numbers), self._show)
            self.job.start()
            self.list.setCurrentRow(0)

    def _show(self, thumbnails: list[NDArray[np.uint8]]) -> None:
        for row, grey in enumerate(thumbnails):
            self.list.item(row).setIcon(_icon(grey))

    def _choose(self, item: QListWidgetItem) -> None:
        self.chosen.emit(self.numbers[self.list.row(item)])


def caption(row: pd.Series) -> str:
    """Return what stands below a thumbnail: the name, and the material where it is known."""
    material = row.get("material")
    return f"{row['name']}\n{material}" if isinstance(material, str) and material else row["name"]


def description(row: pd.Series) -> str:
    """Return a line for everything that the library's table says of a sample."""
    texts = {
        "material": "{}",
        "zone_axis": "[{}]",
        "field_of_view": "{:.1f} Å across",
        "energy": "{:.3g} eV",
        "dose": "dose {:.4g}",
        "psnr": "PSNR {:.1f} dB",
        "columns": "{:.0f} columns",
    }
    known = {name: row[name] for name in texts if name in row and not pd.isna(row[name])}
    return "\n".join(texts[name].format(value) for name, value in known.items() if value != "")


def thumbnail(image: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return a small grey picture of an image: the mean of blocks, in the contrast of layers."""
    step = max(1, -(-max(image.shape) // SIDE))
    rows, cols = (n // step for n in image.shape)
    blocks = image[: rows * step, : cols * step].reshape(rows, step, cols, step)
    small = blocks.mean(axis=(1, 3))
    low, high = contrast_limits(small)
    return ((small - low) / (high - low) * 255).clip(0, 255).astype(np.uint8)


def _thumbnails(
    library: Any, numbers: list[int], progress: Progress, cancel: CancelToken
) -> list[NDArray[np.uint8]]:
    pictures = []
    for done, number in enumerate(numbers):
        report(progress, cancel, done, len(numbers), "reading")
        pictures.append(thumbnail(library.image(number)))
    return pictures


def _icon(grey: NDArray[np.uint8]) -> QIcon:
    rows, cols = grey.shape
    data = np.ascontiguousarray(grey).tobytes()
    image = QImage(data, cols, rows, cols, QImage.Format.Format_Grayscale8)
    return QIcon(QPixmap.fromImage(image.copy()))


def _blank() -> QIcon:
    """Return an icon that keeps the room of a thumbnail until it is read."""
    empty = QPixmap(SIDE, SIDE)
    empty.fill(Qt.GlobalColor.transparent)
    return QIcon(empty)


def _turning(text: str, tooltip: str, turn: Any) -> QToolButton:
    button = QToolButton()
    button.setText(text)
    button.setToolTip(tooltip)
    button.clicked.connect(lambda _checked: turn())
    return button
