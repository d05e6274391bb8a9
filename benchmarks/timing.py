"""Seconds of a job: the fastest of several runs, as other work on a machine only ever adds.

Nothing but the standard library is imported here, as peers are timed in environments of their own.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def fastest(
    job: Callable[[], T],
    repeats: int = 3,
    *,
    before: int = 0,
    clock: Callable[[], float] = time.process_time,
) -> tuple[float, T]:
    """Seconds of the fastest run of a job, and what its last run returned.

    Parameters
    ----------
    repeats : runs that count, at least one.
    before : runs before them that do not: they load, compile and plan.
    clock : CPU time of this process, or `time.perf_counter`.
    """
    for _ in range(before):
        job()
    seconds = []
    for _ in range(repeats):
        start = clock()
        result = job()
        seconds.append(clock() - start)
    return min(seconds), result
