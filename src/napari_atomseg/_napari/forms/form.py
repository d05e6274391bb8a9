"""Forms made from settings: each is written once, as a field with its default.

The field gives the panel's input, the attribute a script sets and the argument of the core.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from inspect import get_annotations
from pathlib import Path
from textwrap import fill
from typing import Any

from magicgui.widgets import CheckBox, ComboBox
from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtGui import QIcon, QShowEvent
from qtpy.QtWidgets import (
    QAbstractSpinBox,
    QComboBox,
    QFormLayout,
    QVBoxLayout,
    QWidget,
)
from superqt import QCollapsible

from napari_atomseg._napari.forms.elided import elide
from napari_atomseg._napari.forms.inputs import ReadInput, WordInput, folder_input
from napari_atomseg._napari.forms.numbers import Numbers
from napari_atomseg.settings import Setting, Settings, fields_of

ADVANCED = "Advanced"
_TOOLTIP = 90
"""Letters in a line of a tooltip."""
_NO_LIMIT = 2**24 - 1
"""Qt's largest height of a widget, QWIDGETSIZE_MAX."""

Inputs = Mapping[str, Callable[[], Any]]
"""Functions that make the inputs of some fields, by name."""


def make_input(known: Setting) -> Any:
    """Return the input of a setting.

    Raises
    ------
    TypeError
        Values of its kind need an input of the panel's own.
    """
    if known.read is not None:
        return ReadInput(known)
    if known.choices is not None and known.length is None:
        choices = [(text, value) for value, text in known.choices.items()]
        if known.none:
            choices.insert(0, (known.none, None))
        widget: Any = ComboBox(name=known.name, choices=choices, value=known.default)
    elif known.kind is bool and known.length is None and not known.none:
        widget = CheckBox(name=known.name, text=" ", value=known.default)
    elif known.kind in (int, float) and known.length != 0:
        return Numbers(known)
    elif known.kind is str and known.length is None:
        words = WordInput(known.none, optional=bool(known.none))
        words.value = known.default
        return words
    elif known.kind is Path and known.length is None and known.none:
        return folder_input(known.none)
    else:
        raise TypeError(f"{known.name} needs an input of its own: there is none for its kind")
    make_narrow(widget.native)
    return widget


def make_narrow(native: QWidget) -> None:
    """Let an input shrink, and elide its text, so that the panel fits beside the image on a laptop.

    napari's style sheet has wide spin boxes; only another style sheet overrules it.
    """
    if isinstance(native, QComboBox):
        native.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        native.setMinimumContentsLength(6)
        native.setMinimumWidth(80)
        elide(native)
    for part in native.findChildren(QAbstractSpinBox):
        part.setButtonSymbols(QAbstractSpinBox.ButtonSymbols.NoButtons)
        part.setStyleSheet("min-width: 36px")


class Form(QWidget):
    """The inputs of one class of settings; sections of them are folded away.

    Parameters
    ----------
    settings : a class of `napari_atomseg.settings.Settings`.
    inputs : what makes the inputs of fields that need one of their own.
    """

    changed = Signal()

    def __init__(self, settings: type[Settings], inputs: Inputs | None = None) -> None:
        super().__init__()
        self._settings = settings
        self.inputs: dict[str, Any] = {}
        self.rows = form_rows()
        self.sections: dict[str, Section] = {}
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(self.rows)
        self._rows_of: dict[str, QFormLayout] = {"": self.rows}
        for name, known in _own_first(settings).items():
            make = (inputs or {}).get(name)
            if make is not None:
                self._add(known, make())
                if known.default is not None:
                    self.inputs[name].value = known.default
            else:
                self._add(known, make_input(known))
        layout.addStretch()

    def __getitem__(self, name: str) -> Any:
        return self.inputs[name].value

    def __setitem__(self, name: str, value: Any) -> None:
        self.inputs[name].value = value

    def values(self) -> Any:
        """Return the settings as they are now, as an instance of their class."""
        return self._settings(**{name: self[name] for name in self.inputs})

    def show_row(self, name: str, shown: bool) -> None:
        """Show or hide an input outside the sections and its label."""
        native = self.inputs[name].native
        native.setVisible(shown)
        label = self.rows.labelForField(native)
        if label is not None:
            label.setVisible(shown)

    def place_below(self, first: str, *names: str) -> None:
        """Move inputs outside the sections below another one, in their order."""
        rows = self.rows
        for name in reversed(names):
            taken = rows.takeRow(self.inputs[name].native)
            label, native = taken.labelItem.widget(), taken.fieldItem.widget()
            row, _ = rows.getWidgetPosition(self.inputs[first].native)
            rows.insertRow(row + 1, label, native)

    def _add(self, known: Setting, widget: Any) -> None:
        self.inputs[known.name] = widget
        if known.section not in self._rows_of:
            section = self.sections[known.section] = Section(known.section)
            section.toggled.connect(self._align_labels)
            self._rows_of[known.section] = section.rows
            self.layout().addWidget(section)
        rows = self._rows_of[known.section]
        if getattr(widget, "whole_row", False):
            rows.addRow(widget.native)
        else:
            rows.addRow(known.label, widget.native)
            rows.labelForField(widget.native).setToolTip(wrapped(known.help))
        widget.native.setToolTip(wrapped(known.help))
        widget.changed.connect(self._changed)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._align_labels()

    def _align_labels(self) -> None:
        """Give all labels that are shown one width: the inputs of all sections form one column."""
        labels = [label for rows in self._rows_of.values() for label in _labels(rows)]
        shown = [label for label in labels if label.isVisibleTo(self)]
        for label in labels:
            label.ensurePolished()
        width = max((label.sizeHint().width() for label in shown), default=0)
        for label in labels:
            label.setMinimumWidth(width)

    def _changed(self) -> None:
        self.changed.emit()


class Section(QCollapsible):
    """Rows below a title that shows and hides them; hidden at first."""

    def __init__(self, title: str) -> None:
        super().__init__(title)
        self._title, self.rows = title, form_rows()
        for layout in (self.layout(), self.content().layout()):
            layout.setContentsMargins(0, 0, 0, 0)
            layout.setSpacing(2)
        self.content().layout().addLayout(self.rows)
        self.toggleButton().setStyleSheet("text-align: left; border: none; background: none")
        self.setDuration(0)
        self.toggled.connect(self._show_rows)
        self._show_rows(False)

    def setExpandedIcon(self, icon: object = None) -> None:
        """Have no icon.

        superqt draws its own in the colours of the system, black on napari's dark theme, and takes
        an empty one for none where PySide6 says that it is false.
        """
        self._expanded_icon = QIcon()

    def setCollapsedIcon(self, icon: object = None) -> None:
        """Have no icon, see `setExpandedIcon`."""
        self._collapsed_icon = QIcon()

    def _show_rows(self, shown: bool) -> None:
        # superqt only limits the height: to 0, where Tab still reaches the inputs, or to that of
        # the moment, which cuts off rows that appear later.
        self.setText(f"{'▾' if shown else '▸'} {self._title}")
        self.content().setMaximumHeight(_NO_LIMIT)
        self.content().setVisible(shown)


def wrapped(text: str) -> str:
    """Return a text in lines that suit a tooltip, which does not wrap them itself."""
    return "\n".join(fill(line, _TOOLTIP) for line in text.splitlines())


def _own_first(settings: type[Settings]) -> dict[str, Setting]:
    """Return the settings of a class, its own before those that it inherits.

    Where it has none of its own, those of the first class that it inherits from come first.
    """
    own = next(own for kind in settings.__mro__ if (own := get_annotations(kind)))
    return dict(sorted(fields_of(settings).items(), key=lambda pair: pair[0] not in own))


def _labels(rows: QFormLayout) -> list[QWidget]:
    items = (rows.itemAt(row, QFormLayout.ItemRole.LabelRole) for row in range(rows.rowCount()))
    return [label for item in items if item is not None and (label := item.widget())]


def form_rows() -> QFormLayout:
    """Return an empty layout of labels and inputs."""
    rows = QFormLayout()
    rows.setContentsMargins(0, 0, 0, 0)
    rows.setSpacing(4)
    rows.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
    return rows
