"""A plot of a few curves that grow: drawn by Qt, quick enough to follow a training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor, log10

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QPointF, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QPainter, QPaintEvent, QPen, QPolygonF
from qtpy.QtWidgets import QSizePolicy, QWidget

_POINTS = 300
"""A longer curve is drawn as means of so many pieces."""
_TICKS = 4
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 8, 16, 16
_COLOURS = (QColor("#3fa7ff"), QColor("#ffa23f"), QColor("#6fd36f"))


@dataclass(frozen=True)
class Curve:
    """Values (y) over steps (x), both of one length."""

    name: str
    x: Sequence[float]
    y: Sequence[float]

    def drawn(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return finite points, of a long curve the means of pieces."""
        x, y = np.asarray(self.x, float), np.asarray(self.y, float)
        known = np.isfinite(y)
        x, y = x[known], y[known]
        if len(x) <= _POINTS:
            return x, y
        edges = np.linspace(0, len(x), _POINTS, endpoint=False).astype(int)
        counts = np.diff(np.append(edges, len(x)))
        return np.add.reduceat(x, edges) / counts, np.add.reduceat(y, edges) / counts


class Curves(QWidget):
    """Curves over a common axis of steps.

    Parameters
    ----------
    logarithmic : whether the y axis shows factors, where all values are positive.
    """

    def __init__(self, *, logarithmic: bool = False) -> None:
        super().__init__()
        self.curves: tuple[Curve, ...] = ()
        self._steps = 1.0
        self._logarithmic = logarithmic
        self.setMinimumSize(120, 56)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)

    def sizeHint(self) -> QSize:
        """Return room for a small plot."""
        return QSize(300, 100)

    def show_curves(self, curves: Sequence[Curve], steps: float) -> None:
        """Draw these curves over 0 to `steps`."""
        self.curves, self._steps = tuple(curves), max(float(steps), 1.0)
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw axes, ticks, names and curves."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        font = painter.font()
        font.setPixelSize(10)
        painter.setFont(font)
        drawn = [curve.drawn() for curve in self.curves]
        values = np.concatenate([np.empty(0), *(y for _, y in drawn)])
        axis = _Axis.of(values, self._logarithmic)
        inside = QRectF(self.rect()).adjusted(_LEFT, _TOP, -_RIGHT, -_BOTTOM)
        self._draw_axes(painter, inside, axis)
        place = inside.left()
        for curve, (x, y), colour in zip(self.curves, drawn, _COLOURS, strict=False):
            painter.setPen(QPen(colour, 1.5))
            _draw_curve(painter, inside, x / self._steps, axis.place(y))
            width = painter.fontMetrics().horizontalAdvance(curve.name)
            painter.drawText(QPointF(place, inside.top() - 5), curve.name)
            place += width + 12
        painter.end()

    def _draw_axes(self, painter: QPainter, inside: QRectF, axis: _Axis) -> None:
        text = self.palette().windowText().color()
        line = QColor(text)
        line.setAlphaF(0.2)
        for value in axis.ticks():
            y = inside.bottom() - inside.height() * float(axis.place(np.array(value)))
            painter.setPen(line)
            painter.drawLine(QPointF(inside.left(), y), QPointF(inside.right(), y))
            painter.setPen(text)
            box = QRectF(0.0, y - 7, _LEFT - 4.0, 14.0)
            painter.drawText(
                box, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, f"{value:.3g}"
            )
        for value in _linear_ticks(0.0, self._steps):
            x = inside.left() + inside.width() * value / self._steps
            painter.setPen(line)
            painter.drawLine(QPointF(x, inside.top()), QPointF(x, inside.bottom()))
            painter.setPen(text)
            box = QRectF(x - 30, inside.bottom() + 2, 60.0, 14.0)
            box.moveRight(min(box.right(), float(self.width())))
            painter.drawText(box, Qt.AlignmentFlag.AlignHCenter, f"{value:g}")


@dataclass(frozen=True)
class _Axis:
    """The y axis: what lies at its bottom and at its top."""

    low: float
    high: float
    logarithmic: bool

    @classmethod
    def of(cls, values: NDArray[np.float64], logarithmic: bool) -> _Axis:
        if not values.size:
            return cls(0.0, 1.0, False)
        low, high = float(values.min()), float(values.max())
        if logarithmic and low > 0:
            return cls(low / 1.1, high * 1.1, True)
        margin = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
        return cls(low - margin, high + margin, False)

    def place(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return where values lie, 0 at the bottom and 1 at the top."""
        low, high = self.low, self.high
        if self.logarithmic:
            low, high, values = log10(low), log10(high), np.log10(values)
        return np.asarray((values - low) / (high - low))

    def ticks(self) -> list[float]:
        """Return a few round values."""
        if not self.logarithmic:
            return _linear_ticks(self.low, self.high)
        decades = range(floor(log10(self.low)), ceil(log10(self.high)) + 1)
        for steps in ((1,), (1, 3), (1, 2, 5)):
            values = [step * 10.0**decade for decade in decades for step in steps]
            inside = [value for value in values if self.low <= value <= self.high]
            if len(inside) >= 3:
                return inside[:: ceil(len(inside) / (2 * _TICKS))]
        return _linear_ticks(self.low, self.high)


def _linear_ticks(low: float, high: float) -> list[float]:
    """Return multiples of 1, 2 or 5 times a power of ten."""
    rough = (high - low) / _TICKS
    power = 10.0 ** floor(log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)
    return [count * step for count in range(ceil(low / step), floor(high / step) + 1)]


def _draw_curve(
    painter: QPainter, inside: QRectF, x: NDArray[np.float64], y: NDArray[np.float64]
) -> None:
    points = [
        QPointF(inside.left() + inside.width() * a, inside.bottom() - inside.height() * b)
        for a, b in zip(x.tolist(), y.tolist(), strict=True)
    ]
    if len(points) == 1:
        painter.drawEllipse(points[0], 2.0, 2.0)
    elif points:
        painter.drawPolyline(QPolygonF(points))
