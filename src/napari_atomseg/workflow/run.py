"""Apply a workflow to one image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import pandas as pd

from napari_atomseg._shared.types import Sampling
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
    notes : what is different from how the workflow was made, a sentence each.
    """

    values: Mapping[str, Any]
    samplings: Mapping[str, Sampling | None]
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
    notes: list[str] = []
    for number, step in enumerate(workflow.steps):
        hook = partial(part_of, progress, cancel, number, len(workflow.steps), step.name)
        hook(0, 1, "")
        notes += _compared(step)
        try:
            values[step.name] = _apply(step, values, samplings, noise, hook, cancel)
        except (ValueError, TypeError) as error:
            raise type(error)(f"{step.name}: {error}") from error
        samplings[step.name] = _sampling_after(step, samplings[step.of])
    report(progress, cancel, len(workflow.steps), len(workflow.steps), "")
    made = {name: value for name, value in values.items() if name != IMAGE}
    return Results(made, samplings, tuple(notes))


def _apply(
    step: Step,
    values: Mapping[str, Any],
    samplings: Mapping[str, Sampling | None],
    noise: Any,
    progress: Progress,
    cancel: CancelToken | None,
) -> Any:
    settings = step.what.checked(step.settings)
    if step.region is not None:
        settings["region"] = list(step.region)
    if step.what.takes == "image":
        of_it = noise if step.of == IMAGE else None
        given = Given(values[step.of], None, samplings[step.of], of_it)
        return step.what.run(given, progress, cancel, **settings)
    source = values[step.of]
    columns = source.columns if isinstance(source, Report) else source
    if columns is None:
        raise ValueError(f"{step.of!r} measured no columns")
    image = values[step.on] if len(step.inputs) > 1 else None
    given = Given(image, columns, samplings[step.of])
    return step.what.run(given, progress, cancel, **settings)


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
