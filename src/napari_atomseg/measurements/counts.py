"""Atoms in each column, from its cross-section."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import pandas as pd

from napari_atomseg.analysis import (
    Counts,
    count_by_library,
    count_by_mixture,
    integrate_columns,
    start_model,
)
from napari_atomseg.analysis.counting.evidence import checked_value
from napari_atomseg.analysis.counting.library import read_library
from napari_atomseg.measurements.observation import Observation
from napari_atomseg.measurements.registry import MeasurementSettings, Needs, Role, measurement
from napari_atomseg.measurements.report import Plot, PointMarks, Report, concise, number, plural
from napari_atomseg.progress import CancelToken, Progress, report
from napari_atomseg.settings import setting

if TYPE_CHECKING:
    from ase import Atoms

INTEGRAL = "integral"
"""The cross-section that is measured on the image, where there is one."""
SHOWN = 0.05
"""Least error of all atoms, and least per cent of wrong counts, that are given: a smaller one is
that of a model, which is not as good as that."""
CLOSE = 10.0
"""Differences of the criterion to the best number of classes that are listed."""
FIRST: Any = setting(
    None,
    "Fewest atoms",
    "Number of atoms in the columns of the first class. Automatic: by continuing the classes "
    "to zero.",
    limits=(0, 10_000),
    none="automatic",
)
"""The setting of every way that takes the thinnest columns."""
WIDTH: Any = setting(
    "auto",
    "Class width",
    "Width of the classes: common to all, growing with their mean, or as the ICL decides.",
    choices={
        "auto": "automatic",
        "common": "common to all",
        "growing": "growing with the mean",
    },
    section="Advanced",
)
"""The setting of every way that finds the width of classes."""
_NEW = ("count", "count_err", "count_probability")


class CountSettings(MeasurementSettings):
    """Settings of atom counts."""

    library: Annotated[str, Role.TABLE] = setting(
        "",
        "Library",
        "Table (CSV) of simulated cross-sections with the columns count and section, in Å² (px² "
        "without a sampling) times the unit of the image; without one, counts are those of a "
        "mixture of classes.",
    )
    fit_scale: bool = setting(
        False,
        "Fit library scale",
        "Find the scale of the library too, for images that are not normalized to the beam.",
    )
    components: int | None = setting(
        None,
        "Classes",
        "How many numbers of atoms there are. Automatic: as many as give the least ICL.",
        limits=(1, 200),
        none="automatic",
    )
    first: int | None = FIRST
    value: Annotated[str, Role.CROSS_SECTION] = setting(
        "volume",
        "Cross-section",
        "Feature that grows with the number of atoms; integral is that of the image over the share "
        "of each column, as in a simulated library.",
    )
    width: Literal["auto", "common", "growing"] = WIDTH
    element: str = setting(
        "",
        "Element",
        "Chemical symbol of the atoms in the 3-D start model, such as Pt; empty: the species of "
        "the columns, where these are chemical symbols.",
    )
    spacing: float | None = setting(
        None,
        "Atom spacing",
        "Distance from atom to atom along the beam, for the 3-D start model.",
        unit="Å",
        limits=(0.1, 100.0),
        step=0.1,
        decimals=3,
        none="no 3-D model",
    )

    def without_effect(self) -> tuple[str, ...]:
        """Return what only the other way of counting takes."""
        return ("components", "first") if self.library else ("fit_scale",)


@measurement("Atom counts", image=Needs.OPTIONAL, makes_atoms=True, order=100)
def counts(
    observation: Observation,
    settings: CountSettings,
    progress: Progress | None,
    cancel: CancelToken | None,
) -> Report:
    """Count the atoms of columns, by a mixture or by a simulated library.

    Use columns of one kind. The result is the table of columns with the number of atoms in each,
    its standard error and the probability that it is right. Where the numbers cannot be told, the
    report says why, and what to try.
    """
    features = list(_NEW)
    observation = with_sections(observation, settings.value)
    if settings.value == INTEGRAL and observation.aligned:
        features.append(INTEGRAL)
    found = _counted(observation, settings, progress, cancel)
    report(progress, cancel, 1, 1, "Building the model")
    area = "px²" if observation.sampling is None else "Å²"
    model, about = _model(found, observation, settings) if found.known else (None, [])
    numbers = (
        {"count": found.numbers} if found.known else {"class": 1 + np.arange(len(found.sections))}
    )
    classes = pd.DataFrame(
        {
            **numbers,
            f"section ({area})": found.sections,
            "error": found.sections_err,
            "share": found.weights,
        }
    )
    tables = {"Classes": classes}
    if len(found.criterion):
        tables["Criterion"] = found.criterion
    marks: tuple[PointMarks, ...] = ()
    if len(found.left_out):
        tables["Left out"] = found.left_out
        places = found.left_out[["y", "x"]].to_numpy()
        marks = (PointMarks("left out", places, observation.spacing, table=found.left_out),)
    headline, basis = _headline(found)
    return Report(
        (*_lines(found, area), *about),
        tables,
        marks,
        columns=found.columns,
        features=tuple(features),
        colour_by="count" if found.known else settings.value,
        plot=_plot(found, settings.value, observation),
        atoms=model,
        headline=headline,
        basis=basis,
    )


def _counted(
    observation: Observation,
    settings: CountSettings,
    progress: Progress | None,
    cancel: CancelToken | None,
) -> Counts:
    common: dict[str, Any] = {
        "sampling": observation.sampling,
        "value": settings.value,
        "width": settings.width,
        "progress": progress,
        "cancel": cancel,
    }
    if not settings.library:
        return count_by_mixture(
            observation.columns, settings.components, first=settings.first, **common
        )
    scale = None if settings.fit_scale else 1.0
    return count_by_library(
        observation.columns, read_library(settings.library), scale=scale, **common
    )


def with_sections(observation: Observation, value: str) -> Observation:
    """The observation with its cross-sections, which are measured where they are integrals.

    Raises
    ------
    ValueError
        The columns have none, or it is no cross-section.
    """
    checked_value(value)
    table = observation.columns
    if value == INTEGRAL and observation.aligned:
        table = integrate_columns(np.asarray(observation.image), table)
    elif value not in table:
        advice = "run Localize with a Gaussian fit, or choose another cross-section"
        if value == INTEGRAL:
            advice = "choose the image whose pixels the columns lie on, to integrate it"
        raise ValueError(f"the columns have no {value!r}: {advice}")
    return replace(observation, columns=table)


def left_out_lines(left_out: pd.DataFrame, total: int) -> list[str]:
    """How many columns were not counted, and why."""
    if not len(left_out):
        return []
    parts = ", ".join(f"{count} {why}" for why, count in left_out["reason"].value_counts().items())
    return [f"Left out: {len(left_out)} of {plural(total, 'column')} ({parts})."]


def _headline(found: Counts) -> tuple[str, str]:
    """Headline and basis of the report."""
    if not found.known:
        why = found.doubts[0].reason if found.doubts else ""
        return "The numbers of atoms cannot be told", why
    columns = plural(int(found.columns["count"].notna().sum()), "column")
    total, error = found.total
    atoms = concise(total, error) if error >= SHOWN else f"{total:.0f}"
    start = found.first_range
    unless = "" if start is None else f", if the thinnest have {found.numbers[0]}"
    if start is not None and start[0] < start[1]:
        unless += f" (of {start[0]} to {start[1]} possible)"
    return (
        f"{atoms} atoms in {columns}{unless}",
        f"{found.numbers[0]} to {found.numbers[-1]} atoms a column; "
        f"{_miscounted(found)} of the columns are expected to be miscounted"
        f"{' beside that' if unless else ''}",
    )


def _miscounted(found: Counts) -> str:
    """The share of wrong counts, which is that of the model and no better than it."""
    percent = 100 * found.miscounted
    return f"{percent:.2g} %" if percent >= SHOWN else f"less than {SHOWN:g} %"


def _offset_lines(found: Counts) -> list[str]:
    """Where the number of the thinnest class is from, and what it rests on."""
    thinnest = number(found.first, found.first_err)
    lines = [f"thinnest: {thinnest} atoms, by continuing the classes to zero"]
    start = found.first_range
    if start is not None:
        span = f"{start[0]} to {start[1]}" if start[0] < start[1] else f"{start[0]}"
        lines += [
            "Caution: that takes classes to be one atom apart, and an atom to add the same in thin "
            f"and thick columns, which is not in the error. With steps as uneven as those of gold "
            f"the thinnest may have {span}; what is added or taken there goes for every column.",
            "   Give the number of atoms in the thinnest column if you know it, or count by a "
            "library.",
        ]
    return lines


def _lines(found: Counts, area: str) -> list[str]:
    lines = ["The sampling is not known: cross-sections are in px²."] if area == "px²" else []
    if found.known:
        total, error = found.total
        lines += [
            f"{plural(int(found.columns['count'].notna().sum()), 'column')} of {found.numbers[0]} "
            f"to {found.numbers[-1]} atoms",
            f"{total:.0f} ± {error:.1f} atoms in all",
            f"{_miscounted(found)} of the columns are expected to be miscounted",
        ]
    else:
        lines.append("The numbers of atoms cannot be told from these cross-sections.")
        for doubt in found.doubts:
            lines += [f"Why: {doubt.reason}.", f"   Try: {doubt.remedy}."]
    lines += left_out_lines(found.left_out, len(found.columns))
    if np.isfinite(found.scale):
        return [*lines, f"scale of the library {found.scale:.4g}"]
    several = "classes" if len(found.sections) > 1 else "class"
    wide = f"{len(found.sections)} {several} of width {number(found.sigma, unit=area)}"
    if found.relative:
        wide += f" and {100 * found.relative:.2g} % of the cross-section, in quadrature"
    lines.append(wide)
    if len(found.sections) > 1:
        step = float(np.diff(found.sections).mean())
        lines.append(f"from class to class {number(step, unit=area)}")
    if found.known and np.isfinite(found.first):
        lines += _offset_lines(found)
    return [*lines, *_criterion_lines(found)]


def _criterion_lines(found: Counts) -> list[str]:
    """Numbers of classes that the criterion finds nearly as good as the chosen one."""
    if len(found.icl) < 2 or len(found.icl) == len(found.sections):
        return []
    above = found.icl - found.icl[len(found.sections) - 1]
    close = np.flatnonzero(np.abs(above) < CLOSE) + 1
    others = [f"{n} ({above[n - 1]:+.1f})" for n in close if n != len(found.sections)]
    if not others:
        return [f"ICL: any other number of classes is worse by {CLOSE:g} or more"]
    return [f"ICL: nearly as good with {', '.join(others)} classes"]


def _model(
    found: Counts, observation: Observation, settings: CountSettings
) -> tuple[Atoms | None, list[str]]:
    """Atoms in three dimensions if a spacing is given, and a note about them."""
    if settings.spacing is None:
        note = "Give the element and the atom spacing for a 3-D start model."
        return None, ["", note if not settings.element else "The 3-D model needs an atom spacing."]
    if observation.sampling is None:
        return None, ["", "The 3-D start model needs the sampling."]
    element = settings.element.strip() or _elements(found.columns)
    atoms = start_model(
        found.columns, settings.spacing, sampling=observation.sampling, element=element
    )
    return atoms, ["", f"3-D start model: {len(atoms)} atoms"]


def _elements(columns: pd.DataFrame) -> dict[Any, str]:
    """The species of columns, where these are chemical symbols."""
    from ase.data import atomic_numbers

    names = set(columns["species"].dropna()) - {""} if "species" in columns else set()
    if not names or not names <= set(atomic_numbers):
        raise ValueError(
            "the 3-D start model needs an element: give one (element, --element), or name the "
            "species of the columns by chemical symbols"
        )
    return {name: str(name) for name in names}


def _plot(found: Counts, value: str, observation: Observation) -> Plot:
    if len(found.icl):
        number_of = found.criterion["classes"].to_numpy(dtype=float)
        names = {"icl_common": "common width", "icl_growing": "growing width"}
        curves = {
            text: (number_of, found.criterion[name].to_numpy())
            for name, text in names.items()
            if name in found.criterion
        }
        return Plot(curves, "classes", "ICL", float(len(found.sections)))
    sections = observation.columns[value].to_numpy(dtype=float) * observation.pixel.prod()
    return Plot({value: sections[np.isfinite(sections)]}, "cross-section", "columns")
