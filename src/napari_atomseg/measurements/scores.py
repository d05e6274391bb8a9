"""Columns beside true ones: how many are found, and how far off."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from napari_atomseg.analysis import match
from napari_atomseg.analysis import scores as scores_of
from napari_atomseg.io import read_columns
from napari_atomseg.measurements.observation import Observation
from napari_atomseg.measurements.registry import MeasurementSettings, Role, measurement
from napari_atomseg.measurements.report import PointMarks, Report, number, plural
from napari_atomseg.progress import CancelToken, Progress, report
from napari_atomseg.settings import setting


class ScoreSettings(MeasurementSettings):
    """Settings of scores."""

    truth: Annotated[str, Role.TABLE] = setting(
        "", "True columns", "Table of the true columns, such as one that a simulation has written."
    )
    radius: float | None = setting(
        None,
        "Match radius",
        "Largest distance of a column from the true one. Automatic: half the median spacing.",
        unit="px",
        limits=(0.0, 1e4),
        step=1.0,
        decimals=1,
        none="automatic",
    )


@measurement("Scores against true columns", order=140)
def scores(
    observation: Observation,
    settings: ScoreSettings,
    progress: Progress | None,
    cancel: CancelToken | None,
) -> Report:
    """Precision, recall and distances of columns against the true ones.

    The result is the table of columns with the distance from the true one; NaN for false ones.
    """
    if not settings.truth:
        raise ValueError("choose the table of the true columns")
    report(progress, cancel, 0, 1, "Matching")
    columns, truth = observation.columns, read_columns(settings.truth)
    radius = 0.5 * observation.spacing if settings.radius is None else settings.radius
    found = scores_of(columns, truth, radius)
    ours, theirs = match(columns, truth, radius)
    offset = np.full((len(columns), 2), np.nan)
    offset[ours] = (columns[["y", "x"]].to_numpy()[ours]) - truth[["y", "x"]].to_numpy()[theirs]
    missed = truth.drop(index=truth.index[theirs]).reset_index(drop=True)
    lines = [
        f"{plural(found.matched, 'column')} of {found.truth} found, "
        f"{found.found - found.matched} false, within {number(radius, unit='px')}",
        f"precision {found.precision:.4f}, recall {found.recall:.4f}, F1 {found.f1:.4f}",
        f"distance: rms {number(found.rmse, unit='px')}, median {number(found.median, unit='px')}",
        f"mean offset: y {found.bias[0]:.3g}, x {found.bias[1]:.3g} px",
    ]
    marks = PointMarks("missed", missed[["y", "x"]].to_numpy(), 0.9 * observation.spacing)
    return Report(
        tuple(lines),
        {"Missed": missed},
        (marks,) if len(missed) else (),
        columns=columns.assign(
            offset_y=offset[:, 0], offset_x=offset[:, 1], distance=np.hypot(*offset.T)
        ),
        features=("offset_y", "offset_x", "distance"),
        colour_by="distance",
        headline=f"F1 {found.f1:.4f}: {found.matched} of {plural(found.truth, 'column')} found, "
        f"{found.found - found.matched} false; {found.rmse:.3g} px off (rms)",
    )
