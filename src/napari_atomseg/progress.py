"""Progress and cancellation: the only things that the core and a user interface share."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Progress = Callable[[int, int, str], None]
"""Called as ``progress(done, total, message)`` while work goes on, from the thread that works."""


class Cancelled(Exception):
    """The user cancelled; nothing was written and no result exists."""


class CancelToken:
    """A flag that one thread raises and the working thread looks at between its steps."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def cancel(self) -> None:
        """Ask the work to stop at its next step."""
        self._event.set()

    @property
    def cancelled(self) -> bool:
        """Whether `cancel` was called."""
        return self._event.is_set()

    def raise_if_cancelled(self) -> None:
        """Raise `Cancelled` if `cancel` was called."""
        if self.cancelled:
            raise Cancelled("cancelled")


class PauseToken(CancelToken):
    """A flag that can also hold the work between two of its steps, until it may go on."""

    def __init__(self) -> None:
        super().__init__()
        self._running = threading.Event()
        self._running.set()

    def pause(self) -> None:
        """Ask the work to wait at its next step."""
        self._running.clear()

    def resume(self) -> None:
        """Let the work go on."""
        self._running.set()

    @property
    def paused(self) -> bool:
        """Whether the work waits, or will at its next step."""
        return not self._running.is_set()

    def cancel(self) -> None:
        """Ask the work to stop at its next step, also when it waits."""
        super().cancel()
        self.resume()

    def raise_if_cancelled(self) -> None:
        """Wait while the work is paused; raise `Cancelled` if `cancel` was called."""
        if not self.cancelled:
            self._running.wait()
        super().raise_if_cancelled()


_CURRENT: ContextVar[CancelToken | None] = ContextVar("cancel", default=None)


@contextmanager
def cancellable(cancel: CancelToken | None) -> Iterator[None]:
    """Within, `checkpoint` looks at this token, in the thread that called it.

    None leaves that of the caller.
    """
    if cancel is None:
        yield
        return
    before = _CURRENT.set(cancel)
    try:
        yield
    finally:
        _CURRENT.reset(before)


def checkpoint() -> None:
    """Raise `Cancelled` if the work around was cancelled, see `cancellable`.

    For loops and layers deep inside, which know nothing of progress: they call it at least twice
    a second, so that work of any size stops within one.
    """
    cancel = _CURRENT.get()
    if cancel is not None:
        cancel.raise_if_cancelled()


_TELLER: ContextVar[Callable[[str], None] | None] = ContextVar("teller", default=None)


@contextmanager
def telling(teller: Callable[[str], None]) -> Iterator[None]:
    """Within, `tell` says by `teller` what is being done, in the thread that called it."""
    before, step = _TELLER.set(teller), _STEP.set(None)
    try:
        yield
    finally:
        _TELLER.reset(before)
        _STEP.reset(step)


class _Step:
    """A step of the progress that those who work inside it divide; it never goes back."""

    def __init__(self, teller: Callable[[float, str], None]) -> None:
        self._teller = teller
        self.first, self.last, self.done = 0.0, 1.0, 0.0

    def say(self, message: str, part: float | None) -> None:
        if part is not None:
            self.done = max(self.done, self.first + (self.last - self.first) * min(part, 1.0))
        self._teller(self.done, message)


_STEP: ContextVar[_Step | None] = ContextVar("step", default=None)


@contextmanager
def divided(teller: Callable[[float, str], None]) -> Iterator[None]:
    """Within, `tell` says by ``teller(part, message)`` also which part of the step is done, 0..1.

    Parts are those of the innermost `within`.
    """
    step = _STEP.set(_Step(teller))
    try:
        yield
    finally:
        _STEP.reset(step)


@contextmanager
def within(first: float, last: float) -> Iterator[None]:
    """Work that is this range of the step around it, each from 0 to 1; see `divided`."""
    step = _STEP.get()
    if step is None:
        yield
        return
    before, length = (step.first, step.last), step.last - step.first
    step.first, step.last = step.first + first * length, step.first + last * length
    step.done = max(step.done, step.first)
    try:
        yield
        step.done = max(step.done, step.last)
    finally:
        step.first, step.last = before


def tell(message: str, part: float | None = None) -> None:
    """Say what is being done, within a step of the progress; a `checkpoint`.

    Parameters
    ----------
    part : what is done of the range of the step that this is, 0..1, where that is known.
    """
    checkpoint()
    step, teller = _STEP.get(), _TELLER.get()
    if step is not None:
        step.say(message, part)
    elif teller is not None:
        teller(message)


def report(
    progress: Progress | None, cancel: CancelToken | None, done: int, total: int, message: str = ""
) -> None:
    """Tell `progress` how far the work is and stop it if `cancel` was raised."""
    if cancel is not None:
        cancel.raise_if_cancelled()
    if progress is not None:
        progress(done, total, message)


def stage(progress: Progress | None, number: int, stages: int) -> Progress | None:
    """Progress of one stage of work that has several of the same length, counted from 0."""
    if progress is None:
        return None
    return lambda done, total, message: progress(number * total + done, stages * total, message)


def one_of(
    progress: Progress | None, cancel: CancelToken | None, number: int, count: int, part: str = ""
) -> Progress:
    """Progress of one part of so many, such as a frame of a stack, as that of the whole.

    Parameters
    ----------
    number, count : of the parts, counted from 0.
    part : what it is called in messages; by default they do not say which one it is.
    """
    said = f"{part} {number + 1} of {count}: " if part else ""

    def told(done: int, total: int, message: str) -> None:
        steps = max(total, 1)
        report(progress, cancel, number * steps + done, count * steps, said + message)

    return told
