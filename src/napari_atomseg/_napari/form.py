"""Forms made from dataclasses: each setting is written once, as a field with its default.

The field gives the panel's input, the attribute a script sets and the argument of the core.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from magicgui.widgets import ComboBox, create_widget
from magicgui.widgets.bases import ValueWidget
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QAbstractSpinBox,
    QComboBox,
    QFormLayout,
    QToolButton,
    QVBoxLayout,
    QWidget,
)


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
        "advanced": advanced,
        "limits": limits,
    }
    return dataclasses.field(default=default, metadata=metadata)


def make_input(field: dataclasses.Field[Any]) -> ValueWidget[Any]:
    """Return the magicgui widget of a field made by `option`."""
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
    widget.native.setToolTip(about["tooltip"])
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
    return widget  # type: ignore[no-any-return]


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
    """The inputs of one settings dataclass; advanced ones are folded away."""

    def __init__(self, settings: type) -> None:
        super().__init__()
        self._settings = settings
        self.inputs: dict[str, Any] = {}
        self._nullable = {f.name for f in dataclasses.fields(settings) if f.metadata["lowest"]}
        self.rows = _rows()
        self.advanced = QWidget()
        folded = _rows()
        self.advanced.setLayout(folded)
        for field in _own_fields_first(settings):
            widget = self.inputs[field.name] = make_input(field)
            rows = folded if field.metadata["advanced"] else self.rows
            rows.addRow(field.metadata["label"], widget.native)
            rows.labelForField(widget.native).setToolTip(field.metadata["tooltip"])
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(self.rows)
        if folded.rowCount():
            layout.addWidget(_unfolding(self.advanced))
            layout.addWidget(self.advanced)
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


def _own_fields_first(settings: type) -> list[dataclasses.Field[Any]]:
    own = settings.__annotations__
    return sorted(dataclasses.fields(settings), key=lambda field: field.name not in own)


def _rows() -> QFormLayout:
    rows = QFormLayout()
    rows.setContentsMargins(0, 0, 0, 0)
    rows.setSpacing(4)
    rows.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
    return rows


def _unfolding(content: QWidget) -> QToolButton:
    """Return a button that shows and hides `content`, which starts hidden."""
    button = QToolButton()
    button.setText("Advanced")
    button.setCheckable(True)
    button.setAutoRaise(True)
    button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
    button.setArrowType(Qt.ArrowType.RightArrow)

    def unfold(shown: bool) -> None:
        button.setArrowType(Qt.ArrowType.DownArrow if shown else Qt.ArrowType.RightArrow)
        content.setVisible(shown)

    button.toggled.connect(unfold)
    content.setVisible(False)
    return button
