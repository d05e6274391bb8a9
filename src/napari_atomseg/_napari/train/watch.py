"""Watching a training: its curves, and what the network makes of a validation image."""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QObject, Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QComboBox, QGridLayout, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from napari_atomseg._napari.forms.form import make_narrow
from napari_atomseg._napari.layers import contrast_limits
from napari_atomseg._napari.preview import Picture
from napari_atomseg._napari.train.curves import Curve, Curves

if TYPE_CHECKING:
    from napari_atomseg.training.events import News

_EVERY = 0.1
"""Seconds between two looks at a training that goes on."""
_PICTURES = ("input", "prediction", "truth")
_SIDE = 64
_COLOURS = np.array(
    [(1, 0.35, 0.35), (0.35, 1, 0.35), (0.45, 0.55, 1), (1, 0.9, 0.3), (1, 0.4, 1), (0.3, 1, 1)]
)
"""Of the species, in the order of their channels; they come again after the last."""
TASK_NAMES = {
    "denoise": "denoise",
    "denoise_background": "no background",
    "superresolution": "super-resolution",
    "column_map": "column map",
    "column_mask": "column mask",
    "elements": "elements",
}
"""What panels call the tasks."""
_METRICS = {
    "f1": "F1 of the columns",
    "psnr_in": "PSNR of the images (dB)",
    "psnr_out": "PSNR of the result (dB)",
    "psnr_": "PSNR, {} (dB)",
    "dice_": "overlap, {}",
    "validation_": "loss, {}",
}
"""What panels call the scores; after those that end in an underscore comes a task."""
_NOT_METRICS = ("step", "loss", "validation_loss")


class Listener(QObject):
    """Takes news in the working thread, and tells the GUI thread now and then that there are."""

    arrived = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._news: list[News] = []
        self._told = 0.0

    def __call__(self, news: News) -> None:
        """Keep news; runs in the working thread."""
        with self._lock:
            self._news.append(news)
        now = time.monotonic()
        if news.entry is not None or news.preview is not None or now - self._told > _EVERY:
            self._told = now
            with contextlib.suppress(RuntimeError):  # the window is gone
                self.arrived.emit()

    def take(self) -> list[News]:
        """Return the news since the last call."""
        with self._lock:
            news, self._news = self._news, []
        return news


class Watch(QWidget):
    """Curves of the loss and of a metric, and pictures of a validation image."""

    def __init__(self) -> None:
        super().__init__()
        self.loss_plot, self.metric_plot = Curves(logarithmic=True), Curves()
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
        """Forget what was shown, and begin with the scores of an earlier part of the training."""
        self.losses: tuple[list[float], list[float]] = ([], [])
        self.log = [dict(entry) for entry in log]
        self.steps = 1
        self._preview = {}
        for entry in self.log:
            self.losses[0].append(entry["step"])
            self.losses[1].append(entry["loss"])
        self._offer_metrics()
        self._draw_curves()

    def add(self, news: Sequence[News]) -> None:
        """Show what a training has told."""
        for each in news:
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
        if any(each.preview is not None for each in news):
            self._draw_preview()

    def _offer_metrics(self) -> None:
        known = [name for name in (self.log or [{}])[-1] if name not in _NOT_METRICS]
        order = [*(n for n in _METRICS if n in known), *(n for n in known if n not in _METRICS)]
        _offer(
            self.metric_box, {name: _METRICS.get(name, name.replace("_", " ")) for name in order}
        )

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


def metric_name(name: str) -> str:
    """Return what panels call a score."""
    if name in _METRICS:
        return _METRICS[name]
    kind, _, task = name.partition("_")
    text = _METRICS.get(f"{kind}_", "{}")
    return text.format(TASK_NAMES.get(task, task))


def time_left(seconds: float) -> str:
    """Return the time that is left in words, empty if it is not known."""
    if not math.isfinite(seconds):
        return ""
    if seconds < 90:
        return f", {seconds:.0f} s left"
    if seconds < 5400:
        return f", {seconds / 60:.0f} min left"
    return f", {seconds / 3600:.1f} h left"


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
