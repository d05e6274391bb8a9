"""Inputs of numbers: boxes that show no needless zeros, with a slider for the usual range."""

from __future__ import annotations

from math import floor, inf, isinf, log10
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QSignalBlocker, Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtGui import QValidator
from qtpy.QtWidgets import QDoubleSpinBox, QHBoxLayout, QSizePolicy, QSlider, QWidget

if TYPE_CHECKING:
    from napari_atomseg.simulation.arguments import Argument

_DECIMALS = 6
_LARGEST = 1e12
"""Stands for infinity in a box."""
_STEPS = 100
"""Steps of a slider, about."""
_FACTOR_DIGITS = 3
_BESIDE_SLIDER = 88
"""Pixels of text in a box beside a slider."""
_ALONE = 30
_WIDEST = 1000


class Box(QDoubleSpinBox):
    """A box for a number, whole or not; the largest one may stand for infinity."""

    def __init__(self, known: Argument, default: float) -> None:
        super().__init__()
        low, high = known.accepted
        self._whole = isinstance(default, int)
        self._endless = isinf(high)
        self._nothing = known.nothing
        self.setDecimals(0 if self._whole else _DECIMALS)
        self.setRange(max(low, -_LARGEST), min(high, _LARGEST))
        if known.logarithmic:
            self.setStepType(QDoubleSpinBox.StepType.AdaptiveDecimalStepType)
        elif known.usual is not None:
            self.setSingleStep(_nice_step(*known.usual))
        if known.unit:
            self.setSuffix(f" {known.unit}")
        if known.nothing:
            self.setSpecialValueText(known.nothing)
        self.setKeyboardTracking(False)
        self.setButtonSymbols(QDoubleSpinBox.ButtonSymbols.NoButtons)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.number = default

    @property
    def number(self) -> Any:
        """The value: an int, a float, infinity, or None where nothing is a choice."""
        value = self.value()
        if self._nothing and value == self.minimum():
            return None
        if self._endless and value == self.maximum():
            return inf
        return int(value) if self._whole else value

    @number.setter
    def number(self, value: float | None) -> None:
        self.setValue(self.minimum() if value is None else min(value, _LARGEST))

    def limit_width(self, lowest: int, highest: int) -> None:
        """Take so many pixels; only a style sheet overrules napari's, which has wide boxes."""
        self.setStyleSheet(f"min-width: {lowest}px; max-width: {highest}px; padding: 1px 4px")

    def textFromValue(self, value: float) -> str:
        """Return the number without zeros at its end."""
        if self._endless and value == self.maximum():
            return "∞"
        text: str = super().textFromValue(value)
        point = self.locale().decimalPoint()
        return text.rstrip("0").rstrip(point) if point in text else text

    def valueFromText(self, text: str) -> float:
        """Return the number that was typed."""
        return self.maximum() if "∞" in text else super().valueFromText(text)

    def validate(self, text: str, place: int) -> Any:
        """Accept infinity too."""
        if self._endless and "∞" in text:
            return QValidator.State.Acceptable, text, place
        return super().validate(text, place)

    def wheelEvent(self, event: Any) -> None:
        """Leave the wheel to the form unless the box is in use."""
        event.ignore() if not self.hasFocus() else super().wheelEvent(event)


class Slider(QSlider):
    """Moves through the usual range of an argument, by steps or by factors."""

    def __init__(self, known: Argument) -> None:
        super().__init__(Qt.Orientation.Horizontal)
        self._low, self._high = known.usual or (0.0, 1.0)
        self._logarithmic = known.logarithmic
        self._first = 1 if known.nothing else 0
        step = _nice_step(self._low, self._high)
        self._count = _STEPS if known.logarithmic else round((self._high - self._low) / step)
        self.setRange(0, self._first + self._count)
        self.setMinimumWidth(40)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)

    @property
    def number(self) -> float | None:
        """The number that the slider stands at."""
        if self.value() < self._first:
            return None
        part = (self.value() - self._first) / self._count
        if not self._logarithmic:
            return round(self._low + part * (self._high - self._low), _DECIMALS)
        number = self._low * (self._high / self._low) ** part
        return round(number, _FACTOR_DIGITS - 1 - floor(log10(number)))

    def show_number(self, number: float | None) -> None:
        """Move to a number, or to the end that is nearest to it, and tell nobody."""
        place = 0
        if number is not None:
            number = min(max(number, self._low), self._high)
            if self._logarithmic:
                part = log10(number / self._low) / log10(self._high / self._low)
            else:
                part = (number - self._low) / (self._high - self._low)
            place = self._first + round(part * self._count)
        with QSignalBlocker(self):
            self.setValue(place)

    def wheelEvent(self, event: Any) -> None:
        """Leave the wheel to the form, which scrolls."""
        event.ignore()


class Numbers(QWidget):
    """An input of one number, with a slider if its range is known, or of several."""

    changed = Signal(object)

    def __init__(self, known: Argument, default: Any) -> None:
        super().__init__()
        self.native = self
        self._several = isinstance(default, tuple)
        each = default if self._several else (default,)
        self.boxes = [Box(known, value) for value in each]
        self.slider = Slider(known) if known.usual and not self._several else None
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(4)
        if self.slider is not None:
            self.slider.show_number(default)
            self.slider.valueChanged.connect(self._slide)
            row.addWidget(self.slider, 1)
        for box in self.boxes:
            lowest = _ALONE if self.slider is None else _BESIDE_SLIDER
            box.limit_width(lowest, _WIDEST if self.slider is None else lowest)
            row.addWidget(box)
            box.valueChanged.connect(self._tell)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    @property
    def value(self) -> Any:
        """The number, or the tuple of them."""
        values = tuple(box.number for box in self.boxes)
        return values if self._several else values[0]

    @value.setter
    def value(self, value: Any) -> None:
        each = tuple(value) if self._several else (value,)
        if len(each) != len(self.boxes):
            raise ValueError(f"{value!r} must be {len(self.boxes)} numbers")
        before = self.value
        for box, number in zip(self.boxes, each, strict=True):
            with QSignalBlocker(box):
                box.number = number
        if self.value != before:
            self._tell()

    def _slide(self) -> None:
        if self.slider is not None:
            self.boxes[0].number = self.slider.number

    def _tell(self) -> None:
        if self.slider is not None and not self.slider.isSliderDown():
            self.slider.show_number(self.value)
        self.changed.emit(self.value)


def _nice_step(low: float, high: float) -> float:
    """Return 1, 2 or 5 times a power of ten, about a hundredth of the range."""
    step = (high - low) / _STEPS
    power = 10.0 ** floor(log10(step))
    return next(power * digit for digit in (10, 5, 2, 1) if power * digit <= 1.0001 * step)
