"""Inputs of forms that magicgui has none of: folders, words that may be left out, bounds."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import (
    QAbstractSpinBox,
    QDoubleSpinBox,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QToolButton,
    QWidget,
)

Bounds = tuple[float | None, float | None]


class FolderInput(QWidget):
    """A folder: its path, and a button that asks for it."""

    changed = Signal(str)

    def __init__(self, placeholder: str = "choose a folder") -> None:
        super().__init__()
        self.native = self
        self._path = QLineEdit()
        self._path.setPlaceholderText(placeholder)
        self._path.setMinimumWidth(60)
        self._path.textChanged.connect(self.changed)
        self.button = QToolButton()
        self.button.setText("…")
        self.button.setToolTip("Choose a folder")
        self.button.clicked.connect(self._ask)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self._path, 1)
        layout.addWidget(self.button)

    @property
    def value(self) -> str:
        """Path of the folder, empty if none is chosen."""
        return str(self._path.text().strip())

    @value.setter
    def value(self, folder: str | Path) -> None:
        self._path.setText(str(folder))

    def _ask(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Choose a folder", self.value)
        if folder:
            self.value = folder


class WordInput(QLineEdit):
    """A few words.

    Parameters
    ----------
    placeholder : shown in an empty line.
    optional : whether an empty line means None.
    """

    changed = Signal(str)

    def __init__(self, placeholder: str = "", optional: bool = False) -> None:
        super().__init__()
        self.native = self
        self._optional = optional
        self.setPlaceholderText(placeholder)
        self.setMinimumWidth(60)
        self.textChanged.connect(self.changed)

    @property
    def value(self) -> str | None:
        """The words without space around them."""
        words = str(self.text().strip())
        return None if self._optional and not words else words

    @value.setter
    def value(self, words: str | None) -> None:
        self.setText(words or "")


class BoundsInput(QWidget):
    """Lowest and highest value of a quantity; either may be left open."""

    changed = Signal(object)

    def __init__(self, lowest: float, highest: float, unit: str) -> None:
        super().__init__()
        self.native = self
        self._boxes = (_box(lowest, highest, unit), _box(lowest, highest, unit))
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self._boxes[0], 1)
        layout.addWidget(QLabel("–"))
        layout.addWidget(self._boxes[1], 1)
        for box in self._boxes:
            box.valueChanged.connect(lambda _value: self.changed.emit(self.value))

    @property
    def value(self) -> Bounds:
        """Lowest and highest value, None where open."""
        low, high = (
            None if box.value() == box.minimum() else float(box.value()) for box in self._boxes
        )
        return low, high

    @value.setter
    def value(self, bounds: Bounds) -> None:
        for box, bound in zip(self._boxes, bounds, strict=True):
            box.setValue(box.minimum() if bound is None else bound)


def _box(lowest: float, highest: float, unit: str) -> QDoubleSpinBox:
    """Return a spin box whose lowest number is below `lowest` and shows as "any"."""
    box = QDoubleSpinBox()
    box.setRange(lowest - 1.0, highest)
    box.setValue(lowest - 1.0)
    box.setSpecialValueText("any")
    box.setSuffix(f" {unit}" if unit else "")
    box.setDecimals(1)
    box.setKeyboardTracking(False)
    box.setButtonSymbols(QAbstractSpinBox.ButtonSymbols.NoButtons)
    box.setStyleSheet("min-width: 36px")
    return box


def chosen_folder(folder: str) -> Path:
    """Return the folder of an input; raises ValueError if none is chosen."""
    if not folder:
        raise ValueError("choose a folder first")
    return Path(folder).expanduser()
