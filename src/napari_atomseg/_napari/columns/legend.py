"""A legend beside the image: what the colours of columns mean."""

from __future__ import annotations

import html
from typing import Any

import numpy as np
from napari.utils.colormaps import ensure_colormap
from qtpy.QtCore import Qt
from qtpy.QtGui import QBrush, QColor, QLinearGradient, QPainter
from qtpy.QtWidgets import QHBoxLayout, QLabel, QVBoxLayout, QWidget

from napari_atomseg._napari.columns.colours import RAMP, Key

_HEIGHT = 12
_STEPS = 9


class Legend(QWidget):
    """A bar from the lowest to the highest colour with its unit, or the kinds and their colours."""

    def __init__(self) -> None:
        super().__init__()
        self.title, self.low, self.high, self.kinds = QLabel(), QLabel(), QLabel(), QLabel()
        self.bar = _Bar()
        self.kinds.setTextFormat(Qt.TextFormat.RichText)
        for text in (self.title, self.kinds):
            text.setWordWrap(True)
        row = QHBoxLayout()
        row.setSpacing(6)
        row.addWidget(self.low)
        row.addWidget(self.bar, 1)
        row.addWidget(self.high)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self.title)
        layout.addLayout(row)
        layout.addWidget(self.kinds)
        self.show_key(Key())

    def show_key(self, key: Key) -> None:
        """Say what colours mean."""
        from napari_atomseg.figures.tables import label

        numbers = bool(key.feature) and not key.kinds
        self.title.setText(label(key.feature) + _without(key.unknown) if key.feature else "")
        self.low.setText(_short(key.low))
        self.high.setText(_short(key.high))
        for part in (self.low, self.bar, self.high):
            part.setVisible(numbers)
        squares = [
            f'<span style="color: {colour}">&#9632;</span>&nbsp;{html.escape(kind)}'
            for kind, colour in key.kinds.items()
        ]
        self.kinds.setText(" &nbsp; ".join(squares))
        self.title.setVisible(bool(key.feature))
        self.kinds.setVisible(bool(squares))
        self.setVisible(bool(key.feature))


def _short(value: float) -> str:
    """A number of four digits, or whole, where it is not too large for that."""
    return f"{value:.0f}" if 1e3 <= abs(value) < 1e6 else f"{value:.4g}"


def _without(unknown: int) -> str:
    return f"; {unknown} without (white)" if unknown else ""


class _Bar(QWidget):
    """Colours from the lowest to the highest."""

    def __init__(self) -> None:
        super().__init__()
        self.setFixedHeight(_HEIGHT)
        self.setMinimumWidth(60)

    def paintEvent(self, event: Any) -> None:
        """Draw the colours."""
        ramp = QLinearGradient(0.0, 0.0, float(self.width()), 0.0)
        places = np.linspace(0, 1, _STEPS)
        for place, colour in zip(places, ensure_colormap(RAMP).map(places), strict=True):
            ramp.setColorAt(float(place), QColor.fromRgbF(*(float(each) for each in colour)))
        QPainter(self).fillRect(self.rect(), QBrush(ramp))
