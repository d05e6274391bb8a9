"""Work off the GUI thread: results, errors, cancellation, closing."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from napari.utils.notifications import notification_manager
from qtpy.QtCore import QThread

from napari_atomseg._napari.jobs import Job
from napari_atomseg.progress import Cancelled, CancelToken, Progress

pytestmark = pytest.mark.usefixtures("qtbot")


def steps(progress: Progress, cancel: CancelToken) -> str:
    """Work of ten seconds that looks at its cancel token."""
    for step in range(1000):
        cancel.raise_if_cancelled()
        progress(step, 1000, "working")
        time.sleep(0.01)
    return "finished"


def started(work: Any, show: Any = lambda value: value) -> Job:
    job = Job("Test", work, show)
    job.start()
    return job


def test_works_in_another_thread_and_shows_in_this_one() -> None:
    job = started(
        lambda progress, cancel: threading.get_ident(),
        lambda worker: (worker, threading.get_ident()),
    )
    worker, shower = job.result(10)
    assert shower == threading.get_ident() != worker


def test_progress_arrives_in_the_gui_thread() -> None:
    seen: list[tuple[int, int, str, bool]] = []
    job = Job("Test", lambda progress, cancel: progress(3, 3, "all"), lambda value: value)
    job.progressed.connect(
        lambda *report: seen.append((*report, QThread.currentThread() is job.thread()))
    )
    job.start()
    job.wait(10)
    assert seen == [(3, 3, "all", True)]


@pytest.mark.parametrize(
    "error",
    [
        ValueError("the image is empty"),
        RuntimeError("out of memory"),
        MemoryError(),
        OSError(5, "x"),
    ],
)
def test_every_error_is_told_in_one_line(error: Exception) -> None:
    notification_manager.records.clear()

    def fail(progress: Progress, cancel: CancelToken) -> None:
        raise error

    job = started(fail)
    with pytest.raises(type(error)):
        job.result(10)
    (notice,) = notification_manager.records
    assert notice.message.startswith("Test: ")
    assert "\n" not in notice.message
    assert (str(error) or type(error).__name__) in notice.message


def test_error_while_showing_is_told_too() -> None:
    notification_manager.records.clear()

    def fail(value: Any) -> None:
        raise ValueError("no place for it")

    job = started(lambda progress, cancel: 1, fail)
    assert job.wait(10)
    assert isinstance(job.error, ValueError)
    assert "no place for it" in notification_manager.records[0].message


def test_cancelled_work_shows_nothing_and_says_nothing() -> None:
    notification_manager.records.clear()
    shown: list[str] = []
    job = started(steps, shown.append)
    assert not job.wait(0.1)
    job.cancel()
    with pytest.raises(Cancelled):
        job.result(5)
    assert shown == []
    assert notification_manager.records == []


def test_cancel_after_the_work_but_before_its_result_shows_nothing() -> None:
    shown: list[int] = []
    worked = threading.Event()
    job = started(lambda progress, cancel: worked.set(), shown.append)
    assert worked.wait(10)
    job.cancel()
    assert job.wait(10)
    assert job.cancelled
    assert shown == []


def test_napari_stops_the_work_when_it_closes() -> None:
    job = started(steps)
    job._worker.quit()
    assert job.wait(5)
    assert job.cancelled


def test_result_can_be_awaited_from_another_thread() -> None:
    job = started(lambda progress, cancel: 42)
    results: list[int] = []
    waiter = threading.Thread(target=lambda: results.append(job.result(10)))
    waiter.start()
    assert job.wait(10)
    waiter.join(10)
    assert results == [42]


def test_waiting_ends_after_the_timeout() -> None:
    job = started(steps)
    with pytest.raises(TimeoutError, match=r"0\.05"):
        job.result(0.05)
    job.cancel()
    assert job.wait(5)
