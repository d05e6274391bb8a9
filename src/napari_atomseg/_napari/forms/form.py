"""Forms made from settings: each is written once, as a field with its default.

The field gives the panel's input, the attribute a script sets and the argument of the core.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from textwrap import fill
from typing import TYPE_CHECKING, Any

from magicgui.widgets import CheckBox, ComboBox, create_widget
from pydantic import BaseModel
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

from napari_atomseg._napari.forms.inputs import WordInput
from napari_atomseg._napari.forms.numbers import Numbers
from napari_atomseg.settings import Setting, fields_of

if TYPE_CHECKING:
    from napari_atomseg.simulation.arguments import Argument

ADVANCED = "Advanced"
_TOOLTIP = 90
"""Letters in a line of a tooltip."""

Inputs = Mapping[str, Callable[[], Any]]
"""Functions that make the inputs of some fields, by name."""


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


def make_input(known: Setting) -> Any:
    """Return the input of a setting.

    Raises
    ------
    TypeError
        Values of its kind need an input of the panel's own.
    """
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
    else:
        raise TypeError(f"{known.name} needs an input of its own: there is none for its kind")
    make_narrow(widget.native)
    return widget


def _option_input(about: Mapping[str, Any], known: Setting) -> Any:
    choices: Callable[[], Any] | Any = about["choices"]
    options = dict(about["limits"])
    decimals = options.pop("decimals", None)
    if choices is not None:
        options["choices"] = (lambda _widget: choices()) if callable(choices) else choices
        widget: Any = ComboBox(name=known.name, **options)
        if known.default is not None:
            widget.value = known.default
    else:
        if isinstance(known.default, tuple):
            options = {"options": options}
        elif isinstance(known.default, bool):
            options["text"] = " "
        widget = create_widget(value=known.default, name=known.name, options=options)
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
    """The inputs of one class of settings; sections of them are folded away.

    Parameters
    ----------
    settings : a class of `napari_atomseg.settings.Settings`.
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
        fields = _dataclass_fields(settings)
        for name, known in _own_first(settings).items():
            make = (inputs or {}).get(name)
            if make is not None:
                self._add(known, make())
                if known.default is not None:
                    self.inputs[name].value = known.default
            elif "label" in fields.get(name, {}):
                self._add(known, _option_input(fields[name], known))
                if fields[name]["lowest"]:
                    self._nullable.add(name)
            else:
                self._add(known, make_input(known))
        layout.addStretch()

    def __getitem__(self, name: str) -> Any:
        widget = self.inputs[name]
        nothing = name in self._nullable and widget.value == widget.min
        return None if nothing else widget.value

    def __setitem__(self, name: str, value: Any) -> None:
        widget = self.inputs[name]
        widget.value = widget.min if value is None and name in self._nullable else value

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

    def _add(self, known: Setting, widget: Any) -> None:
        self.inputs[known.name] = widget
        if known.section not in self._rows_of:
            section = self.sections[known.section] = Section(known.section)
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
        """Give all labels one width, so that the inputs of all sections stand in one column."""
        super().showEvent(event)
        if self.sections:
            labels = [label for rows in self._rows_of.values() for label in _labels(rows)]
            for label in labels:
                label.ensurePolished()
            width = max(label.sizeHint().width() for label in labels)
            for label in labels:
                label.setMinimumWidth(width)

    def _changed(self) -> None:
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


def wrapped(text: str) -> str:
    """Return a text in lines that suit a tooltip, which does not wrap them itself."""
    return "\n".join(fill(line, _TOOLTIP) for line in text.splitlines())


def settings_of(settings: type[Any]) -> dict[str, Setting]:
    """Return the settings of a class by name."""
    if issubclass(settings, BaseModel):
        return fields_of(settings)
    return {field.name: _setting(field) for field in dataclasses.fields(settings)}


def _setting(field: dataclasses.Field[Any]) -> Setting:
    """Return the setting of a field made by `option` or `argument`."""
    known: Argument | None = field.metadata.get("argument")
    if known is None:
        label, help, section = (field.metadata[key] for key in ("label", "tooltip", "section"))
        return Setting(field.default, label, help, section=section, name=field.name)
    default: Any = field.default
    several = isinstance(default, tuple)
    value = (default or (object(),))[0] if several else default
    return Setting(
        field.default,
        known.label,
        known.help,
        unit=known.unit,
        limits=known.accepted,
        usual=known.usual,
        logarithmic=known.logarithmic,
        choices=known.choices,
        none=known.nothing,
        section=known.section,
        name=field.name,
        kind=float if value is None else type(value),
        length=len(default) if several else None,
    )


def _dataclass_fields(settings: type[Any]) -> dict[str, Mapping[str, Any]]:
    if issubclass(settings, BaseModel):
        return {}
    return {field.name: field.metadata for field in dataclasses.fields(settings)}


def _own_first(settings: type[Any]) -> dict[str, Setting]:
    """Return the settings of a class, its own before those that it inherits."""
    own = settings.__annotations__
    every = settings_of(settings)
    return dict(sorted(every.items(), key=lambda pair: pair[0] not in own))


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
