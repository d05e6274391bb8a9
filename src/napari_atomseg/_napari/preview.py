"""A picture that follows the settings: drawn in another thread, the newest request wins."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QObject, QRect, QSize, Qt, QTimer, Signal  # type: ignore[attr-defined]
from qtpy.QtGui import QImage, QPainter, QPaintEvent
from qtpy.QtWidgets import QLabel, QSizePolicy, QVBoxLayout, QWidget

from napari_atomseg._napari.jobs import describe
from napari_atomseg._napari.layers import contrast_limits
from napari_atomseg.progress import Cancelled, CancelToken, cancellable

SIDE = 256
"""Pixels a side of a preview, at most."""
_SMALLEST = 96
_PATIENCE = 150
"""Milliseconds that newer work waits before the running work is cancelled for it."""

Draw = Callable[[CancelToken], tuple[NDArray[Any], str]]
"""Takes the cancel token and returns an image and its caption. Runs in another thread."""


class Newest(QObject):
    """Does one piece of work at a time; of those that wait only the newest is done.

    Work that is quick is finished though something newer waits: a picture that follows a slider
    must not stand still while it moves. Work that keeps something waiting too long is cancelled.

    `settled` carries the result of work that was not cancelled, and its exception or None.
    """

    settled = Signal(object, object)
    _ended = Signal(object, object)

    def __init__(self) -> None:
        super().__init__()
        self._token: CancelToken | None = None
        self._waiting: Callable[[CancelToken], Any] | None = None
        # Always the same thread: torch keeps threads of its own for every thread that calls it.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="preview")
        self._ended.connect(self._settle)
        self._patience = QTimer(self)
        self._patience.setSingleShot(True)
        self._patience.setInterval(_PATIENCE)
        self._patience.timeout.connect(self._overtake)

    @property
    def busy(self) -> bool:
        """Whether something is being worked on."""
        return self._token is not None

    def ask(self, work: Callable[[CancelToken], Any]) -> None:
        """Do this work as soon as the work before it ends."""
        self._waiting = work
        if self._token is None:
            self._start()
        elif not self._patience.isActive():
            self._patience.start()

    def stop(self) -> None:
        """Cancel the running work and drop what waits."""
        self._waiting = None
        if self._token is not None:
            self._token.cancel()

    def _overtake(self) -> None:
        if self._token is not None and self._waiting is not None:
            self._token.cancel()

    def _start(self) -> None:
        self._patience.stop()
        work, self._waiting = self._waiting, None
        if work is None:
            return
        self._token = CancelToken()
        self._thread.submit(self._do, work, self._token)

    def _do(self, work: Callable[[CancelToken], Any], token: CancelToken) -> None:
        result, reason = None, None
        try:
            with cancellable(token):
                result = work(token)
        except Exception as error:
            reason = error
        with contextlib.suppress(RuntimeError):  # the window is gone
            self._ended.emit(result, reason)

    def _settle(self, result: Any, reason: Exception | None) -> None:
        cancelled = self._token is not None and self._token.cancelled
        self._token = None
        if not cancelled and not isinstance(reason, Cancelled):
            self.settled.emit(result, reason)
        self._start()


class Preview(QWidget):
    """A picture with a line below it.

    Attributes
    ----------
    latency : seconds from the request of the picture to when it was shown; None before the first.
    """

    def __init__(self) -> None:
        super().__init__()
        self.latency: float | None = None
        self.image: NDArray[np.uint8] | None = None
        self._newest = Newest()
        self._newest.settled.connect(self._show)
        self._picture = Picture()
        self._caption = QLabel()
        self._caption.setWordWrap(True)
        self._caption.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self._picture, 1)
        layout.addWidget(self._caption)

    @property
    def caption(self) -> str:
        """The line below the picture."""
        return str(self._caption.text())

    @property
    def busy(self) -> bool:
        """Whether a picture is being drawn."""
        return self._newest.busy

    def ask(self, draw: Draw) -> None:
        """Show the picture of `draw`, unless a newer one is asked for meanwhile."""
        asked = time.perf_counter()
        self._newest.ask(lambda token: (*_drawn(draw, token), asked))

    def show_error(self, error: Exception) -> None:
        """Show why there is no picture."""
        self._newest.stop()
        self._show(None, error)

    def stop(self) -> None:
        """Cancel the picture that was asked for."""
        self._newest.stop()

    def _show(self, drawn: Any, error: Exception | None) -> None:
        if error is not None:
            self._caption.setText(describe(error))
            self._picture.dim()
            return
        self.image, line, asked = drawn
        self._picture.show_image(self.image)
        self._caption.setText(line)
        self.latency = time.perf_counter() - asked


def _drawn(draw: Draw, token: CancelToken) -> tuple[NDArray[np.uint8], str]:
    image, line = draw(token)
    low, high = contrast_limits(image)
    grey = np.nan_to_num((image - low) / (high - low)).clip(0.0, 1.0)
    return (255 * grey).astype(np.uint8), line


class Picture(QWidget):
    """An image, as large as fits."""

    def __init__(self) -> None:
        super().__init__()
        self.image = QImage()
        self._dim = False
        self.setMinimumSize(_SMALLEST, _SMALLEST)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)

    def sizeHint(self) -> QSize:
        """Return room for the whole preview, a pixel for a pixel."""
        return QSize(SIDE, SIDE)

    def show_image(self, image: NDArray[np.uint8]) -> None:
        """Show an image of 8 bits, grey (H, W) or coloured (H, W, 3)."""
        rows, columns = image.shape[:2]
        grey = image.ndim == 2
        kind = QImage.Format.Format_Grayscale8 if grey else QImage.Format.Format_RGB888
        line = columns if grey else 3 * columns
        self.image = QImage(image.tobytes(), columns, rows, line, kind).copy()
        self._dim = False
        self.update()

    def dim(self) -> None:
        """Dim the picture, which no longer belongs to the settings."""
        self._dim = True
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the image into the middle."""
        if self.image.isNull():
            return
        size = self.image.size().scaled(self.size(), Qt.AspectRatioMode.KeepAspectRatio)
        place = QRect(0, 0, size.width(), size.height())
        place.moveCenter(self.rect().center())
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.setOpacity(0.3 if self._dim else 1.0)
        painter.drawImage(place, self.image)
        painter.end()
