"""Work off the GUI thread: progress, cancellation, errors as notifications.

The work runs in a *function* worker that never raises: napari's generator workers lose
RuntimeErrors (which torch raises when memory runs out) and then seem to run for ever.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from napari.qt.threading import create_worker
from napari.utils.notifications import show_error
from qtpy.QtCore import (  # type: ignore[attr-defined]
    QCoreApplication,
    QEventLoop,
    QObject,
    QThread,
    Signal,
)
from qtpy.QtWidgets import QLabel
from superqt.utils import FunctionWorker

from napari_atomseg._napari.message import Message
from napari_atomseg.progress import Cancelled, CancelToken, PauseToken, Progress, cancellable

Work = Callable[[Progress, CancelToken], Any]
"""Runs in another thread; touches no widget, viewer or layer."""
Show = Callable[[Any], Any]
"""Takes the result of the work in the GUI thread; adds layers and returns them."""

_REFRESH = 0.05
"""Seconds between two reports of progress to the panel."""
_log = logging.getLogger(__name__)


class _Worker(FunctionWorker):  # type: ignore[type-arg]
    """A worker that `quit` really stops: napari calls it when its window or the program closes."""

    def quit(self) -> None:
        super().quit()
        task: Any = self._func
        task.token.cancel()


class _Task:
    """The function of the worker; napari shows its name when asked to close while it runs."""

    def __init__(self, name: str, work: Work, progress: Progress) -> None:
        self.name, self._work, self._progress = name, work, progress
        self.token = PauseToken()
        self.value: Any = None
        self.error: BaseException | None = None
        self._reported = 0.0

    def __str__(self) -> str:
        return self.name

    def __call__(self) -> None:
        try:
            with cancellable(self.token):
                self.value = self._work(self._report, self.token)
        except Exception as error:
            self.error = error

    def _report(self, done: int, total: int, message: str) -> None:
        now = time.monotonic()
        if done >= total or now - self._reported > _REFRESH:
            self._reported = now
            self._progress(done, total, message)


class Job(QObject):
    """One piece of work that was started from a panel.

    Created and settled in the GUI thread. Scripts wait for it with `result` or `wait`, from any
    thread; in the GUI thread waiting keeps the window alive.
    """

    progressed = Signal(int, int, str)
    settled = Signal()

    def __init__(self, name: str, work: Work, show: Show) -> None:
        super().__init__()
        self.name = name
        self._show: Show | None = show
        self._task = _Task(name, work, self.progressed.emit)
        self._result: Any = None
        self._error: BaseException | None = None
        self._done = threading.Event()
        self._worker = create_worker(
            self._task, _worker_class=_Worker, _start_thread=False, _ignore_errors=True
        )
        self._worker.finished.connect(self._settle)
        self._worker.warned.connect(self._log_warning)

    @classmethod
    def failed(cls, name: str, error: Exception) -> Job:
        """Return a job that could not begin, and show the user why."""
        job = cls(name, lambda progress, cancel: None, lambda value: None)
        job._task.error = error
        job._settle()
        return job

    def start(self) -> None:
        """Start working in another thread."""
        self._worker.start()

    def cancel(self) -> None:
        """Ask the work to stop at its next step; its result is discarded."""
        self._task.token.cancel()

    def pause(self) -> None:
        """Ask the work to wait at its next step."""
        self._task.token.pause()

    def resume(self) -> None:
        """Continue work that was paused."""
        self._task.token.resume()

    @property
    def paused(self) -> bool:
        """Whether the work waits, or will at its next step."""
        return self._task.token.paused

    @property
    def done(self) -> bool:
        """Whether the work ended and its layers, if there are any, are in the viewer."""
        return self._done.is_set()

    @property
    def cancel_requested(self) -> bool:
        """Whether `cancel` was called, be the work over or not."""
        return self._task.token.cancelled

    @property
    def cancelled(self) -> bool:
        """Whether it ended because it was cancelled."""
        return isinstance(self._error, Cancelled)

    @property
    def error(self) -> BaseException | None:
        """Why it ended without a result; None while it runs and after success."""
        return self._error

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the job is done, or for `timeout` seconds; return whether it is done."""
        if QThread.currentThread() is not self.thread():
            return self._done.wait(timeout)
        end = None if timeout is None else time.monotonic() + timeout
        while not self.done and (end is None or time.monotonic() < end):
            QCoreApplication.processEvents(QEventLoop.ProcessEventsFlag.AllEvents, 50)
            self._done.wait(0.005)
        return self.done

    def result(self, timeout: float | None = None) -> Any:
        """Wait, and return the layers or whatever else `show` returned.

        Raises
        ------
        Cancelled
            If the job was cancelled.
        TimeoutError
            If it is still running after `timeout` seconds.
        Exception
            Whatever went wrong in the work.
        """
        if not self.wait(timeout):
            raise TimeoutError(f"{self.name} is still running after {timeout} s")
        if self._error is not None:
            raise self._error
        return self._result

    def _settle(self) -> None:
        task, show = self._task, self._show
        self._show = None
        if self.done or show is None:
            return
        if task.token.cancelled:
            self._error = Cancelled(f"{self.name} was cancelled")
        else:
            self._error = task.error
        if self._error is None:
            try:
                self._result = show(task.value)
            except Exception as error:
                self._error = error
        task.value = None
        if self._error is not None and not self.cancelled:
            _log.debug("%s failed", self.name, exc_info=self._error)
            show_error(f"{self.name}: {describe(self._error)}")
        self._done.set()
        self.settled.emit()

    def _log_warning(self, warning: tuple[Any, ...]) -> None:
        _log.info("%s: %s", self.name, warning[0])


def describe(error: BaseException) -> str:
    """Return one readable line about an error, without a traceback."""
    text = str(error).strip()
    line = text.splitlines()[0] if text else type(error).__name__
    expected = isinstance(error, (ValueError, TypeError, OSError, ImportError))
    return line if expected or not text else f"{type(error).__name__}: {line}"


def attempt(title: str, act: Callable[[], Any], message: QLabel | Message) -> Any:
    """Do what a button asks for at once; an error becomes a message and a notification.

    Parameters
    ----------
    title : of the panel, which begins the notification.
    act : the action.
    message : the panel's line for messages.

    Returns
    -------
    The result of the action; None if it failed.
    """
    try:
        return act()
    except (ValueError, TypeError, OSError, ImportError) as error:
        message.setText(describe(error))
        show_error(f"{title}: {describe(error)}")
        return None
