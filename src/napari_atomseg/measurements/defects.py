"""Dislocations with their Burgers vectors, and vacancies of a crystal."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from napari_atomseg.analysis import find_dislocations, find_vacancies
from napari_atomseg.measurements.observation import Observation
from napari_atomseg.measurements.registry import MeasurementSettings, measurement
from napari_atomseg.measurements.report import (
    NO_SAMPLING,
    PointMarks,
    Report,
    VectorMarks,
    place,
    plural,
    rows,
    vacancy_line,
)
from napari_atomseg.progress import CancelToken, Progress, report
from napari_atomseg.settings import setting

LISTED = 5
"""Vacancies, and dislocations, whose places are in the summary, at most; the tables have all."""
BESIDE = 0.9
"""Spacings within which a column on no site may be the one that an empty site lacks."""
SYMBOL = 0.9
"""Spacings that a symbol is large."""


class DefectSettings(MeasurementSettings):
    """Settings of defects."""

    find: Literal["both", "dislocations", "vacancies"] = setting(
        "both", "Find", "Dislocations, vacancies, or both."
    )


@measurement("Dislocations and vacancies", order=70)
def defects(
    observation: Observation,
    settings: DefectSettings,
    progress: Progress | None,
    cancel: CancelToken | None,
) -> Report:
    """Dislocations with their Burgers vectors, and vacancies.

    Dislocations by circuits around triangles of neighbours that do not close, vacancies by sites of
    the lattice without a column. The result is a table with a row a defect.
    """
    tables: dict[str, pd.DataFrame] = {}
    lines = [NO_SAMPLING] if observation.sampling is None else []
    marks: list[Any] = []
    sited = observation.on_sites(None, cancel)
    if settings.find != "vacancies":
        report(progress, cancel, 0, 2, "Following circuits around the columns")
        cores = find_dislocations(observation.columns, observation.sampling)
        tables["Dislocations"] = cores
        lines += _dislocation_lines(cores, known=observation.sampling is not None)
        marks += _dislocation_marks(cores, observation.spacing) if len(cores) else []
    if settings.find != "dislocations":
        report(progress, cancel, 1, 2, "Looking for empty sites")
        empty = find_vacancies(sited.columns, observation.sampling, sited.lattice)
        tables["Vacancies"] = empty
        lines += _vacancy_lines(sited, empty)
        if len(empty):
            places = empty[["y", "x"]].to_numpy()
            marks.append(PointMarks("vacancies", places, SYMBOL * observation.spacing, table=empty))
    kinds = {"Dislocations": "dislocation", "Vacancies": "vacancy"}
    parts = [table.assign(kind=kinds[name]) for name, table in tables.items()]
    every = pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)
    headline = ", ".join(
        plural(len(tables[name]), kind) for name, kind in kinds.items() if name in tables
    )
    if settings.find != "dislocations" and len(empty):
        headline += f" ({_share(sited, empty)} of the sites)"
        if displaced := _displaced(sited, empty):
            headline += f", {displaced} of them beside a column on no site"
    return Report(
        tuple(lines),
        {"Defects": every} | tables,
        tuple(marks),
        result="Defects",
        headline=headline,
    )


def _vacancy_lines(sited: Observation, empty: pd.DataFrame) -> list[str]:
    """How many sites are empty, as a part and for the area, and where if they are few."""
    if not len(empty):
        return ["no vacancies"]
    known, lattice = sited.sampling is not None, sited.known_lattice()
    sites = _sites(sited, empty)
    area = lattice.area * float(lattice.scale.prod()) * sites / len(lattice)
    told = vacancy_line(len(empty), _share(sited, empty), area if known else float("nan"))
    lines = [f"{told}, by empty sites of the lattice"]
    beside = int((~empty["surrounded"]).sum())
    if beside:
        lines.append(
            f"   {beside} of them beside another vacancy, a hole or the border; Rings counts only "
            "those that whole rings enclose, none whose rings reach the border"
        )
    if displaced := _displaced(sited, empty):
        lines.append(
            f"   {displaced} of them beside a column on no site: it may be displaced and "
            "none missing, as where a bond is turned; Rings counts the columns"
        )
    if len(empty) > LISTED:
        return [*lines, "   the table Vacancies has their places"]
    return lines + [f"   at {place(row, known=known)}" for row in rows(empty)]


def _displaced(sited: Observation, empty: pd.DataFrame) -> int:
    """Number of empty sites that are so near to a column on no site that it may be theirs."""
    columns = sited.columns[sited.columns["sublattice"] < 0]
    if not len(columns):
        return 0
    away, _ = cKDTree(columns[["y", "x"]]).query(empty[["y", "x"]])
    return int((np.asarray(away) < BESIDE * sited.spacing).sum())


def _sites(sited: Observation, empty: pd.DataFrame) -> int:
    """Number of sites of the lattice, with a column or without."""
    return int((sited.columns["sublattice"] >= 0).sum()) + len(empty)


def _share(sited: Observation, empty: pd.DataFrame) -> str:
    return f"{100 * len(empty) / _sites(sited, empty):.2g} %"


def _dislocation_lines(found: pd.DataFrame, *, known: bool) -> list[str]:
    lines = [plural(len(found), "dislocation")]
    for row in rows(found.head(LISTED)):
        length = row.burgers_angstrom if known else np.hypot(row.burgers_y, row.burgers_x)
        lines.append(
            f"   b = [{row.burgers_a} {row.burgers_b}], {length:.3f} {'Å' if known else 'px'}, "
            f"core at {place(row, known=known)}"
        )
    if len(found) > LISTED:
        lines.append("   the table Dislocations has the others")
    if len(found):
        lines.append("[a b] of the primitive cell; the line runs into the image (FS/RH).")
    return lines


def _dislocation_marks(found: pd.DataFrame, spacing: float) -> list[Any]:
    places = found[["y", "x"]].to_numpy()
    burgers = found[["burgers_y", "burgers_x"]].to_numpy()
    return [
        PointMarks("dislocations", places, SYMBOL * spacing, table=found),
        VectorMarks("Burgers vectors", places, burgers, 0.2 * spacing, factor=2.0, table=found),
    ]
