"""Apply a workflow to one image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from napari_atomseg._shared.types import Sampling
from napari_atomseg.alignment.settings import NOISE
from napari_atomseg.measurements import Report
from napari_atomseg.progress import CancelToken, Progress, report
from napari_atomseg.workflow.actions import Given, identity
from napari_atomseg.workflow.steps import IMAGE, Step, Workflow


@dataclass(frozen=True)
class Results:
    """What the steps of a workflow made of an image.

    Attributes
    ----------
    values : by the name of each step: a restored image (..., H, W), labels (..., H, W), a table of
        columns, or a `Report`.
    samplings : Å per pixel of each of these images; None where it is not known.
    noises : how far the pixels of averages share their noise, by the name of their step.
    notes : what is different from how the workflow was made, a sentence each.
    """

    values: Mapping[str, Any]
    samplings: Mapping[str, Sampling | None]
    noises: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> Any:
        return self.values[name]

    def columns(self, name: str) -> pd.DataFrame | None:
        """The columns that a step found or measured; None where it has none."""
        value = self.values[name]
        return value.columns if isinstance(value, Report) else value


def run(
    workflow: Workflow,
    image: Any,
    *,
    sampling: Sampling | None = None,
    noise: Any = None,
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
) -> Results:
    """Apply a workflow to an image; the same as calling the functions one after another.

    Parameters
    ----------
    workflow : its steps.
    image : (..., H, W) real numbers.
    sampling : Å per pixel of the image, one number or (dy, dx); that of the workflow, where it has
        one, takes precedence.
    noise : how far pixels of the image share their noise, where that is known; see `localize`.

    Returns
    -------
    Results.

    Raises
    ------
    ValueError, TypeError
        A step cannot be applied; the message begins with its name.
    WeightsError
        The file of a model cannot be used.
    Cancelled
        `cancel` was set.
    """
    pixel = sampling if workflow.sampling is None else workflow.sampling
    values: dict[str, Any] = {IMAGE: image}
    samplings: dict[str, Sampling | None] = {IMAGE: pixel}
    noises = {} if noise is None else {IMAGE: noise}
    notes: list[str] = []
    for number, step in enumerate(workflow.steps):
        hook = partial(part_of, progress, cancel, number, len(workflow.steps), step.name)
        hook(0, 1, "")
        notes += _compared(step)
        try:
            made = _apply(step, values, samplings, noises, hook, cancel)
        except (ValueError, TypeError) as error:
            raise type(error)(f"{step.name}: {error}") from error
        if step.action == "align":
            noises[step.name] = made.record()[NOISE]
            notes += [f"{step.name}: {note}" for note in made.notes]
            made = made.average
        values[step.name] = made
        samplings[step.name] = _sampling_after(step, samplings[step.of])
    report(progress, cancel, len(workflow.steps), len(workflow.steps), "")
    found = {name: value for name, value in values.items() if name != IMAGE}
    return Results(found, samplings, noises, tuple(notes))


def _apply(
    step: Step,
    values: Mapping[str, Any],
    samplings: Mapping[str, Sampling | None],
    noises: Mapping[str, Any],
    progress: Progress,
    cancel: CancelToken | None,
) -> Any:
    settings = step.what.checked(step.settings)
    if step.region is not None:
        settings["region"] = list(step.region)
    on_columns = step.what.takes == "columns"
    source = step.of if on_columns else step.columns
    columns = None if not source else _columns_of(step, source, values)
    pixels = step.of if not on_columns else step.on if step.with_image else ""
    image = _framed(values[pixels], step.frame) if pixels else None
    given = Given(image, columns, samplings[step.of], noises.get(step.of))
    return step.what.run(given, progress, cancel, **settings)


def _framed(image: Any, frame: tuple[int, ...] | None) -> Any:
    """One image of a stack; a single image stands for the frame that was taken of it before.

    Raises
    ------
    ValueError
        The stack has no such frame.
    """
    shape = np.shape(image)[:-2]
    if frame is None or not shape:
        return image
    if len(frame) != len(shape) or any(not 0 <= i < n for i, n in zip(frame, shape, strict=True)):
        raise ValueError(f"frame={list(frame)} is none of a stack of shape {shape}")
    return image[frame]


def _columns_of(step: Step, source: str, values: Mapping[str, Any]) -> pd.DataFrame:
    """The columns that a step takes of those of another: all, or those of its frame."""
    value, frame = values[source], step.frame
    columns = value.columns if isinstance(value, Report) else value
    if columns is None:
        raise ValueError(f"{source!r} measured no columns")
    if frame is None or "frame" not in columns:
        return columns
    shape = np.shape(values[IMAGE])[:-2]
    number = frame[0] if len(frame) == 1 else int(np.ravel_multi_index(frame, shape))
    attrs = columns.attrs
    columns = columns[columns["frame"] == number].reset_index(drop=True)
    columns.attrs = attrs
    return columns


def _sampling_after(step: Step, before: Sampling | None) -> Sampling | None:
    """Å per pixel of what a step makes: only one task has other pixels."""
    if step.settings.get("task") != "upinterpolation" or before is None:
        return before
    return before / 2 if isinstance(before, (int, float)) else (before[0] / 2, before[1] / 2)


def _compared(step: Step) -> list[str]:
    """A note where the weights of today are not those that a step was made with."""
    if not step.sha256 or not step.what.uses_model:
        return []
    name, sha256 = identity(step.settings.get("model"))
    if sha256 == step.sha256:
        return []
    return [
        f"{step.name}: made with other weights of {step.model} ({step.sha256[:8]}); "
        f"those used now are {name} ({sha256[:8]})"
    ]


def part_of(
    progress: Progress | None,
    cancel: CancelToken | None,
    number: int,
    count: int,
    name: str,
    done: int,
    total: int,
    message: str,
) -> None:
    """Report the progress of one part as that of the whole: the `number`-th of `count`."""
    text = f"{name}: {message}" if message else name
    report(progress, cancel, number * max(total, 1) + done, count * max(total, 1), text)
