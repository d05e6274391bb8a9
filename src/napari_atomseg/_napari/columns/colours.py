"""Colours of points by a feature, and the legend that explains them."""

from __future__ import annotations

import html
from typing import Any

import numpy as np
import pandas as pd
from napari.layers import Points
from napari.utils.colormaps import ensure_colormap
from numpy.typing import NDArray
from qtpy.QtCore import Qt
from qtpy.QtGui import QBrush, QColor, QLinearGradient, QPainter
from qtpy.QtWidgets import QHBoxLayout, QLabel, QVBoxLayout, QWidget

from napari_atomseg._napari.keys import RAMP, Key, show_key

COLOURED = "napari-atomseg colours"
"""Key of the metadata of a points layer for the feature that colours it."""
KINDS = ("#ff00ff", "#00ff00", "#ffa500", "#00ffff", "#ff4040", "#ffff00", "#8080ff", "#ff9ecf")
"""Colours of kinds, bright on any image and far from each other."""
ALIKE = "yellow"
"""Points when no feature colours them."""
UNKNOWN = "white"
"""Points without a value."""

_COLOURED = (2.0, 98.0)
"""Percentiles of a feature between which its colours run."""


def colour_points(layer: Points, feature: str | None) -> Key:
    """Colour points by a feature, and return what the colours mean.

    Numbers run from cyan to magenta between two percentiles; words, yes and no, and few whole
    numbers have a colour each. Points without a value are white. All are yellow where they are
    alike. The canvas shows the same key.
    """
    if feature is None or feature not in layer.features or layer.features[feature].nunique() < 2:
        layer.border_color = ALIKE
        layer.metadata[COLOURED] = ""
        show_key(layer, None)
        return Key()
    from napari_atomseg.figures.tables import is_category

    values = layer.features[feature]
    if is_category(values):
        colours, key = _by_kind(feature, values)
    else:
        colours, key = _by_number(feature, values)
    layer.border_color = colours
    layer.metadata[COLOURED] = feature
    show_key(layer, key)
    return key


def _by_kind(feature: str, values: pd.Series) -> tuple[NDArray[np.float64], Key]:
    from napari_atomseg.figures.tables import kind_text

    names = np.array([kind_text(value) for value in values], dtype=object)
    known = values.notna().to_numpy(dtype=bool) & (names != "")
    kinds = sorted(set(names[known]), key=_in_order)
    colours = {kind: KINDS[place % len(KINDS)] for place, kind in enumerate(kinds)}
    rgba = ensure_colormap("gray").map(np.ones(len(values)))
    for kind, colour in colours.items():
        rgba[known & (names == kind)] = _rgba(colour)
    return rgba, Key(feature, kinds=colours, unknown=int((~known).sum()))


def _by_number(feature: str, values: pd.Series) -> tuple[NDArray[np.float64], Key]:
    numbers = pd.to_numeric(values, errors="coerce").to_numpy(dtype=float)
    known = np.isfinite(numbers)
    rgba = np.ones((len(numbers), 4))
    if not known.any():
        return rgba, Key(feature, unknown=len(numbers))
    low, high = (float(each) for each in np.percentile(numbers[known], _COLOURED))
    relative = (numbers - low) / (high - low) if high > low else np.full(len(numbers), 0.5)
    rgba[known] = ensure_colormap(RAMP).map(np.clip(relative[known], 0.0, 1.0))
    return rgba, Key(feature, low, high, unknown=int((~known).sum()))


def _in_order(kind: str) -> tuple[float, str]:
    """Numbers by their size, words after them by the alphabet."""
    try:
        return float(kind), ""
    except ValueError:
        return np.inf, kind


def _rgba(colour: str) -> tuple[float, ...]:
    return (*(int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)), 1.0)


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
        """Show what the colours mean."""
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
