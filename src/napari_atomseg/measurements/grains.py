"""Grains by local orientation, and the boundaries between them."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from napari_atomseg.analysis import Grains, find_grains
from napari_atomseg.measurements.observation import Observation
from napari_atomseg.measurements.registry import MeasurementSettings, measurement
from napari_atomseg.measurements.report import (
    NO_SAMPLING,
    PolygonMarks,
    Report,
    concise,
    number,
    plural,
    rows,
)
from napari_atomseg.progress import CancelToken, Progress, report
from napari_atomseg.settings import setting


class GrainSettings(MeasurementSettings):
    """Settings of grains."""

    fold: Literal[2, 4, 6] | None = setting(
        None,
        "Symmetry",
        "The lattice looks the same turned by 360° over this: 4 for squares, 6 for hexagons, 2 for "
        "other cells.",
        choices={2: "2-fold", 4: "4-fold", 6: "6-fold"},
        none="automatic",
    )
    tolerance: float = setting(
        4.0,
        "Tolerance",
        "Misorientation from which on two parts of the crystal are two grains.",
        unit="°",
        limits=(0.1, 45.0),
        step=0.5,
    )
    smallest: int = setting(
        12, "Smallest grain", "Number of columns that a grain needs.", limits=(1, 100_000)
    )


@measurement("Grains", order=80)
def grains(
    observation: Observation,
    settings: GrainSettings,
    progress: Progress | None,
    cancel: CancelToken | None,
) -> Report:
    """Grains by local orientation, and the boundaries between them.

    Use one sublattice. The result is the table of columns with their orientation and grain.
    """
    report(progress, cancel, 0, 1, "Measuring orientations")
    found = find_grains(
        observation.columns,
        observation.sampling,
        fold=settings.fold,
        tolerance_deg=settings.tolerance,
        smallest=settings.smallest,
    )
    lines = [NO_SAMPLING] if observation.sampling is None else []
    lines.append(f"{plural(len(found.grains), 'grain')}, {found.fold}-fold symmetry")
    for row in rows(found.grains):
        angle = number(row.orientation_deg, row.orientation_deg_err, "°")
        lines.append(f"grain {row.grain}: {plural(row.columns, 'column')}, orientation {angle}")
    for row in rows(found.boundaries):
        turn = number(row.misorientation_deg, row.misorientation_deg_err, "°")
        parts = [f"misorientation {turn}"] if np.isfinite(row.misorientation_deg) else []
        parts += ["mirror twins"] if row.twin else []
        parts.append(f"{row.length:.3g} {observation.unit} long")
        lines.append(f"boundary {row.grain}|{row.other}: {', '.join(parts)}")
    if not len(found.grains):
        lines.append("Allow smaller grains, or use columns of one sublattice.")
    marks: tuple[Any, ...] = ()
    if len(found.boundaries):
        turned = np.radians(found.boundaries["direction_deg"].to_numpy())
        half = 0.5 * found.boundaries["length"].to_numpy()[:, None]
        along = half * np.stack([-np.sin(turned), np.cos(turned)], axis=1) / observation.pixel
        middle = found.boundaries[["y", "x"]].to_numpy()
        ends = np.stack([middle - along, middle + along], axis=1)
        marks = (
            PolygonMarks(
                "grain boundaries",
                ends,
                0.2 * observation.spacing,
                opacity=1.0,
                closed=False,
                table=found.boundaries,
            ),
        )
    new = ["orientation_deg", "order", "grain", "boundary"]
    columns = observation.columns.assign(**{name: found.columns[name].to_numpy() for name in new})
    return Report(
        tuple(lines),
        {"Grains": found.grains, "Boundaries": found.boundaries},
        marks,
        columns=columns,
        features=tuple(new),
        colour_by="grain" if len(found.grains) > 1 else "orientation_deg",
        record={"fold": found.fold},
        headline=_headline(found, observation.unit),
    )


def _headline(found: Grains, unit: str) -> str:
    """How many grains, and the longest boundary, or the orientation where there is one grain."""
    text = plural(len(found.grains), "grain")
    if len(found.boundaries):
        longest = found.boundaries.iloc[int(found.boundaries["length"].to_numpy().argmax())]
        turn = concise(longest["misorientation_deg"], longest["misorientation_deg_err"], "°")
        told = [f"turned by {turn}"] if np.isfinite(longest["misorientation_deg"]) else []
        told += ["mirror twins"] if longest["twin"] else []
        where = f"across the longest boundary, {longest['length']:.3g} {unit}"
        return f"{text}; {', '.join(told)} {where}"
    if len(found.grains) == 1:
        only = found.grains.iloc[0]
        angle = concise(only["orientation_deg"], only["orientation_deg_err"], "°")
        return f"{text} of {plural(int(only['columns']), 'column')}, orientation {angle}"
    return text
