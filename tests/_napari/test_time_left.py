"""The time that work still takes, in words."""

from __future__ import annotations

import pytest

from napari_atomseg._napari.time_left import TimeLeft, in_words


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_nothing_is_said_before_the_pace_is_known_and_then_it_is_right() -> None:
    clock = Clock()
    left = TimeLeft(clock)
    said = []
    for done in range(21):
        said.append(left.report(done, 20, "tiles"))
        clock.now += 1.0
    assert said[:3] == [None] * 3
    assert said[3:] == pytest.approx([20.0 - done for done in range(3, 21)])


def test_the_pace_of_one_part_says_nothing_about_the_next() -> None:
    clock = Clock()
    left = TimeLeft(clock)
    for done in range(11):
        left.report(done, 10, "tiles")
        clock.now += 1.0
    assert left.report(0, 10, "columns") is None
    clock.now += 30.0
    assert left.report(1, 10, "columns") is None
    assert left.report(0, 0, "columns") is None


def test_one_report_of_many_units_is_no_pace() -> None:
    clock = Clock()
    left = TimeLeft(clock)
    left.report(0, 100, "download")
    clock.now = 60.0
    assert left.report(50, 100, "download") is None


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.2, "about 1 s left"),
        (11.4, "about 10 s left"),
        (40.0, "about 45 s left"),
        (50.0, "about 1 min left"),
        (200.0, "about 3 min left"),
        (7300.0, "about 2 h left"),
    ],
)
def test_times_are_said_no_finer_than_they_are_known(seconds: float, words: str) -> None:
    assert in_words(seconds) == words
