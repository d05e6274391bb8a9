"""The tasks of networks and the channels that hold them, without PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

Modality = Literal["STEM", "TEM", "SEM"]
"""Instruments whose images models are trained for."""

ELEMENTS = "elements"
"""The task with a channel for each species: the probability of a disc about its columns."""

LINE_SHIFTS = "line_shifts"
"""The task of displacements (y, x) of the scan lines in pixels, and the logarithms of their
standard deviations: four channels, each constant along a line."""

COLUMNS = ("column_map", "column_mask")
"""Tasks about all columns, which also follow from the discs of the species."""

UPINTERPOLATION = "upinterpolation"
"""The denoised image with four pixels for each: computed from `denoise`, without a channel."""

COARSE = {UPINTERPOLATION: "denoise"}
"""Task whose map, on the pixels of the image, a finer one is interpolated from."""


def predictable(tasks: Sequence[str]) -> tuple[str, ...]:
    """The tasks that a network of `tasks` can do: its own and those derived from them."""
    derived = COLUMNS if ELEMENTS in tasks else ()
    finer = tuple(task for task, coarse in COARSE.items() if coarse in tasks)
    return (*tasks, *(task for task in (*derived, *finer) if task not in tasks))


TASKS = ("denoise", "denoise_background", "superresolution", "column_map", "column_mask")
"""Tasks of the column networks, in the order of their channels."""


TARGETS = {
    "denoise": "no_noise",
    "denoise_background": "no_background_no_noise",
    "superresolution": "no_noise_no_background_superresolution",
    "column_map": "gaussian_mask",
    "column_mask": "circular_mask",
    ELEMENTS: "elements",
    LINE_SHIFTS: "line_shifts",
}
"""The target that each task is trained on."""


RESTORATION = ("denoise", "denoise_background", "superresolution")
"""Tasks whose output is an intensity, equivariant to scale and offset of the image."""


LINEAR = (*RESTORATION, LINE_SHIFTS)
"""Tasks whose channels are used as they are; those of the others are logits of probabilities."""


INTENSITIES = (*RESTORATION, UPINTERPOLATION)
"""All tasks whose map is an intensity, with a channel or without."""


SUPERRESOLUTION_UNIT = 4.0
"""A super-resolved column is half as wide and four times as high; the channel is scaled by this."""


CHANNELS = {LINE_SHIFTS: 4}
"""Channels of the tasks that have more than one; `elements` has one a species."""


def channels(tasks: Sequence[str], species: Sequence[str] = ()) -> int:
    """Channels of a network for the tasks: see `CHANNELS`, and one a species for `elements`."""
    return sum(len(species) if task == ELEMENTS else CHANNELS.get(task, 1) for task in tasks)


def spans(tasks: Sequence[str], count: int) -> dict[str, slice]:
    """Slices of the channels of each task among `count` channels; `elements` has the rest.

    Raises
    ------
    ValueError
        The number of channels does not fit the tasks.
    """
    rest = count - channels(tasks) if ELEMENTS in tasks else 1
    places, start = {}, 0
    for task in tasks:
        stop = start + (rest if task == ELEMENTS else CHANNELS.get(task, 1))
        places[task] = slice(start, stop)
        start = stop
    if rest < 1 or start != count:
        raise ValueError(f"{count} channels do not fit the tasks {', '.join(tasks)}")
    return places
