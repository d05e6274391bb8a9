"""Boxes to tick: which of several things are wanted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QCheckBox, QGridLayout, QWidget

_COLUMNS = 2


class TickList(QWidget):
    """A box for each of some names; the value holds those that are ticked, in their order."""

    changed = Signal(object)

    def __init__(self, names: Mapping[str, str], tooltips: Mapping[str, str]) -> None:
        super().__init__()
        self.native = self
        self.boxes: dict[str, QCheckBox] = {}
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(2)
        for place, (name, text) in enumerate(names.items()):
            box = self.boxes[name] = QCheckBox(text)
            box.setToolTip(tooltips.get(name, ""))
            box.toggled.connect(lambda _ticked: self.changed.emit(self.value))
            grid.addWidget(box, place // _COLUMNS, place % _COLUMNS)

    @property
    def value(self) -> tuple[str, ...]:
        """Names that are ticked."""
        return tuple(name for name, box in self.boxes.items() if box.isChecked())

    @value.setter
    def value(self, names: Sequence[str]) -> None:
        unknown = [name for name in names if name not in self.boxes]
        if unknown:
            raise ValueError(f"{unknown[0]!r} is none of {', '.join(self.boxes)}")
        for name, box in self.boxes.items():
            box.setChecked(name in names)

    def setToolTip(self, text: str) -> None:
        """Keep the boxes' own."""
