"""Columns of the frames of a stack as tracks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from napari_atomseg._napari.measure_task import (
    NO_SAMPLING,
    Drawing,
    Outcome,
    Plot,
    Task,
    number,
    plural,
)
from napari_atomseg.progress import CancelToken, Progress, report

if TYPE_CHECKING:
    from napari_atomseg.analysis import Tracks


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
    last = found.drift[-1] * task.pixel
    lines = [NO_SAMPLING] if task.sampling is None else []
    rms = np.sqrt((found.sites[[f"y_rms{end}", f"x_rms{end}"]] ** 2).mean()).to_numpy()
    stays = float(np.sqrt((rms**2).mean()))
    lines += [
        f"{plural(int(table['track'].nunique()), 'track')} at {plural(len(found.sites), 'site')} "
        f"in {len(found.drift)} frames",
        f"drift to the last frame:\n   dy {number(last[0], unit=task.unit)}, "
        f"dx {number(last[1], unit=task.unit)}",
        f"columns stray {stays:.2g} {task.unit} (rms) from their sites",
        plural(len(found.vacancies), "vacancy") + ", " + plural(len(found.hops), "hop"),
        "",
        f"The tracks are drawn with the drift {settings.drift}.",
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


def _events(found: Tracks, task: Task) -> list[Drawing]:
    """Vacancies in each of their frames, and hops in the frame that they end in, on the image."""
    drawings = []
    empty = found.vacancies
    if len(empty):
        repeats = empty["frames"].to_numpy(dtype=int)
        rows = empty.loc[empty.index.repeat(repeats)].reset_index(drop=True)
        within = np.concatenate([np.arange(count) for count in repeats])
        frame = rows["first"].to_numpy(dtype=int) + within
        places = np.column_stack([frame, rows[["y", "x"]].to_numpy() + found.drift[frame]])
        looks = {"symbol": "cross", "size": 0.6 * task.spacing, "face_color": "#ff4040"}
        looks |= {"border_color": "white", "border_width": 0.05}
        drawings.append(Drawing("points", "vacancies", places, looks, rows))
    if len(found.hops):
        hops = found.hops
        frame = hops["arrival"].to_numpy(dtype=int)
        start = np.column_stack([frame, hops[["from_y", "from_x"]].to_numpy() + found.drift[frame]])
        ends = hops[["to_y", "to_x"]].to_numpy() - hops[["from_y", "from_x"]].to_numpy()
        step = np.column_stack([np.zeros(len(hops)), ends])
        looks = {"edge_color": "#ffff00", "edge_width": 0.2 * task.spacing, "opacity": 1.0}
        looks |= {"vector_style": "arrow"}
        drawings.append(Drawing("vectors", "hops", np.stack([start, step], axis=1), looks, hops))
    return drawings
