"""Progress of `localize`: shares of its stages, within which others say what they do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from napari_atomseg.progress import CancelToken, Progress, divided, report

JUDGING = "Comparing the columns with the recorded image"
FINE = 1000
"""Steps that a part of the progress is divided into."""


def first_share(
    progress: Progress | None, cancel: CancelToken | None, share: float, part: float, message: str
) -> None:
    """Report a part of the first share of the work."""
    report(progress, cancel, round(FINE * share * part), FINE, message)


def rest_of(progress: Progress | None, share: float) -> Progress | None:
    """Progress of what follows the first share of the work."""
    if progress is None:
        return None
    whole: Progress = progress
    return lambda done, total, message: whole(
        round(FINE * (share * total + (1.0 - share) * done)), FINE * total, message
    )


@contextmanager
def part(
    progress: Progress | None, cancel: CancelToken | None, done: int, total: int, message: str
) -> Iterator[None]:
    """A part of the work, within which others say what they do, and how much of it is done."""

    def told(part: float, message: str) -> None:
        report(progress, cancel, round(FINE * (done + part)), FINE * total, message)

    told(0.0, message)
    with divided(told):
        yield
