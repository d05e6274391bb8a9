"""Rings of bonded atoms in a two-dimensional material, and its defects."""

from __future__ import annotations

from typing import Any

import pandas as pd

from napari_atomseg.analysis import find_rings
from napari_atomseg.measurements.observation import Observation
from napari_atomseg.measurements.registry import MeasurementSettings, measurement
from napari_atomseg.measurements.report import (
    NO_SAMPLING,
    WHITE,
    PointMarks,
    PolygonMarks,
    Report,
    plural,
    rows,
)
from napari_atomseg.progress import CancelToken, Progress, report
from napari_atomseg.settings import setting

COLOURS = {3: "#5e3c99", 4: "#8073ac", 5: "#3fa7ff", 6: "#808080", 7: "#ffa23f", 8: "#ff4040"}
"""Colours of rings by size: blue below six, warm above."""
LARGE = "#ff40ff"
"""Colour of larger ones."""
MOST_RINGS = 4000
"""More polygons make napari slow."""


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
    lines.append(plural(len(found.table), "ring"))
    lines += [f"   {count} rings of {size} atoms" for size, count in sizes.items()]
    lines.append(plural(len(found.defects), "defect"))
    lines += [_defect_line(row) for row in rows(found.defects)]
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
    )


def _defect_line(row: Any) -> str:
    missing = "" if pd.isna(row.missing) else f", {plural(int(row.missing), 'atom')} missing"
    name = row.name if row.name != row.sizes else f"rings of {row.sizes}"
    return f"   {name}{missing}, at y {row.y:.1f}, x {row.x:.1f} px"
