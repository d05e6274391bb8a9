"""Atoms in each column, by its cross-section."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from napari_atomseg._napari.measure.settings import INTEGRAL
from napari_atomseg._napari.measure.task import NO_SAMPLING, Outcome, Plot, Task, number
from napari_atomseg.progress import CancelToken, Progress, report

if TYPE_CHECKING:
    from ase import Atoms

    from napari_atomseg.analysis import Counts

_NAMES = ["count", "count_err", "count_probability"]
UNSURE = 0.3
"""Atoms; an offset known no better than this may be another one."""


def counts(task: Task, progress: Progress, cancel: CancelToken) -> Outcome:
    """Count the atoms in the way that is chosen."""
    settings = task.settings
    features = _NAMES
    if settings.value == INTEGRAL:
        task, features = _integrated(task), [*_NAMES, INTEGRAL]
    elif settings.value not in task.columns:
        raise ValueError(
            f"the columns have no {settings.value!r}: run Localize with a Gaussian fit, "
            "or choose another cross-section"
        )
    count = _mixture if settings.method == "mixture" else _library
    found = count(task, progress, cancel)
    report(progress, cancel, 1, 1, "Building the model")
    area = "px²" if task.sampling is None else "Å²"
    lines = [NO_SAMPLING.replace("lengths", "cross-sections")] if task.sampling is None else []
    total, error = found.total
    lines += [
        f"{len(found.columns)} columns of {found.numbers[0]} to {found.numbers[-1]} atoms",
        f"{number(total, error)} atoms in all",
        f"{100 * found.miscounted:.2g} % of the columns are expected to be miscounted",
    ]
    lines += _mixture_lines(found, area) if settings.method == "mixture" else _scale_lines(found)
    model, said = _model(found, task)
    table = pd.DataFrame(
        {
            "count": found.numbers,
            f"section ({area})": found.sections,
            "error": found.sections_err,
            "share": found.weights,
        }
    )
    return Outcome(
        (*lines, *said),
        found.columns[features],
        "count",
        tables={"Classes": table},
        plot=_plot(found, settings.value, task),
        atoms=model,
    )


def _integrated(task: Task) -> Task:
    """The columns with the integral of the image over the share of each."""
    from napari_atomseg.analysis import integrate_columns

    if task.image is None or not task.aligned:
        raise ValueError("choose the image whose pixels the columns lie on, to integrate it")
    return replace(task, columns=integrate_columns(np.asarray(task.image), task.columns))


def _mixture(task: Task, progress: Progress, cancel: CancelToken) -> Counts:
    from napari_atomseg.analysis import count_by_mixture

    settings = task.settings
    return count_by_mixture(
        task.columns,
        None if settings.components is None else int(settings.components),
        sampling=task.sampling,
        value=settings.value,
        first=None if settings.first is None else int(settings.first),
        progress=progress,
        cancel=cancel,
    )


def _library(task: Task, progress: Progress, cancel: CancelToken) -> Counts:
    from napari_atomseg.analysis import count_by_library
    from napari_atomseg.analysis.counting.library import read_library

    settings = task.settings
    if not settings.library:
        raise ValueError("choose a table of simulated cross-sections (CSV: count, section) first")
    return count_by_library(
        task.columns,
        read_library(settings.library),
        sampling=task.sampling,
        value=settings.value,
        scale=None if settings.scale else 1.0,
        progress=progress,
        cancel=cancel,
    )


def _mixture_lines(found: Counts, area: str) -> list[str]:
    lines = [f"{len(found.numbers)} classes of width {number(found.sigma, unit=area)}"]
    if found.relative:
        lines.append(f"and {100 * found.relative:.2g} % of the cross-section, in square")
    if len(found.numbers) > 1:
        step = float(np.diff(found.sections).mean())
        lines.append(f"an atom adds {number(step, unit=area)}")
    if np.isfinite(found.first):
        lines.append(f"thinnest, by continuing to zero: {number(found.first, found.first_err)}")
        if found.first_err > UNSURE or abs(found.first - round(found.first)) > UNSURE:
            lines.append("That is unsure: all counts may be off by the same number.")
    elif len(found.numbers) == 1:
        lines.append("One class does not tell how many atoms it has: set Thinnest has.")
    return lines


def _scale_lines(found: Counts) -> list[str]:
    return [f"scale of the library {found.scale:.4g}"]


def _model(found: Counts, task: Task) -> tuple[Atoms | None, list[str]]:
    """Atoms in three dimensions if that was asked for, and what to say about them."""
    from napari_atomseg.analysis import start_model

    element, height = task.settings.element.strip(), task.settings.atom_spacing
    if not element and height is None:
        return None, ["", "Give an element and the atom spacing for a 3-D start model."]
    if not element or height is None or task.sampling is None:
        lacks = "the sampling" if task.sampling is None else "both element and atom spacing"
        return None, ["", f"The 3-D start model needs {lacks}."]
    atoms = start_model(found.columns, height, sampling=task.sampling, element=element)
    return atoms, ["", f"3-D start model: {len(atoms)} atoms. Save it below."]


def _plot(found: Counts, value: str, task: Task) -> Plot:
    if len(found.icl):
        number_of = 1.0 + np.arange(len(found.icl))
        chosen = float(len(found.numbers))
        return Plot({"ICL": (number_of, found.icl)}, "classes", "ICL", chosen)
    sections = task.columns[value].to_numpy(dtype=float) * task.pixel.prod()
    return Plot({value: sections[np.isfinite(sections)]}, "cross-section", "columns")
