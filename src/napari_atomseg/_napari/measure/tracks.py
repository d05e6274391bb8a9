"""Columns of the frames of a stack as tracks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from napari_atomseg._napari.measure.task import (
    NO_SAMPLING,
    Drawing,
    Outcome,
    Plot,
    Task,
    number,
    plural,
    rows,
)
from napari_atomseg.progress import CancelToken, Progress, report

if TYPE_CHECKING:
    from napari_atomseg.analysis import Tracks

_TOLD = 8
"""Hops and vacancies that the summary tells of."""


def tracks(task: Task, progress: Progress, cancel: CancelToken) -> Outcome:
    """Link the columns of all frames."""
    from napari_atomseg.analysis import link_tracks

    settings = task.settings
    if "frame" not in task.columns or task.columns["frame"].nunique() < 2:
        raise ValueError("tracks need columns of several frames: run Localize on a stack")
    found = link_tracks(
        task.columns,
        sampling=task.sampling,
        shape=task.shape,
        hop=settings.hop,
        patience=settings.patience,
        progress=progress,
        cancel=cancel,
    )
    report(progress, cancel, 1, 1, "Drawing the tracks")
    end = "" if task.sampling is None else "_angstrom"
    table = found.columns
    steady = ["y_steady", "x_steady"] if settings.drift == "removed" else ["y", "x"]
    data = table[["track", "frame", *steady]].sort_values(["track", "frame"]).to_numpy(dtype=float)
    last, error = found.drift[-1] * task.pixel, found.drift_err[-1] * task.pixel
    lines = [NO_SAMPLING] if task.sampling is None else []
    rms = np.sqrt((found.sites[[f"y_rms{end}", f"x_rms{end}"]] ** 2).mean()).to_numpy()
    stays = float(np.sqrt((rms**2).mean()))
    lines += [
        f"{plural(int(table['track'].nunique()), 'track')} at {plural(len(found.sites), 'site')} "
        f"in {len(found.drift)} frames",
        f"drift to the last frame:\n   dy {number(last[0], error[0], task.unit)}\n"
        f"   dx {number(last[1], error[1], task.unit)}",
        f"columns stray {stays:.2g} {task.unit} (rms) from their sites",
        *_described(found, task),
        "",
        f"Tracks are drawn with the drift {settings.drift}.",
    ]
    drawings = [
        Drawing(
            "tracks",
            "tracks",
            data,
            {"tail_length": max(30, len(found.drift)), "tail_width": 3, "blending": "translucent"},
        )
    ]
    drawings += _events(found, task)
    frames = np.arange(len(found.drift))
    drift = pd.DataFrame({"frame": frames, "dy": found.drift[:, 0], "dx": found.drift[:, 1]})
    drift[["dy_err", "dx_err"]] = found.drift_err
    shift = found.drift * task.pixel
    features = table[["site", "track", "y_steady", "x_steady"]]
    tables = {
        "Vacancies": found.vacancies,
        "Hops": found.hops,
        "Sites": found.sites,
        "Drift": drift,
    }
    lines_of = {"dy": (frames, shift[:, 0]), "dx": (frames, shift[:, 1])}
    plot = Plot(lines_of, "frame", f"drift ({task.unit})")
    return Outcome(tuple(lines), features, None, tuple(drawings), tables, plot)


def _described(found: Tracks, task: Task) -> list[str]:
    """Vacancies and hops, in words; what comes after the first few stands in the tables."""
    lines = [plural(len(found.hops), "hop")]
    length = "distance" if task.sampling is None else "distance_angstrom"
    for hop in found.hops.head(_TOLD).to_dict("records"):
        lines.append(
            f"   frame {hop['frame']} to {hop['arrival']}: {hop[length]:.3g} {task.unit}"
            f" from y {hop['from_y']:.1f}, x {hop['from_x']:.1f} px"
        )
    lines.append(plural(len(found.vacancies), "vacancy"))
    lines += [
        f"   frame {row.first} to {row.last}: y {row.y:.1f}, x {row.x:.1f} px"
        for row in rows(found.vacancies.head(_TOLD))
    ]
    if len(found.hops) or len(found.vacancies):
        lines.append("Places are those in the first frame.")
    return lines


def _events(found: Tracks, task: Task) -> list[Drawing]:
    """Vacancies in each of their frames, and hops in the frame that they end in, on the image."""
    drawings = []
    empty = found.vacancies
    if len(empty):
        repeats = empty["frames"].to_numpy(dtype=int)
        each = empty.loc[empty.index.repeat(repeats)].reset_index(drop=True)
        within = np.concatenate([np.arange(count) for count in repeats])
        frame = each["first"].to_numpy(dtype=int) + within
        places = np.column_stack([frame, each[["y", "x"]].to_numpy() + found.drift[frame]])
        looks = {"symbol": "cross", "size": 0.6 * task.spacing, "face_color": "#ff4040"}
        looks |= {"border_color": "white", "border_width": 0.05}
        drawings.append(Drawing("points", "vacancies", places, looks, each))
    if len(found.hops):
        hops = found.hops
        frame = hops["arrival"].to_numpy(dtype=int)
        start = np.column_stack([frame, hops[["from_y", "from_x"]].to_numpy() + found.drift[frame]])
        ends = hops[["to_y", "to_x"]].to_numpy() - hops[["from_y", "from_x"]].to_numpy()
        step = np.column_stack([np.zeros(len(hops)), ends])
        looks = {"edge_color": "#40ff40", "edge_width": 0.2 * task.spacing, "opacity": 1.0}
        looks |= {"vector_style": "arrow"}
        drawings.append(Drawing("vectors", "hops", np.stack([start, step], axis=1), looks, hops))
    return drawings
