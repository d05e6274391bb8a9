"""Forms made from dataclasses: each setting is written once, as a field with its default.

The field gives the panel's input, the attribute a script sets and the argument of the core.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from magicgui.widgets import CheckBox, ComboBox, create_widget
from qtpy.QtCore import Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import (
    QAbstractSpinBox,
    QComboBox,
    QFormLayout,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_atomseg._napari.forms.numbers import Numbers

if TYPE_CHECKING:
    from napari_atomseg.simulation.arguments import Argument

ADVANCED = "Advanced"

Inputs = Mapping[str, Callable[[], Any]]
"""What makes the inputs of some fields, by name."""


def option(
    default: Any,
    label: str,
    tooltip: str,
    *,
    unit: str = "",
    lowest: str = "",
    choices: Any = None,
    advanced: bool = False,
    **limits: Any,
) -> Any:
    """Return a dataclass field that knows its input.

    Parameters
    ----------
    unit : shown behind a float.
    lowest : shown instead of the lowest number, which then stands for None.
    choices : pairs (text, value), or a function without arguments that returns them.
    advanced : whether it hides in the section that is folded away.
    limits : `min`, `max`, `step` and `decimals` of a number.
    """
    metadata = {
        "label": label,
        "tooltip": tooltip,
        "unit": unit,
        "lowest": lowest,
        "choices": choices,
        "section": ADVANCED if advanced else "",
        "limits": limits,
    }
    return dataclasses.field(default=default, metadata=metadata)


def make_input(field: dataclasses.Field[Any]) -> Any:
    """Return the input of a field made by `option`, or by `argument`."""
    known: Argument | None = field.metadata.get("argument")
    return _option_input(field) if known is None else _argument_input(known, field)


def _argument_input(known: Argument, field: dataclasses.Field[Any]) -> Any:
    if known.choices is not None:
        choices = [(text, value) for value, text in known.choices.items()]
        widget: Any = ComboBox(name=field.name, choices=choices, value=field.default)
    elif isinstance(field.default, bool):
        widget = CheckBox(name=field.name, text=" ", value=field.default)
    else:
        return Numbers(known, field.default)
    make_narrow(widget.native)
    return widget


def _option_input(field: dataclasses.Field[Any]) -> Any:
    about = field.metadata
    choices: Callable[[], Any] | Any = about["choices"]
    options = dict(about["limits"])
    decimals = options.pop("decimals", None)
    if choices is not None:
        options["choices"] = (lambda _widget: choices()) if callable(choices) else choices
        widget: Any = ComboBox(name=field.name, **options)
        if field.default is not None:
            widget.value = field.default
    else:
        if isinstance(field.default, tuple):
            options = {"options": options}
        elif isinstance(field.default, bool):
            options["text"] = " "
        widget = create_widget(value=field.default, name=field.name, options=options)
    make_narrow(widget.native)
    if isinstance(widget.native, QAbstractSpinBox):
        box: Any = widget.native
        box.setKeyboardTracking(False)
        if decimals is not None:
            box.setDecimals(decimals)
        if about["unit"]:
            box.setSuffix(f" {about['unit']}")
        if about["lowest"]:
            box.setSpecialValueText(about["lowest"])
    return widget


def make_narrow(native: QWidget) -> None:
    """Let an input shrink, so that the panel fits beside the image on a laptop.

    napari's style sheet has wide spin boxes; only another style sheet overrules it.
    """
    if isinstance(native, QComboBox):
        native.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        native.setMinimumContentsLength(6)
        native.setMinimumWidth(80)
    for part in native.findChildren(QAbstractSpinBox):
        part.setButtonSymbols(QAbstractSpinBox.ButtonSymbols.NoButtons)
        part.setStyleSheet("min-width: 36px")


class Form(QWidget):
    """The inputs of one settings dataclass; sections of them are folded away.

    Parameters
    ----------
    settings : dataclass whose fields are made by `option` or by `argument`.
    inputs : what makes the inputs of fields that need one of their own.
    """

    changed = Signal()

    def __init__(self, settings: type, inputs: Inputs | None = None) -> None:
        super().__init__()
        self._settings = settings
        self.inputs: dict[str, Any] = {}
        self._nullable = set[str]()
        self.rows = form_rows()
        self.sections: dict[str, Section] = {}
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(self.rows)
        self._rows_of: dict[str, QFormLayout] = {"": self.rows}
        for field in _own_fields_first(settings):
            self._add(field, (inputs or {}).get(field.name, partial(make_input, field)))
            if field.name in (inputs or {}):
                self.inputs[field.name].value = field.default
        layout.addStretch()

    def __getitem__(self, name: str) -> Any:
        widget = self.inputs[name]
        nothing = name in self._nullable and widget.value == widget.min
        return None if nothing else widget.value

    def __setitem__(self, name: str, value: Any) -> None:
        widget = self.inputs[name]
        widget.value = widget.min if value is None and name in self._nullable else value

    def values(self) -> Any:
        """Return the settings as they are now, as an instance of the dataclass."""
        return self._settings(**{name: self[name] for name in self.inputs})

    def show_row(self, name: str, shown: bool) -> None:
        """Show or hide an input outside the sections and its label."""
        native = self.inputs[name].native
        native.setVisible(shown)
        label = self.rows.labelForField(native)
        if label is not None:
            label.setVisible(shown)

    def _add(self, field: dataclasses.Field[Any], make: Callable[[], Any]) -> None:
        label, tooltip, name = _texts(field)
        widget = self.inputs[field.name] = make()
        if field.metadata.get("lowest"):
            self._nullable.add(field.name)
        if name not in self._rows_of:
            section = self.sections[name] = Section(name)
            self._rows_of[name] = section.rows
            self.layout().addWidget(section)
        rows = self._rows_of[name]
        if getattr(widget, "whole_row", False):
            rows.addRow(widget.native)
        else:
            rows.addRow(label, widget.native)
            rows.labelForField(widget.native).setToolTip(tooltip)
        widget.native.setToolTip(tooltip)
        widget.changed.connect(self._tell)

    def showEvent(self, event: QShowEvent) -> None:
        """Give all labels one width, so that the inputs of all sections stand in one column."""
        super().showEvent(event)
        if self.sections:
            labels = [label for rows in self._rows_of.values() for label in _labels(rows)]
            for label in labels:
                label.ensurePolished()
            width = max(label.sizeHint().width() for label in labels)
            for label in labels:
                label.setMinimumWidth(width)

    def _tell(self) -> None:
        self.changed.emit()


class Section(QWidget):
    """Rows below a button that shows and hides them; hidden at first."""

    def __init__(self, title: str) -> None:
        super().__init__()
        self.rows = form_rows()
        self._content = QWidget()
        self._content.setLayout(self.rows)
        self.button = QToolButton()
        self.button.setText(title)
        self.button.setCheckable(True)
        self.button.setAutoRaise(True)
        self.button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.button.toggled.connect(self._unfold)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self.button)
        layout.addWidget(self._content)
        self._unfold(False)

    def _unfold(self, shown: bool) -> None:
        arrow = Qt.ArrowType.DownArrow if shown else Qt.ArrowType.RightArrow
        self.button.setArrowType(arrow)
        self._content.setVisible(shown)


def tooltip(field: dataclasses.Field[Any]) -> str:
    """Return what is said about a field."""
    return _texts(field)[1]


def _texts(field: dataclasses.Field[Any]) -> tuple[str, str, str]:
    """Return label, tooltip and section of a field."""
    known: Argument | None = field.metadata.get("argument")
    if known is not None:
        return known.label, known.help, known.section
    return tuple(field.metadata[key] for key in ("label", "tooltip", "section"))


def _own_fields_first(settings: type) -> list[dataclasses.Field[Any]]:
    own = settings.__annotations__
    return sorted(dataclasses.fields(settings), key=lambda field: field.name not in own)


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
