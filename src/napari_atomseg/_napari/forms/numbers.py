"""Inputs of numbers: boxes that show no needless zeros, with a slider for the usual range."""

from __future__ import annotations

from math import floor, inf, isinf, log10
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QSignalBlocker, Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtGui import QValidator
from qtpy.QtWidgets import QDoubleSpinBox, QHBoxLayout, QSizePolicy, QSlider, QWidget

if TYPE_CHECKING:
    from napari_atomseg.settings import Setting

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


class NumberBox(QDoubleSpinBox):
    """A box for a number, whole or not; its ends may stand for infinity and for None.

    superqt's QLargeIntSpinBox has no suffix for the unit and shows no text in place of a number.
    """

    def __init__(self, known: Setting, default: float | None) -> None:
        super().__init__()
        low, high = known.limits
        self._whole = known.kind is int
        self._endless = isinf(high)
        self._none = known.none
        self._low = max(low, -_LARGEST)
        decimals = _DECIMALS if known.decimals is None else known.decimals
        self.setDecimals(0 if self._whole else decimals)
        below = 10.0 ** -self.decimals() if self._none else 0.0
        self.setRange(self._low - below, min(high, _LARGEST))
        if known.step is not None:
            self.setSingleStep(known.step)
        elif known.usual is not None and not known.logarithmic:
            self.setSingleStep(_nice_step(*known.usual))
        elif known.logarithmic or not self._whole:
            self.setStepType(QDoubleSpinBox.StepType.AdaptiveDecimalStepType)
        if known.unit:
            self.setSuffix(f" {known.unit}")
        if known.none:
            self.setSpecialValueText(known.none)
        self.setKeyboardTracking(False)
        self.setButtonSymbols(QDoubleSpinBox.ButtonSymbols.NoButtons)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.number = default

    @property
    def number(self) -> Any:
        """The value: an int, a float, infinity, or None where that is accepted."""
        value = self.value()
        if self._none and value == self.minimum():
            return None
        if self._endless and value == self.maximum():
            return inf
        return int(value) if self._whole else value

    @number.setter
    def number(self, value: float | None) -> None:
        if value is None:
            self.setValue(self.minimum())
        else:
            self.setValue(min(max(value, self._low), _LARGEST))

    def stepBy(self, steps: int) -> None:
        """Step from None to the lowest number and back."""
        if self._none and steps > 0 and self.number is None:
            self.setValue(self._low)
        elif self._none and steps < 0 and self.value() <= self._low:
            self.setValue(self.minimum())
        else:
            super().stepBy(steps)

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
        """Return the number that was typed; nothing at all means None."""
        if self._is_none(text):
            return self.minimum()
        return self.maximum() if "∞" in text else super().valueFromText(text)

    def validate(self, text: str, place: int) -> Any:
        """Accept infinity, and an empty box where None is accepted."""
        if (self._endless and "∞" in text) or self._is_none(text):
            return QValidator.State.Acceptable, text, place
        return super().validate(text, place)

    def _is_none(self, text: str) -> bool:
        bare = text.removesuffix(self.suffix()).strip()
        return bool(self._none) and bare in ("", self._none)

    def wheelEvent(self, event: Any) -> None:
        """Leave the wheel to the form unless the box is in use."""
        event.ignore() if not self.hasFocus() else super().wheelEvent(event)


class Slider(QSlider):
    """Moves through the usual range of a setting, by steps or by factors.

    superqt's QDoubleSlider ignores the arrow keys, and takes values between the steps.
    """

    def __init__(self, known: Setting) -> None:
        super().__init__(Qt.Orientation.Horizontal)
        self._low, self._high = known.usual or (0.0, 1.0)
        self._logarithmic = known.logarithmic
        self._first = 1 if known.none else 0
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
        """Move to a number, or to the nearest end, without emitting a signal."""
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
    """An input of one number, with a slider if its usual range is given, or of several."""

    changed = Signal(object)

    def __init__(self, known: Setting) -> None:
        super().__init__()
        self.native = self
        default = known.default
        self._several = known.length is not None
        self.boxes = [NumberBox(known, value) for value in self._each(default, known.length or 1)]
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
            box.valueChanged.connect(self._emit)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    @property
    def value(self) -> Any:
        """The number, or the tuple of them."""
        values = tuple(box.number for box in self.boxes)
        if not self._several:
            return values[0]
        return None if None in values else values

    @value.setter
    def value(self, value: Any) -> None:
        each = self._each(value, len(self.boxes))
        if len(each) != len(self.boxes):
            raise ValueError(f"{value!r} must be {len(self.boxes)} numbers")
        before = self.value
        for box, number in zip(self.boxes, each, strict=True):
            with QSignalBlocker(box):
                box.number = number
        if self.value != before:
            self._emit()

    def _each(self, value: Any, count: int) -> tuple[Any, ...]:
        return tuple(value) if self._several and value is not None else (value,) * count

    def _slide(self) -> None:
        if self.slider is not None:
            self.boxes[0].number = self.slider.number

    def _emit(self) -> None:
        if self.slider is not None and not self.slider.isSliderDown():
            self.slider.show_number(self.value)
        self.changed.emit(self.value)


def _nice_step(low: float, high: float) -> float:
    """Return 1, 2 or 5 times a power of ten, about a hundredth of the range."""
    step = (high - low) / _STEPS
    power = 10.0 ** floor(log10(step))
    return next(power * digit for digit in (10, 5, 2, 1) if power * digit <= 1.0001 * step)
