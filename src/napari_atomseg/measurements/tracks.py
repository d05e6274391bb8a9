"""Columns of the frames of a stack as tracks."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pandas as pd

from napari_atomseg.analysis import Tracks, link_tracks
from napari_atomseg.measurements.observation import Observation
from napari_atomseg.measurements.registry import MeasurementSettings, Needs, measurement
from napari_atomseg.measurements.report import (
    GREEN,
    NO_SAMPLING,
    Plot,
    PointMarks,
    Report,
    TrackMarks,
    VectorMarks,
    concise,
    number,
    plural,
    rows,
)
from napari_atomseg.progress import CancelToken, Progress, report
from napari_atomseg.settings import setting

LISTED = 8
"""Hops and vacancies in the summary; all are in the tables."""
REST = 0.3
"""What columns stray beside the error of their places, over that, from which on it is said."""


class TrackSettings(MeasurementSettings):
    """Settings of tracks."""

    drift: Literal["kept", "removed"] = setting(
        "kept",
        "Drift",
        "Kept: tracks are drawn on the columns of each frame. Removed: as if the specimen had "
        "stayed where it is in the first frame.",
    )
    patience: int = setting(
        0,
        "Max. gap (frames)",
        "Number of frames in which a column may be missing without being a vacancy.",
        limits=(0, 100_000),
    )
    hop: float | None = setting(
        None,
        "Longest hop",
        "Largest distance of a hop. Automatic: 1.6 typical spacings.",
        unit="px",
        limits=(0.0, 1e4),
        step=1.0,
        decimals=1,
        none="automatic",
    )
    reach: float | None = setting(
        None,
        "Site radius",
        "Largest distance of a column from its site. Automatic: 0.45 typical spacings.",
        unit="px",
        limits=(0.0, 1e4),
        step=1.0,
        decimals=1,
        none="automatic",
        section="Advanced",
    )
    shape: tuple[int, int] | None = setting(
        None,
        "Frame size",
        "Rows and columns of a frame, beyond which a site is out of view; by default those of the "
        "image, or what the columns span.",
        unit="px",
        limits=(1, 1_000_000),
        none="auto",
        section="Advanced",
    )


@measurement("Tracks", image=Needs.OPTIONAL, stack=True, order=130)
def tracks(
    observation: Observation,
    settings: TrackSettings,
    progress: Progress | None,
    cancel: CancelToken | None,
) -> Report:
    """Link the columns of a stack: drift, tracks, vacancies and hops.

    The result is the table of columns with their site and track, and their position without the
    drift.
    """
    if "frame" not in observation.columns or observation.columns["frame"].nunique() < 2:
        raise ValueError("tracks need columns of several frames: run Localize on a stack")
    found = link_tracks(
        observation.columns,
        sampling=observation.sampling,
        shape=settings.shape or observation.shape,
        reach=settings.reach,
        hop=settings.hop,
        patience=settings.patience,
        progress=progress,
        cancel=cancel,
    )
    report(progress, cancel, 1, 1, "Drawing the tracks")
    table = found.columns
    drawn = ["y_steady", "x_steady"] if settings.drift == "removed" else ["y", "x"]
    data = table[["track", "frame", *drawn]].sort_values(["track", "frame"]).to_numpy(dtype=float)
    frames = np.arange(len(found.drift))
    drift = pd.DataFrame({"frame": frames, "dy": found.drift[:, 0], "dx": found.drift[:, 1]})
    drift[["dy_err", "dx_err"]] = found.drift_err
    shift = found.drift * observation.pixel
    return Report(
        tuple(_lines(found, observation)),
        {
            "Vacancies": found.vacancies,
            "Hops": found.hops.assign(y=found.hops["from_y"], x=found.hops["from_x"]),
            "Sites": found.sites,
            "Drift": drift,
        },
        (
            TrackMarks("tracks", data, max(30, len(found.drift))),
            *_events(found, observation.spacing),
        ),
        (f"Tracks are drawn with the drift {settings.drift}.",),
        table,
        ("site", "track", "y_steady", "x_steady"),
        plot=Plot(
            {"dy": (frames, shift[:, 0]), "dx": (frames, shift[:, 1])},
            "frame",
            f"drift ({observation.unit})",
        ),
        record={"drift": found.drift.tolist(), "drift_err": found.drift_err.tolist()},
        headline=_headline(found, observation),
    )


def _headline(found: Tracks, observation: Observation) -> str:
    last, error = found.drift[-1] * observation.pixel, found.drift_err[-1] * observation.pixel
    size = float(np.hypot(*last))
    along = float(np.hypot(*(last * error)) / size) if size > 0 else float("nan")
    return (
        f"{plural(int(found.columns['track'].nunique()), 'track')} over {len(found.drift)} frames, "
        f"{plural(len(found.hops), 'hop')}, {plural(len(found.vacancies), 'vacancy')}; drift "
        f"{concise(size, along, observation.unit)} in all"
    )


def _deviation_lines(found: Tracks, observation: Observation) -> list[str]:
    """How far columns stray from their sites, and how much of that is the error of their places."""
    unit, pixel = observation.unit, observation.pixel
    rms = found.sites[["y_rms", "x_rms"]].to_numpy(dtype=float) * pixel
    if not np.isfinite(rms).any():
        return []
    whole = float(np.sqrt(np.nanmean(rms**2)))
    line = f"rms deviation of columns from their sites {whole:.2g} {unit} along y and x each"
    errors = found.columns.reindex(columns=["y_err", "x_err"]).to_numpy(dtype=float) * pixel
    if not np.isfinite(errors).any():
        return [f"{line}, with the error of their places"]
    noise = float(np.sqrt(np.nanmean(errors**2)))
    rest = np.sqrt(max(whole**2 - noise**2, 0.0))
    motion = f"the rest {rest:.2g} {unit}" if rest > REST * noise else "nothing else"
    return [f"{line} (by the error bars {noise:.2g} {unit}; {motion})"]


def _lines(found: Tracks, observation: Observation) -> list[str]:
    unit, pixel = observation.unit, observation.pixel
    end = "" if observation.sampling is None else "_angstrom"
    last, error = found.drift[-1] * pixel, found.drift_err[-1] * pixel
    lines = [NO_SAMPLING] if observation.sampling is None else []
    lines += [
        f"{plural(int(found.columns['track'].nunique()), 'track')} over {len(found.drift)} frames, "
        f"at {plural(len(found.sites), 'site')}",
        f"drift to the last frame:\n   dy {number(last[0], error[0], unit)}\n"
        f"   dx {number(last[1], error[1], unit)}",
        *_deviation_lines(found, observation),
        plural(len(found.hops), "hop"),
    ]
    for hop in found.hops.head(LISTED).to_dict("records"):
        lines.append(
            f"   frame {hop['frame']} to {hop['arrival']}: {hop[f'distance{end}']:.3g} {unit}"
            f" from y {hop['from_y']:.1f}, x {hop['from_x']:.1f} px"
        )
    lines.append(plural(len(found.vacancies), "vacancy"))
    lines += [
        f"   frame {row.first} to {row.last}: y {row.y:.1f}, x {row.x:.1f} px"
        for row in rows(found.vacancies.head(LISTED))
    ]
    if len(found.hops) or len(found.vacancies):
        lines.append("Positions are those in the first frame.")
    return lines


def _events(found: Tracks, spacing: float) -> list[Any]:
    """Vacancies in each of their frames, and hops in the frame that they end in, on the image."""
    marks: list[Any] = []
    empty = found.vacancies
    if len(empty):
        repeats = empty["frames"].to_numpy(dtype=int)
        each = empty.loc[empty.index.repeat(repeats)].reset_index(drop=True)
        within = np.concatenate([np.arange(count) for count in repeats])
        frame = each["first"].to_numpy(dtype=int) + within
        places = np.column_stack([frame, each[["y", "x"]].to_numpy() + found.drift[frame]])
        marks.append(PointMarks("vacancies", places, 0.6 * spacing, table=each))
    hops = found.hops
    if len(hops):
        frame = hops["arrival"].to_numpy(dtype=int)
        start = np.column_stack([frame, hops[["from_y", "from_x"]].to_numpy() + found.drift[frame]])
        ends = hops[["to_y", "to_x"]].to_numpy() - hops[["from_y", "from_x"]].to_numpy()
        step = np.column_stack([np.zeros(len(hops)), ends])
        marks.append(VectorMarks("hops", start, step, 0.2 * spacing, GREEN, table=hops))
    return marks
