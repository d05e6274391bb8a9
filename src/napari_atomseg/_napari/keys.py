"""Keys: what the colours of a layer mean, as pictures that are drawn over the image."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
from napari.layers import Layer
from napari.utils.colormaps import ensure_colormap
from qtpy.QtCore import QPointF, QRectF, Qt
from qtpy.QtGui import (
    QBrush,
    QColor,
    QConicalGradient,
    QFont,
    QFontMetricsF,
    QImage,
    QLinearGradient,
    QPainter,
    QPainterPath,
)
from qtpy.QtWidgets import QApplication

RAMP = "cool"
"""From cyan to magenta, both bright on any image."""
_NAME = "napari-atomseg key"
"""Of the overlay among those of its layer."""
_FONT, _LINE, _GAP, _EDGE = 12, 17, 6, 7
"""Pixels: height of letters, of a line, between parts, and around all."""
_BAR = (14, 120)
_WHEEL = 64
_MOST_KINDS = 10
_NONE = ("", "-1")
"""Kinds of columns on no sublattice, lattice or grain."""
_STOPS = 33
"""Colours of a gradient."""
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_log = logging.getLogger(__name__)
_UNITS = {"%": "percent", "°": "degrees", "px": "pixels", "pm": "picometres", "Å": "ångströms"}


@dataclass(frozen=True)
class Key:
    """What colours mean: numbers run from `low` to `high`, or each kind has a colour.

    Attributes
    ----------
    feature : that colours; empty where all are alike.
    low, high : numbers at the ends of the colours.
    kinds : colour of each kind; empty where numbers have colours.
    unknown : how many have no value.
    title : in the canvas; by default the feature in words, with its unit.
    colormap : of the numbers, by name or as napari has it.
    wheel : the numbers are directions, in degrees counter-clockwise from x.
    """

    feature: str = ""
    low: float = 0.0
    high: float = 0.0
    kinds: dict[str, str] = field(default_factory=dict)
    unknown: int = 0
    title: str = ""
    colormap: Any = RAMP
    wheel: bool = False

    @property
    def heading(self) -> list[str]:
        """The title, line by line."""
        from napari_atomseg.figures.tables import label

        lines = (self.title or label(self.feature)).split("\n")
        power = 0 if self.kinds else power_of(self.low, self.high)
        if power:
            lines.append(f"× 10{str(power).translate(_RAISED)}")
        return lines + [f"white: {self.unknown} without"] * bool(self.unknown)


def in_words(unit: str) -> str:
    """A unit as a line below a title: "in percent"; empty without one."""
    return f"\nin {_UNITS.get(unit.strip(), unit.strip())}" if unit.strip() else ""


def show_key(layer: Layer, key: Key | None) -> None:
    """Draw a key in the canvas wherever the layer is shown; without a feature, none.

    Bars of images follow the contrast limits and the colour map of the layer.
    """
    overlay_of = _overlays()
    if overlay_of is None:
        return
    overlays = layer._overlays
    if key is None or not key.feature:
        overlays.pop(_NAME, None)
    elif _NAME in overlays:
        overlays[_NAME].key = key
    else:
        overlays[_NAME] = overlay_of(key=key, visible=True)


def key_of(layer: Layer) -> Key | None:
    """Return the key that is drawn for a layer, or None."""
    overlay = getattr(layer, "_overlays", {}).get(_NAME)
    return None if overlay is None else overlay.key


@cache
def _overlays() -> Any:
    """The class of keys in the canvas; None where another napari draws overlays in another way."""
    try:
        from napari_atomseg._napari.canvas import KeyOverlay
    except (ImportError, AttributeError) as error:
        _log.info("this napari shows no keys in the canvas: %s", error)
        return None
    return KeyOverlay


def draw_key(key: Key, background: QColor, ratio: float = 1.0) -> QImage:
    """Return the picture of a key.

    Parameters
    ----------
    background : of the canvas; letters are dark on a bright one.
    ratio : pixels of the screen to a pixel of the window.
    """
    font = QFont(QApplication.font())
    font.setPixelSize(_FONT)
    metrics = QFontMetricsF(font)
    heading = key.heading
    body, width, height = _body(key, metrics)
    width = max(width, *(metrics.horizontalAdvance(line) for line in heading))
    top = _EDGE + _LINE * len(heading) + 0.5 * _GAP
    size = np.ceil(ratio * np.array([width + 2 * _EDGE, top + height + _EDGE])).astype(int)
    picture = QImage(int(size[0]), int(size[1]), QImage.Format.Format_ARGB32)
    picture.setDevicePixelRatio(ratio)
    picture.fill(Qt.GlobalColor.transparent)
    painter = QPainter(picture)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setFont(font)
    panel = QColor(background)
    panel.setAlphaF(0.75)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QBrush(panel))
    painter.drawRoundedRect(QRectF(0, 0, size[0] / ratio, size[1] / ratio), 4, 4)
    dark = background.lightnessF() > 0.5
    painter.setPen(QColor("#202020" if dark else "#f0f0f0"))
    for place, line in enumerate(heading):
        _write(painter, _EDGE, _EDGE + _LINE * (place + 0.5), line)
    painter.translate(_EDGE, top)
    body(painter)
    painter.end()
    return picture


Body = Callable[[QPainter], None]


def _body(key: Key, metrics: QFontMetricsF) -> tuple[Body, float, float]:
    """What draws the colours below the heading, and its width and height."""
    if key.kinds:
        return _kinds(key, metrics)
    return _wheel(key) if key.wheel else _bar(key, metrics)


def _kinds(key: Key, metrics: QFontMetricsF) -> tuple[Body, float, float]:
    shown = list(key.kinds.items())[:_MOST_KINDS]
    names = [(colour, "none" if kind in _NONE else kind) for kind, colour in shown]
    if len(key.kinds) > _MOST_KINDS:
        names.append(("", f"and {len(key.kinds) - _MOST_KINDS} more"))

    def draw(painter: QPainter) -> None:
        pen = painter.pen()
        for place, (colour, name) in enumerate(names):
            middle = _LINE * (place + 0.5)
            if colour:
                painter.setPen(Qt.PenStyle.NoPen)
                painter.setBrush(QColor(colour))
                painter.drawEllipse(QPointF(5, middle), 5, 5)
            painter.setPen(pen)
            _write(painter, 10 + _GAP, middle, name)

    width = 10 + _GAP + max(metrics.horizontalAdvance(name) for _, name in names)
    return draw, width, _LINE * len(names)


def _bar(key: Key, metrics: QFontMetricsF) -> tuple[Body, float, float]:
    ticks = ticks_between(key.low, key.high)
    across, along = _BAR
    above = 0.5 * _LINE

    def draw(painter: QPainter) -> None:
        gradient = QLinearGradient(0, above + along, 0, above)
        _set_stops(gradient, key.colormap, np.linspace(0, 1, _STOPS))
        painter.setBrush(QBrush(gradient))
        painter.drawRect(QRectF(0.5, above + 0.5, across, along))
        for value, text in ticks:
            part = (value - key.low) / (key.high - key.low)
            y = above + 0.5 + along * (1.0 - part)
            painter.drawLine(QPointF(across, y), QPointF(across + 4, y))
            _write(painter, across + 4 + 0.5 * _GAP, y, text)

    width = across + 4 + 0.5 * _GAP
    width += max((metrics.horizontalAdvance(text) for _, text in ticks), default=0.0)
    return draw, width, along + _LINE


def _wheel(key: Key) -> tuple[Body, float, float]:
    def draw(painter: QPainter) -> None:
        gradient = QConicalGradient(0.5 * _WHEEL, 0.5 * _WHEEL, 0.0)
        turn = np.linspace(0, 1, _STOPS)
        # Half a turn: colours begin at -180°, gradients at 0°.
        _set_stops(gradient, key.colormap, (turn + 0.5) % 1.0, turn)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QBrush(gradient))
        ring, middle = QPainterPath(), QPointF(0.5 * _WHEEL, 0.5 * _WHEEL)
        for radius in (0.5 * _WHEEL, 0.25 * _WHEEL):
            ring.addEllipse(middle, radius, radius)
        painter.drawPath(ring)

    return draw, _WHEEL, _WHEEL


def _set_stops(gradient: Any, colormap: Any, at: Any, places: Any = None) -> None:
    """Colours of a map at some of its parts, by default where a gradient has the same part."""
    for place, colour in zip(
        at if places is None else places, ensure_colormap(colormap).map(at), strict=True
    ):
        gradient.setColorAt(float(place), QColor.fromRgbF(*(float(each) for each in colour)))


def power_of(low: float, high: float) -> int:
    """Power of ten that numbers are divided by where they would be long; else 0."""
    largest = max(abs(low), abs(high))
    if not np.isfinite(largest) or largest == 0 or 1e-3 <= largest < 1e5:
        return 0
    return int(np.floor(np.log10(largest)))


def ticks_between(low: float, high: float) -> list[tuple[float, str]]:
    """Round numbers from low to high, and how they are written: with the same decimals.

    What is written is divided by ten to `power_of`.
    """
    if not low < high:
        return []
    from matplotlib.ticker import MaxNLocator

    unit = 10.0 ** power_of(low, high)
    low, high = low / unit, high / unit
    values = np.asarray(MaxNLocator(nbins=5, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high))
    slack = 1e-6 * (high - low)
    values = values[(values >= low - slack) & (values <= high + slack)]
    if not len(values):
        return []
    step = values[1] - values[0] if len(values) > 1 else high - low
    decimals = max(0, -int(np.floor(np.log10(step) + 1e-9)))
    # Steps of 2.5 have one decimal more than those of 2.
    decimals += not np.allclose(values, np.round(values, decimals), rtol=0, atol=1e-3 * step)
    texts = [f"{value:.{decimals}f}" for value in np.where(abs(values) < slack, 0.0, values)]
    texts = [text.replace("-", "\N{MINUS SIGN}") for text in texts]
    return [(float(unit * value), text) for value, text in zip(values, texts, strict=True)]


def _write(painter: QPainter, x: float, middle: float, text: str) -> None:
    box = QRectF(x, middle - 0.5 * _LINE, 1000.0, _LINE)
    painter.drawText(box, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, text)
