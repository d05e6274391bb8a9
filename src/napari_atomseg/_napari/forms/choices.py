"""A choice between names, and files of the user's own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from qtpy.QtCore import QSignalBlocker, Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QComboBox, QFileDialog, QWidget

from napari_atomseg._napari.forms.elided import elide

CRYSTAL_FILES = "Crystals (*.cif *.xyz *.vasp *.pdb);;All (*)"
"""File filter of a dialog for structure files."""
_BROWSE = object()


class NameOrFile(QComboBox):
    """Offers names, the files that were chosen before, and a dialog for another file.

    Parameters
    ----------
    names : the values that can be chosen, and their texts.
    files : what the dialog shows, such as "Crystals (*.cif *.xyz)"; without it only names can be
        chosen.
    """

    changed = Signal(object)

    def __init__(self, names: Mapping[str, str], files: str = "") -> None:
        super().__init__()
        self.native = self
        self._files = files
        self._names = tuple(names)
        for value, text in names.items():
            self.addItem(text, value)
        if files:
            self.addItem("Open a file …", _BROWSE)
        self._last = 0
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(6)
        self.setMinimumWidth(80)
        elide(self)
        self.currentIndexChanged.connect(self._choose)

    @property
    def value(self) -> Any:
        """The choice: a name, the path of a file, or an object that a script has set."""
        return self.itemData(self._last)

    @value.setter
    def value(self, value: Any) -> None:
        known = str(value) if isinstance(value, Path) else value
        place = self._place(known)
        if place is None:
            if not self._files:
                raise ValueError(f"{value!r} is none of {', '.join(map(repr, self._values()))}")
            place = self.count() - 1
            with QSignalBlocker(self):
                self.insertItem(place, _text(known), known)
                self.setCurrentIndex(self._last)
        self.setCurrentIndex(place)

    def offer(self, names: Mapping[str, str]) -> None:
        """Offer other names; files that were chosen stay, and the first name stands for one that
        is gone.
        """
        chosen = self.value
        gone = [n for n in self._names if n not in names]
        with QSignalBlocker(self):
            for value in gone:
                self.removeItem(self._values().index(value))
            for place, (value, text) in enumerate(names.items()):
                if value not in self._values():
                    self.insertItem(place, text, value)
            self._names = tuple(names)
            self._last = self._place(chosen) or 0
            self.setCurrentIndex(self._last)
        if self.value != chosen:
            self.changed.emit(self.value)

    def _values(self) -> list[Any]:
        every = (self.itemData(place) for place in range(self.count()))
        return [value for value in every if value is not _BROWSE]

    def _place(self, value: Any) -> int | None:
        for place, item in enumerate(self._values()):
            if item is value or (
                isinstance(value, str) and isinstance(item, str) and item == value
            ):
                return place
        return None

    def _choose(self, place: int) -> None:
        if self.itemData(place) is not _BROWSE:
            self._last = place
            self.changed.emit(self.value)
            return
        with QSignalBlocker(self):
            self.setCurrentIndex(self._last)
        name = ask_for_file(self, self._files)
        if name:
            self.value = name

    def showPopup(self) -> None:
        """Open the list wide enough for its longest text."""
        view = self.view()
        view.setMinimumWidth(view.sizeHintForColumn(0) + view.verticalScrollBar().width())
        super().showPopup()

    def wheelEvent(self, event: Any) -> None:
        """Leave the wheel to the form, which scrolls."""
        event.ignore()


def ask_for_file(parent: QWidget, files: str) -> str:
    """Return the path of a file that the user chooses; empty if none."""
    name, _ = QFileDialog.getOpenFileName(parent, "Open a file", "", files)
    return str(name)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return Path(value).name
    formula = getattr(value, "get_chemical_formula", None)
    return str(formula()) if formula is not None else str(value)
