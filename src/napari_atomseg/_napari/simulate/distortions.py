"""A list of distortions: any kind can be added, its ranges become numbers."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from math import sqrt
from typing import Any, Literal, get_args, get_origin

from magicgui.widgets import ComboBox
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

from napari_atomseg._napari.forms.form import form_rows, make_narrow
from napari_atomseg._napari.forms.numbers import Numbers
from napari_atomseg.settings import Setting

_COUNTS = {"counts": (100.0, 100.0)}
"""Electrons a pixel for kinds that must be told how many."""
_FACTOR = 10.0
"""A range that spans more than this factor is moved through by factors."""


@cache
def distortion_kinds() -> dict[str, Any]:
    """Return every kind of distortion, by name."""
    from napari_atomseg.distortion import AnyDistortion

    union = get_args(AnyDistortion)[0]
    return {kind.model_fields["kind"].default: kind for kind in get_args(union)}


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
        self._tell()

    def showEvent(self, event: QShowEvent) -> None:
        """Offer the kinds when they are first seen: knowing them takes a while."""
        super().showEvent(event)
        if self._add.count() == 1:
            for kind in distortion_kinds():
                self._add.addItem(kind.replace("_", " "), kind)

    def activate(self, kind: str) -> None:
        """Add a distortion of a kind, as choosing it in the list does."""
        self._append({"kind": kind, **_needed(kind)})
        self._tell()

    def _choose(self, place: int) -> None:
        kind = self._add.itemData(place)
        self._add.setCurrentIndex(0)
        if kind is not None:
            self.activate(kind)

    def _append(self, distortion: Mapping[str, Any]) -> None:
        item = DistortionItem(distortion)
        self.items.append(item)
        self._column.insertWidget(self._column.count() - 1, item)
        item.changed.connect(self._tell)
        item.removed.connect(lambda: self._remove(item))

    def _remove(self, item: DistortionItem) -> None:
        self._drop(item)
        self._tell()

    def _drop(self, item: DistortionItem) -> None:
        self.items.remove(item)
        self._column.removeWidget(item)
        item.setParent(None)
        item.deleteLater()

    def _tell(self) -> None:
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
        for field, known in _shown(kind, distortion).items():
            self._add(rows, field, known, distortion.get(field))

    @property
    def value(self) -> dict[str, Any]:
        """The distortion as a recipe writes it."""
        numbers = {}
        for name, widget in self._inputs.items():
            value = widget.value
            numbers[name] = (value, value) if isinstance(value, float) else value
        return self._kept | numbers

    def _add(self, rows: QFormLayout, name: str, known: Any, value: Any) -> None:
        if get_origin(known.annotation) is Literal:
            choices = [(text, text) for text in get_args(known.annotation)]
            widget: Any = ComboBox(choices=choices, value=value or known.default)
            make_narrow(widget.native)
        else:
            low, high = known.default or value
            usual = (low, high) if low < high else (min(0.0, 2 * low), max(0.0, 2 * low) or 1.0)
            logarithmic = usual[0] > 0 and usual[1] > _FACTOR * usual[0]
            middle = sqrt(low * high) if logarithmic else (low + high) / 2
            number = float(value[0] if value else f"{middle:.3g}")
            widget = Numbers(
                Setting(number, name, "", usual=usual, logarithmic=logarithmic, kind=float)
            )
        widget.changed.connect(self._tell)
        self._inputs[name] = widget
        rows.addRow(name.replace("_", " "), widget.native)

    def _tell(self) -> None:
        self.changed.emit()


def _needed(kind: str) -> dict[str, Any]:
    """Return what a kind cannot do without."""
    try:
        distortion_kinds()[kind]()
    except ValueError:
        return dict(_COUNTS)
    return {}


def _shown(kind: Any, distortion: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that have an input: words of a choice, and ranges, given as one number."""
    fields = {}
    for name, known in kind.model_fields.items():
        word = get_origin(known.annotation) is Literal and name != "kind"
        given = distortion.get(name)
        span = given or known.default
        pair = tuple[float, float] in (known.annotation, *get_args(known.annotation))
        if word or (pair and span and (given is None or given[0] == given[1])):
            fields[name] = known
    return fields
