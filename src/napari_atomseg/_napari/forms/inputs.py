"""Inputs of forms: folders, words that may be left out, bounds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from magicgui.types import FileDialogMode
from magicgui.widgets import FileEdit
from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import (
    QAbstractSpinBox,
    QDoubleSpinBox,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QWidget,
)

from napari_atomseg.settings import Setting, written

Bounds = tuple[float | None, float | None]
NO_FOLDER = "choose a folder"
"""Shown in place of a folder."""


def folder_input(placeholder: str) -> FileEdit:
    """Return an input of a folder, None while it is empty, which shows the placeholder."""
    edit = FileEdit(mode=FileDialogMode.EXISTING_DIRECTORY, nullable=True)
    edit.choose_btn.text, edit.choose_btn.tooltip = "…", "Choose a folder"
    edit.line_edit.native.setPlaceholderText(placeholder)
    edit.line_edit.native.setMinimumWidth(60)
    return edit


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


class ReadInput(QLineEdit):
    """A text that a setting reads, such as the indices of a direction.

    What cannot be read is handed over as it is, so that the check of the settings names the fault.
    An empty line means None where the setting accepts it, and shows what that means.
    """

    changed = Signal(object)

    def __init__(self, known: Setting) -> None:
        super().__init__()
        self.native = self
        self._known = known
        self.setMinimumWidth(60)
        self.setPlaceholderText(known.none)
        self._write(known.default)
        self.editingFinished.connect(lambda: self.changed.emit(self.value))

    @property
    def value(self) -> Any:
        """What the text means, or the text where it has no meaning."""
        if self._known.none and not self.text().strip():
            return None
        try:
            return self._known.checked(str(self.text()))
        except (ValueError, TypeError):
            return str(self.text())

    @value.setter
    def value(self, value: Any) -> None:
        before = self.value
        self._write(value)
        if self.value != before:
            self.changed.emit(self.value)

    def _write(self, value: Any) -> None:
        self.setText("" if value is None else written(value))


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


def chosen_folder(folder: Path | None) -> Path:
    """Return the folder of an input; raises ValueError if none is chosen."""
    if folder is None:
        raise ValueError("choose a folder first")
    return folder.expanduser()
