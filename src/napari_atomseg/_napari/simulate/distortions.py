"""A list of distortions: any kind can be added, its ranges become numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import sqrt
from typing import Any

from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import (
    QComboBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_atomseg._napari.forms.form import form_rows, make_input, make_narrow
from napari_atomseg._napari.forms.numbers import Numbers
from napari_atomseg.settings import Setting, fields_of

_COUNTS = {"counts": (100.0, 100.0)}
"""Electrons a pixel for kinds that must be told how many."""
_FACTOR = 10.0
"""A range that spans more than this factor is moved through by factors."""


def distortion_kinds() -> dict[str, Any]:
    """Return the class of every kind of distortion, by name; the first call imports torch."""
    from napari_atomseg.distortion import KINDS

    return dict(KINDS)


class DistortionList(QWidget):
    """Distortions that follow each other, each with its numbers and a button that removes it."""

    changed = Signal(object)
    whole_row = True
    """Takes the room of its label too."""

    def __init__(self) -> None:
        super().__init__()
        self.native = self
        self.items: list[DistortionItem] = []
        self._add = QComboBox()
        self._add.addItem("Add a distortion …", None)
        self._add.activated.connect(self._choose)
        make_narrow(self._add)
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(4)
        self._column.addWidget(self._add)

    @property
    def value(self) -> tuple[dict[str, Any], ...]:
        """The distortions as a recipe writes them; set it to such or to distortions."""
        return tuple(item.value for item in self.items)

    @value.setter
    def value(self, distortions: Any) -> None:
        for item in list(self.items):
            self._drop(item)
        for one in distortions:
            self._append(one if isinstance(one, Mapping) else one.model_dump(exclude_unset=True))
        self._emit()

    def showEvent(self, event: QShowEvent) -> None:
        """Offer the kinds when they are first seen: knowing them takes a while."""
        super().showEvent(event)
        if self._add.count() == 1:
            for kind in distortion_kinds():
                self._add.addItem(kind.replace("_", " "), kind)

    def activate(self, kind: str) -> None:
        """Add a distortion of a kind, as choosing it in the list does."""
        self._append({"kind": kind, **_needed(kind)})
        self._emit()

    def _choose(self, place: int) -> None:
        kind = self._add.itemData(place)
        self._add.setCurrentIndex(0)
        if kind is not None:
            self.activate(kind)

    def _append(self, distortion: Mapping[str, Any]) -> None:
        item = DistortionItem(distortion)
        self.items.append(item)
        self._column.insertWidget(self._column.count() - 1, item)
        item.changed.connect(self._emit)
        item.removed.connect(lambda: self._remove(item))

    def _remove(self, item: DistortionItem) -> None:
        self._drop(item)
        self._emit()

    def _drop(self, item: DistortionItem) -> None:
        self.items.remove(item)
        self._column.removeWidget(item)
        item.setParent(None)
        item.deleteLater()

    def _emit(self) -> None:
        self.changed.emit(self.value)


class DistortionItem(QWidget):
    """One distortion. What its inputs cannot show, such as a range with two ends, it keeps."""

    changed = Signal()
    removed = Signal()

    def __init__(self, distortion: Mapping[str, Any]) -> None:
        super().__init__()
        name = distortion.get("kind")
        if name not in distortion_kinds():
            raise ValueError(f"kind={name!r}; choose one of {', '.join(distortion_kinds())}")
        kind = distortion_kinds()[name]
        self._kept = dict(distortion)
        self._inputs: dict[str, Any] = {}
        title = QLabel(name.replace("_", " "))
        title.setToolTip((kind.__doc__ or "").splitlines()[0])
        remove = QToolButton()
        remove.setText("✕")
        remove.setToolTip("Remove this distortion")
        remove.clicked.connect(self.removed)
        head = QHBoxLayout()
        head.addWidget(title, 1)
        head.addWidget(remove)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 4)
        column.setSpacing(2)
        column.addLayout(head)
        rows = form_rows()
        column.addLayout(rows)
        for known in _shown(kind, distortion):
            self._add(rows, known, distortion.get(known.name))

    @property
    def value(self) -> dict[str, Any]:
        """The distortion as a recipe writes it."""
        numbers = {}
        for name, widget in self._inputs.items():
            value = widget.value
            numbers[name] = (value, value) if isinstance(value, float) else value
        return self._kept | numbers

    def _add(self, rows: QFormLayout, known: Setting, value: Any) -> None:
        widget = make_input(known) if known.choices is not None else _number(known, value)
        if known.choices is not None and value is not None:
            widget.value = value
        widget.changed.connect(self._emit)
        self._inputs[known.name] = widget
        rows.addRow(known.label, widget.native)
        for part in (widget.native, rows.labelForField(widget.native)):
            part.setToolTip(known.help)

    def _emit(self) -> None:
        self.changed.emit()


def _needed(kind: str) -> dict[str, Any]:
    """Return what a kind cannot do without."""
    try:
        distortion_kinds()[kind]()
    except ValueError:
        return dict(_COUNTS)
    return {}


def _shown(kind: Any, distortion: Mapping[str, Any]) -> list[Setting]:
    """Return the settings that have an input: choices, and ranges that are given as one number."""
    shown = []
    for name, known in fields_of(kind).items():
        given = distortion.get(name)
        is_range = (known.kind, known.length) == (float, 2) and (given or known.default)
        if known.choices is not None or (is_range and (given is None or given[0] == given[1])):
            shown.append(known)
    return shown


def _number(known: Setting, value: Any) -> Numbers:
    """Return the input of one number in a range; its slider covers the range by default."""
    low, high = known.default or value
    usual = (low, high) if low < high else (min(0.0, 2 * low), max(0.0, 2 * low) or 1.0)
    logarithmic = usual[0] > 0 and usual[1] > _FACTOR * usual[0]
    middle = sqrt(low * high) if logarithmic else (low + high) / 2
    number = float(value[0] if value else f"{middle:.3g}")
    return Numbers(
        replace(known, default=number, usual=usual, logarithmic=logarithmic, none="", length=None)
    )
