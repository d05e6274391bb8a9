"""Which tasks a network can do, without PyTorch."""

from __future__ import annotations

from collections.abc import Sequence

ELEMENTS = "elements"
"""The task with a channel a species, each the probability of a disc about its columns."""

COLUMNS = ("column_map", "column_mask")
"""Tasks about all columns, which follow from the discs of the species, too."""

UPINTERPOLATION = "upinterpolation"
"""The denoised image with four pixels in the place of each: no channel, it follows from `denoise`.
"""

COARSE = {UPINTERPOLATION: "denoise"}
"""The map on the image's own pixels that a finer one is interpolated from."""


def predictable(tasks: Sequence[str]) -> tuple[str, ...]:
    """The tasks that a network of `tasks` can do: its own, and what follows from them."""
    derived = COLUMNS if ELEMENTS in tasks else ()
    finer = tuple(task for task, coarse in COARSE.items() if coarse in tasks)
    return (*tasks, *(task for task in (*derived, *finer) if task not in tasks))
