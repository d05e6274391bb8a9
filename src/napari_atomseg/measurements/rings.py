"""Rings of bonded atoms in a two-dimensional material, and its defects."""

from __future__ import annotations

from typing import Any

import pandas as pd

from napari_atomseg.analysis import Rings, find_rings
from napari_atomseg.measurements.observation import Observation
from napari_atomseg.measurements.registry import MeasurementSettings, measurement
from napari_atomseg.measurements.report import (
    NO_SAMPLING,
    WHITE,
    PointMarks,
    PolygonMarks,
    Report,
    place,
    plural,
    rows,
    vacancy_line,
)
from napari_atomseg.progress import CancelToken, Progress, report
from napari_atomseg.settings import setting

COLOURS = {3: "#5e3c99", 4: "#8073ac", 5: "#3fa7ff", 6: "#808080", 7: "#ffa23f", 8: "#ff4040"}
"""Colours of rings by size: blue below six, warm above."""
LARGE = "#ff40ff"
"""Colour of larger ones."""
MOST_RINGS = 4000
"""More polygons make napari slow."""


LISTED = 5
"""Defects whose places are in the summary, at most; all are in the table."""
KINDS = 6
"""Kinds of rings and of defects in the summary."""


class RingSettings(MeasurementSettings):
    """Settings of rings."""

    longest_bond: float | None = setting(
        None,
        "Longest bond",
        "Atoms nearer than this may be bonded; in px without a sampling. Automatic: 1.3 times the "
        "median spacing.",
        unit="Å",
        limits=(0.0, 1e4),
        step=0.1,
        none="automatic",
    )


@measurement("Rings", order=90)
def rings(
    observation: Observation,
    settings: RingSettings,
    progress: Progress | None,
    cancel: CancelToken | None,
) -> Report:
    """Rings of bonded atoms in a two-dimensional material, and its defects.

    The result is the table of rings.
    """
    report(progress, cancel, 0, 2, "Following the bonds")
    found = find_rings(
        observation.columns, observation.sampling, longest_bond=settings.longest_bond
    )
    if not len(found.table):
        raise ValueError("the columns form no rings: look for vacancies, or use more columns")
    report(progress, cancel, 1, 2, "Drawing the rings")
    sizes = found.table["size"].value_counts().sort_index()
    lines = [NO_SAMPLING] if observation.sampling is None else []
    lines += _lines(found, len(observation.columns), known=observation.sampling is not None)
    missing = found.defects[found.defects["name"].str.contains("acancy")]
    marks: list[Any] = []
    caption: tuple[str, ...] = ()
    if len(found.members) <= MOST_RINGS:
        points = observation.columns[["y", "x"]].to_numpy()
        marks.append(
            PolygonMarks(
                "rings",
                [points[ring] for ring in found.members],
                0.06 * observation.spacing,
                WHITE,
                tuple(COLOURS.get(len(ring), LARGE) for ring in found.members),
                0.5,
                table=found.table,
                legend={str(size): COLOURS.get(size, LARGE) for size in sorted(sizes.index)},
                legend_title="atoms of a ring",
            )
        )
    else:
        caption = (f"{len(found.members)} rings are too many to draw.",)
    if len(missing):
        places = missing[["y", "x"]].to_numpy()
        marks.append(PointMarks("vacancies", places, 0.9 * observation.spacing, table=missing))
    return Report(
        tuple(lines),
        {"Rings": found.table, "Defects": found.defects},
        tuple(marks),
        caption,
        observation.columns.assign(coordination=found.coordination),
        ("coordination",),
        result="Rings",
        headline=_headline(found, len(observation.columns)),
    )


def _headline(found: Rings, atoms: int) -> str:
    """The most frequent ring, and how many atoms are missing in the others."""
    sizes = found.table["size"].value_counts()
    share = 100.0 * sizes.iloc[0] / len(found.table)
    missing = int(found.defects["missing"].clip(lower=0).sum()) if len(found.defects) else 0
    lost = f" ({100 * missing / (atoms + missing):.2g} %)" if missing else ""
    return (
        f"{plural(len(found.table), 'ring')}, {share:.3g} % of {sizes.index[0]} atoms; "
        f"{plural(len(found.defects), 'defect')}, {plural(missing, 'vacancy')}{lost} in them"
    )


def _lines(found: Rings, atoms: int, *, known: bool) -> list[str]:
    """The summary: how many of each kind, and where if they are few; the tables have them all.

    Parameters
    ----------
    known : whether the sampling is.
    """
    sizes = found.table["size"].value_counts()
    frequent = sizes.head(KINDS).sort_index()
    lines = [plural(len(found.table), "ring")]
    lines += [f"   {plural(int(n), 'ring')} of {size} atoms" for size, n in frequent.items()]
    if len(sizes) > KINDS:
        lines.append(f"   {int(sizes.iloc[KINDS:].sum())} of other sizes")
    defects = found.defects
    if not len(defects):
        return [*lines, "no defects"]
    missing = int(defects["missing"].clip(lower=0).sum())
    if missing:
        share = f"{100 * missing / (atoms + missing):.2g} %"
        area = float(found.table["area_angstrom2"].sum()) if known else float("nan")
        lines.append(f"{vacancy_line(missing, share, area)}, enclosed by rings")
    names = defects["name"].where(
        defects["name"] != defects["sizes"], "rings of " + defects["sizes"]
    )
    lines.append(f"{plural(len(defects), 'defect')}: {_counted(names.value_counts())}")
    unknown = defects["missing"].isna()
    if unknown.any():
        alike = int(names[unknown].str.startswith(("vacancy", "divacancy")).sum())
        told = f", {alike} × vacancy or divacancy among them," if alike else ""
        lines.append(
            f"   {int(unknown.sum())} of them{told} at the border or a hole, at a dislocation or "
            "disclination: what they lack is not known and not counted; Dislocations and vacancies "
            "counts empty sites of the lattice there, too"
        )
    if len(defects) <= LISTED:
        for name, row in zip(names, rows(defects), strict=True):
            lacking = 0 if pd.isna(row.missing) else int(row.missing)
            lacks = f", {plural(lacking, 'atom')} missing" if lacking else ""
            lines.append(f"   {name}{lacks}, at {place(row, known=known)}")
    else:
        lines.append("   the table Defects has their places")
    return lines


def _counted(counts: pd.Series) -> str:
    """The most frequent kinds in words, and how many others there are."""
    told = [f"{count} × {name}" for name, count in counts.head(KINDS).items()]
    others = int(counts.iloc[KINDS:].sum())
    return ", ".join([*told, f"{others} others"] if others else told)
