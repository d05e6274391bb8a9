"""Watching a training: curves of its scores, and pictures of a validation image."""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.backends.backend_qtagg import FigureCanvasQTAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator
from numpy.typing import NDArray
from qtpy.QtCore import (  # type: ignore[attr-defined]
    QObject,
    QSize,
    Qt,
    QTimer,
    Signal,
)
from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import (
    QComboBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_atomseg._napari.forms.form import make_narrow
from napari_atomseg._napari.layers import contrast_limits
from napari_atomseg._napari.preview import Picture
from napari_atomseg._napari.train.names import METRICS, TASK_NAMES

if TYPE_CHECKING:
    from napari_atomseg.training.events import TrainingEvent

_EVERY = 0.1
"""Seconds between two looks at a training that goes on."""
_REDRAW = 1.0
"""Seconds from one drawing of a plot to the next."""
_POINTS = 300
"""Points of a curve; a longer one is drawn as the means of pieces."""
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 8, 16, 16
"""Margins of a plot, px."""
_TICKS = 4
"""Most intervals between the numbers of an axis."""
_SMALL = 7
"""Points of type."""
_CURVE_COLOURS = ("#3fa7ff", "#ffa23f")
_PICTURES = ("input", "prediction", "truth")
_SIDE = 64
_COLOURS = np.array(
    [(1, 0.35, 0.35), (0.35, 1, 0.35), (0.45, 0.55, 1), (1, 0.9, 0.3), (1, 0.4, 1), (0.3, 1, 1)]
)
"""Of the species, in the order of their channels; they come again after the last."""
_NOT_METRICS = ("step", "loss", "validation_loss")


@dataclass(frozen=True)
class Curve:
    """Values (y) over steps (x), both of one length."""

    name: str
    x: Sequence[float]
    y: Sequence[float]

    def drawn(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return finite points, of a long curve the means of pieces."""
        x, y = np.asarray(self.x, float), np.asarray(self.y, float)
        finite = np.isfinite(y)
        x, y = x[finite], y[finite]
        if len(x) <= _POINTS:
            return x, y
        edges = np.linspace(0, len(x), _POINTS, endpoint=False).astype(int)
        counts = np.diff(np.append(edges, len(x)))
        return np.add.reduceat(x, edges) / counts, np.add.reduceat(y, edges) / counts


class CurvePlot(FigureCanvasQTAgg):
    """Growing curves over a common axis of steps, drawn now and then.

    Parameters
    ----------
    logarithmic : whether the y axis shows factors, where all values are positive.
    """

    def __init__(self, *, logarithmic: bool = False) -> None:
        super().__init__(Figure())
        self.curves: tuple[Curve, ...] = ()
        self._steps = 1.0
        self._drawn = -math.inf
        self._logarithmic = logarithmic
        self._axes = self.figure.subplots()
        self._axes.patch.set_alpha(0.0)
        self._axes.tick_params(which="both", labelsize=_SMALL, length=0)
        self._axes.spines[:].set_visible(False)
        self._lines = [self._axes.plot([], [], color=c, lw=1.5, ms=3)[0] for c in _CURVE_COLOURS]
        self._names = [
            self._axes.annotate("", (place, 1.0), (0, 3), "axes fraction", "offset points")
            for place in np.arange(len(_CURVE_COLOURS)) / len(_CURVE_COLOURS)
        ]
        for name, colour in zip(self._names, _CURVE_COLOURS, strict=True):
            name.set(color=colour, fontsize=_SMALL)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._draw_curves)
        self.figure.patch.set_alpha(0.0)
        self.setStyleSheet("background: transparent")
        self.setMinimumSize(120, 56)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)

    def sizeHint(self) -> QSize:
        """Return room for a small plot."""
        return QSize(300, 100)

    def show_curves(self, curves: Sequence[Curve], steps: float) -> None:
        """Draw these curves over 0 to `steps`, soon."""
        self.curves, self._steps = tuple(curves), max(float(steps), 1.0)
        if not self._timer.isActive():
            due = max(0.0, self._drawn + _REDRAW - time.monotonic())
            self._timer.start(round(1000 * due))

    def draw_idle(self) -> None:
        """Draw once there were curves: axes alone take a tenth of a second."""
        if self.curves or hasattr(self, "renderer"):
            super().draw_idle()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Keep the margins, which hold the numbers of the axes."""
        super().resizeEvent(event)
        width, height = max(self.width(), 120), max(self.height(), 56)
        self.figure.subplots_adjust(
            left=_LEFT / width,
            right=1 - _RIGHT / width,
            top=1 - _TOP / height,
            bottom=_BOTTOM / height,
        )

    def _draw_curves(self) -> None:
        self._drawn = time.monotonic()
        axes, ink = self._axes, self.palette().windowText().color().name()
        shown = [*self.curves, *[Curve("", (), ())] * (len(self._lines) - len(self.curves))]
        drawn = [curve.drawn() for curve in shown]
        for curve, (x, y), line, name in zip(shown, drawn, self._lines, self._names, strict=True):
            line.set(xdata=x, ydata=y, marker="o" if len(x) == 1 else "")
            name.set_text(curve.name)
        values = np.concatenate([y for _, y in drawn])
        factors = self._logarithmic and values.size > 0 and values.min() > 0
        self._scale("log" if factors else "linear")
        axes.set_xlim(0.0, self._steps)
        low, high = (values.min(), values.max()) if values.size else (0.0, 1.0)
        axes.set_ylim(*_around(float(low), float(high), factors=factors))
        axes.grid(color=ink, alpha=0.2)
        axes.tick_params(which="both", colors=ink)
        self.draw_idle()

    def _scale(self, scale: str) -> None:
        """Take a scale of the y axis, with a few ticks: they take most of the time to draw."""
        axes = self._axes
        if axes.get_yscale() != scale:
            axes.set_yscale(scale)
        axes.xaxis.set_major_locator(MaxNLocator(_TICKS))
        if scale == "log":
            axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=_TICKS))
            axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _place: f"{value:.3g}"))
            axes.yaxis.set_minor_locator(NullLocator())
        else:
            axes.yaxis.set_major_locator(MaxNLocator(_TICKS))


def _around(low: float, high: float, *, factors: bool) -> tuple[float, float]:
    """Return limits of an axis a little beyond its values."""
    if factors:
        return low / 1.1, high * 1.1
    margin = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
    return low - margin, high + margin


class Listener(QObject):
    """Keeps the events of a training, and signals the GUI thread now and then that there are some.

    Its call runs in the working thread.
    """

    arrived = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._events: list[TrainingEvent] = []
        self._signalled = 0.0

    def __call__(self, event: TrainingEvent) -> None:
        """Keep an event."""
        with self._lock:
            self._events.append(event)
        now = time.monotonic()
        if event.entry is not None or now - self._signalled > _EVERY:
            self._signalled = now
            with contextlib.suppress(RuntimeError):  # the window is gone
                self.arrived.emit()

    def take(self) -> list[TrainingEvent]:
        """Return the events since the last call."""
        with self._lock:
            events, self._events = self._events, []
        return events


class Watch(QWidget):
    """Curves of the loss and of a metric, and pictures of a validation image."""

    def __init__(self) -> None:
        super().__init__()
        self.loss_plot, self.metric_plot = CurvePlot(logarithmic=True), CurvePlot()
        self.metric_box, self.task_box = QComboBox(), QComboBox()
        self.metric_box.setToolTip("The score on the validation images that is plotted")
        self.task_box.setToolTip("The task whose prediction is shown")
        self.pictures = {name: Picture() for name in _PICTURES}
        self._preview: Mapping[str, Any] = {}
        for box in (self.metric_box, self.task_box):
            make_narrow(box)
        self.metric_box.currentIndexChanged.connect(lambda _place: self._draw_curves())
        self.task_box.currentIndexChanged.connect(lambda _place: self._draw_preview())
        self.clear()
        self._lay_out()

    def _lay_out(self) -> None:
        pictures = QGridLayout()
        pictures.setSpacing(2)
        for column, (name, picture) in enumerate(self.pictures.items()):
            picture.setMinimumSize(_SIDE, _SIDE)
            label = QLabel(name)
            label.setAlignment(Qt.AlignmentFlag.AlignHCenter)
            pictures.addWidget(picture, 0, column)
            pictures.addWidget(label, 1, column)
        pictures.setRowStretch(0, 1)
        choices = QHBoxLayout()
        choices.addWidget(self.metric_box, 1)
        choices.addWidget(self.task_box, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self.loss_plot, 2)
        layout.addWidget(self.metric_plot, 2)
        layout.addLayout(choices)
        layout.addLayout(pictures, 3)

    def clear(self, log: Sequence[Mapping[str, float]] = ()) -> None:
        """Start anew, with the scores of an earlier part of the training."""
        self.losses: tuple[list[float], list[float]] = ([], [])
        self.log = [dict(entry) for entry in log]
        self.steps = 1
        self._preview = {}
        for entry in self.log:
            self.losses[0].append(entry["step"])
            self.losses[1].append(entry["loss"])
        self._offer_metrics()
        self._draw_curves()

    def add(self, events: Sequence[TrainingEvent]) -> None:
        """Show the next events of the training."""
        for each in events:
            if each.entry is None:
                self.losses[0].append(each.step)
                self.losses[1].append(each.loss)
            self.steps = each.steps
            if each.entry is not None:
                self.log.append(dict(each.entry))
                self._offer_metrics()
            if each.preview is not None:
                self._preview = each.preview
                self._offer_tasks()
        self._draw_curves()
        if any(each.preview is not None for each in events):
            self._draw_preview()

    def _offer_metrics(self) -> None:
        known = [name for name in (self.log or [{}])[-1] if name not in _NOT_METRICS]
        order = [*(n for n in METRICS if n in known), *(n for n in known if n not in METRICS)]
        _offer(self.metric_box, {name: METRICS.get(name, name.replace("_", " ")) for name in order})

    def _offer_tasks(self) -> None:
        _offer(self.task_box, {name: TASK_NAMES.get(name, name) for name in self._preview})

    def _draw_curves(self) -> None:
        steps = [entry["step"] for entry in self.log]
        validation = [entry.get("validation_loss", np.nan) for entry in self.log]
        end = max([self.steps, *self.losses[0][-1:]])
        self.loss_plot.show_curves(
            [Curve("loss", *self.losses), Curve("validation loss", steps, validation)], end
        )
        name = self.metric_box.currentData()
        values = [entry.get(name, np.nan) for entry in self.log]
        self.metric_plot.show_curves(
            [Curve(self.metric_box.currentText(), steps, values)] if name else [], end
        )

    def _draw_preview(self) -> None:
        task = self.task_box.currentData()
        if task not in self._preview:
            return
        image, prediction, truth = self._preview[task]
        self.pictures["input"].show_image(_grey(image))
        self.pictures["prediction"].show_image(_seen(prediction, truth))
        self.pictures["truth"].show_image(_seen(truth, truth))


def species_colour(number: int) -> NDArray[np.float64]:
    """Return the colour (red, green, blue in 0..1) of a species, by the number of its channel."""
    return np.asarray(_COLOURS[number % len(_COLOURS)])


def _offer(box: QComboBox, choices: Mapping[str, str]) -> None:
    """Offer choices, and keep the chosen one where it is among them."""
    if [box.itemData(place) for place in range(box.count())] == list(choices):
        return
    chosen = box.currentData()
    box.blockSignals(True)
    box.clear()
    for name, text in choices.items():
        box.addItem(text, name)
    box.setCurrentIndex(max(0, box.findData(chosen)))
    box.blockSignals(False)


def _seen(image: NDArray[Any], truth: NDArray[Any]) -> NDArray[np.uint8]:
    """Return 8 bits of an image in the contrast of its truth; species get a colour each."""
    if image.ndim == 2:
        return _grey(image, truth)
    colours = _COLOURS[np.arange(len(image)) % len(_COLOURS)]
    mixed = np.einsum("ehw,ec->hwc", np.nan_to_num(image).clip(0.0, 1.0), colours)
    return (255 * mixed.clip(0.0, 1.0)).astype(np.uint8)


def _grey(image: NDArray[Any], like: NDArray[Any] | None = None) -> NDArray[np.uint8]:
    low, high = contrast_limits(image if like is None else like)
    grey = np.nan_to_num((np.asarray(image, float) - low) / (high - low)).clip(0.0, 1.0)
    return (255 * grey).astype(np.uint8)
