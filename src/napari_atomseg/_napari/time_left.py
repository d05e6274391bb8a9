"""Time that work still takes, in words, once it can be told."""

from __future__ import annotations

import time
from collections.abc import Callable

_LEAST_SECONDS = 1.5
"""Seconds of one part of the work before its pace is known."""
_LEAST_REPORTS = 3
"""Reports of it before its pace is known."""
_STEPS = (1, 2, 5, 10, 15, 20, 30, 45)
"""Seconds that are said; longer times are said in minutes."""


class TimeLeft:
    """Estimates the time left from the pace of the work.

    A part of the work, such as one network after another, is told from the next by its message and
    its number of units: the pace of one says nothing about the other, and the estimate begins anew.

    Parameters
    ----------
    clock : seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._part: tuple[int, str] | None = None
        self._start = (0.0, 0)
        self._last = 0
        self._reports = 0

    def report(self, done: int, total: int, message: str = "") -> float | None:
        """Take a report of progress, and return the seconds left of this part of the work.

        None as long as they cannot be told: a part that has just begun, or reported fewer than
        three times, or whose units are not counted.
        """
        now, part = self._clock(), (total, message)
        if part != self._part or done < self._last:
            self._part, self._start, self._reports = part, (now, done), 0
        elif done > self._last:
            self._reports += 1
        self._last = done
        began, first = self._start
        spent, units = now - began, done - first
        if total <= 0 or units <= 0 or self._reports < _LEAST_REPORTS or spent < _LEAST_SECONDS:
            return None
        return spent * (total - done) / units


def in_words(seconds: float) -> str:
    """Return a time as it is known: "about 12 s left" would promise more than a pace can say.

    Examples
    --------
    >>> in_words(11.2), in_words(200.0)
    ('about 10 s left', 'about 3 min left')
    """
    if seconds < 45:
        nearest = min(_STEPS, key=lambda step: abs(step - seconds))
        return f"about {nearest} s left"
    minutes = max(1, round(seconds / 60))
    if minutes < 90:
        return f"about {minutes} min left"
    return f"about {round(minutes / 60)} h left"
