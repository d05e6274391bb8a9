"""Columns of the frames of a stack as sites and atoms that stay, leave, come and hop."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_atomseg.analysis.matching import match
from napari_atomseg.analysis.positions import Array, Indices, Sampling, placed, unit_of
from napari_atomseg.analysis.tracks_events import find_hops, find_vacancies_of, follow
from napari_atomseg.progress import CancelToken, Progress, report
from napari_atomseg.specimen.neighbours import nearest_distances

REACH = 0.45
"""Of the typical spacing: how far a column may be found from its site."""
HOP = 1.6
"""Typical spacings that a column may hop from one frame to the next."""
ROUNDS = 10
"""Of pairing and shifting, at most, for the drift of a frame."""


@dataclass(frozen=True)
class Tracks:
    """Columns of a stack, linked.

    A site is a place of the specimen; a track is a column that stays at one, or hops from one to
    the next. Positions that hold the drift are in pixels of the image; those without it in pixels
    of the first frame.

    Attributes
    ----------
    columns : the table that was linked, in its order, with ``site``, ``track``, and ``y_steady``,
        ``x_steady``, the position without the drift.
    drift : (F, 2) shift (y, x) of each frame against the first, px.
    drift_err : (F, 2) its standard error, px.
    sites : a row a site: ``site``; ``y``, ``x``, the mean steady position; ``y_rms``, ``x_rms``,
        the deviation around it; ``frames``, in how many there is a column; ``seen``, in how many
        there could be one; ``first``, ``last`` frame with one.
    vacancies : a row for each run of frames in which a site that is in view has no column though it
        has one in other frames: ``site``, ``y``, ``x``, ``first``, ``last`` (frame), ``frames``
        (how many) and ``kind``: "before" its first column, "between" two, or "after" its last.
    hops : a row for each column that left a site when one came to another near by: ``track``,
        ``frame`` (the last one at the old site), ``arrival`` (the first at the new one),
        ``from_site``, ``to_site``, ``from_y``, ``from_x``, ``to_y``, ``to_x`` and ``distance``.

    With a sampling, positions and lengths are also there as ``…_angstrom``.
    """

    columns: pd.DataFrame
    drift: Array
    drift_err: Array
    sites: pd.DataFrame
    vacancies: pd.DataFrame
    hops: pd.DataFrame


def link_tracks(
    columns: pd.DataFrame,
    *,
    sampling: Sampling | None = None,
    shape: tuple[int, int] | None = None,
    reach: float | None = None,
    hop: float | None = None,
    patience: int = 0,
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
) -> Tracks:
    """Link the columns of a stack's frames.

    Each frame is shifted by the median step between its columns and the sites known so far, which
    must be less than half the spacing from one frame to the next but for a steady velocity: a
    crystal that drifts by a whole spacing looks as if it stood still. Then each column goes to the
    site it is nearest to, and those near none found a new one.

    Parameters
    ----------
    columns : table with ``frame``, ``y`` and ``x``, such as `localize` returns for a stack.
    sampling : Å a pixel, one number or (dy, dx).
    shape : (H, W) of a frame; without it the view is what the columns span.
    reach : greatest distance of a column from its site, in px; by default 0.45 typical spacings.
    hop : greatest distance of a hop, in px; by default 1.6 typical spacings.
    patience : a site without a column for no more frames than this is not vacant: the column was
        overlooked.

    Raises
    ------
    ValueError
        An argument is wrong, or there is no ``frame``.
    Cancelled
        `cancel` was raised.
    """
    if "frame" not in columns:
        raise ValueError(f"columns must have the column 'frame'; it has {list(columns)}")
    if patience < 0:
        raise ValueError(f"patience={patience!r} must not be negative")
    for name, length in (("reach", reach), ("hop", hop)):
        if length is not None and not length > 0:
            raise ValueError(f"{name}={length!r} must be positive, in px")
    points = placed(columns, None)
    frame = columns["frame"].to_numpy(dtype=np.int64)
    count = int(frame.max(initial=-1)) + 1
    spacing = _typical_spacing(points, frame)
    site, drift, error = _link(
        points, frame, count, reach or REACH * spacing, partial(report, progress, cancel)
    )
    steady = points - drift[frame]
    places = _means(steady, site)
    held = np.zeros((count, len(places)), bool)
    held[frame, site] = True
    view = _in_view(places, drift, points, shape)
    hops = find_hops(held, view, places, hop or HOP * spacing, patience)
    table = columns.assign(
        site=site, track=follow(frame, site, hops), y_steady=steady[:, 0], x_steady=steady[:, 1]
    )
    hops.insert(0, "track", _track_of(table, hops))
    vacancies = find_vacancies_of(held, view, places, patience)
    unit = None if sampling is None else unit_of(sampling)
    return Tracks(
        _in_angstrom(table, unit),
        drift,
        error,
        _in_angstrom(_sites(places, steady, site, held, view), unit),
        _in_angstrom(vacancies, unit),
        _in_angstrom(hops, unit),
    )


def _typical_spacing(points: Array, frame: Indices) -> float:
    near = []
    for number in np.unique(frame):
        here = points[frame == number]
        if len(here) > 1:
            near.append(nearest_distances(here))
    return float(np.median(np.concatenate(near))) if near else np.inf


def _link(
    points: Array, frame: Indices, count: int, reach: float, tell: Progress
) -> tuple[Indices, Array, Array]:
    """Site of each column, drift of each frame and its standard error."""
    site = np.full(len(points), -1, dtype=np.int64)
    drift, error = np.zeros((count, 2)), np.zeros((count, 2))
    sums, size = np.zeros((0, 2)), np.zeros(0)
    for number in range(count):
        tell(number, count, "Linking the frames")
        rows = np.flatnonzero(frame == number)
        # A steady stage goes on as it did.
        ahead = 2 * drift[number - 1] - drift[number - 2] if number > 1 else drift[number - 1]
        places = sums / size[:, None]
        shift, error[number] = (
            _shift(points[rows], places, size, ahead, reach) if len(sums) else (np.zeros(2), 0.0)
        )
        drift[number] = shift
        found, known = match(points[rows] - shift, places, reach)
        site[rows[found]] = known
        fresh = rows[site[rows] < 0]
        site[fresh] = len(sums) + np.arange(len(fresh))
        sums = np.concatenate([sums, np.zeros((len(fresh), 2))])
        size = np.concatenate([size, np.zeros(len(fresh))])
        np.add.at(sums, site[rows], points[rows] - shift)
        np.add.at(size, site[rows], 1.0)
    tell(count, count, "Following the columns")
    return site, drift, error


def _shift(
    points: Array, places: Array, frames: Array, ahead: Array, reach: float
) -> tuple[Array, Array]:
    """Shift of points against places, near the one expected, and its standard error.

    The places are means of so many frames (S,).
    """
    shift, error = ahead, np.full(2, np.nan)
    before: tuple[Indices, Indices] | None = None
    for _ in range(ROUNDS):
        found, known = match(points - shift, places, reach)
        if len(found) == 0:
            break
        if before is not None and all(map(np.array_equal, before, (found, known))):
            break
        before = found, known
        steps = points[found] - places[known]
        shift = np.median(steps, axis=0)
        spread = 1.4826 * np.median(np.abs(steps - shift), axis=0)
        # A median is known to sqrt(pi / 2) of what a mean is. Steps from n frames scatter by
        # 1 + 1 / n in square, but the sites stand where the first frame and medians put them: the
        # shift against it has the error of a step from one frame, whatever n.
        mean = frames[known].mean()
        error = np.sqrt(np.pi * mean / (mean + 1) / len(steps)) * spread
    return np.asarray(shift), np.asarray(error)


def _means(steady: Array, site: Indices) -> Array:
    size = np.bincount(site)
    return np.stack([np.bincount(site, steady[:, axis]) / size for axis in (0, 1)], axis=1)


def _in_view(
    places: Array, drift: Array, points: Array, shape: tuple[int, int] | None
) -> NDArray[np.bool_]:
    """(F, S) whether a site lies in a frame."""
    if shape is None:
        low, high = points.min(axis=0, initial=np.inf), points.max(axis=0, initial=-np.inf)
    else:
        low, high = np.zeros(2), np.asarray(shape, dtype=np.float64) - 1
    there = places[None] + drift[:, None]
    return np.asarray(np.all((there >= low) & (there <= high), axis=2))


def _sites(
    places: Array, steady: Array, site: Indices, held: NDArray[np.bool_], view: NDArray[np.bool_]
) -> pd.DataFrame:
    rms = np.sqrt(_means((steady - places[site]) ** 2, site))
    count = len(held)
    return pd.DataFrame(
        {
            "site": np.arange(len(places)),
            "y": places[:, 0],
            "x": places[:, 1],
            "y_rms": rms[:, 0],
            "x_rms": rms[:, 1],
            "frames": held.sum(axis=0),
            "seen": (held | view).sum(axis=0),
            "first": held.argmax(axis=0) if count else np.zeros(0, int),
            "last": count - 1 - held[::-1].argmax(axis=0) if count else np.zeros(0, int),
        }
    )


def _track_of(table: pd.DataFrame, hops: pd.DataFrame) -> Indices:
    """(H,) track of each hop."""
    known = table.set_index(["frame", "site"])["track"]
    keys = list(zip(hops["frame"], hops["from_site"], strict=True))
    return np.array([known.loc[key] for key in keys], dtype=np.int64)


def _in_angstrom(table: pd.DataFrame, unit: Array | None) -> pd.DataFrame:
    """With the lengths in Å beside those in px."""
    if unit is None:
        return table
    for name in list(table):
        axis = next((a for a in ("y", "x") if a in str(name).split("_")), None)
        if axis is not None and not str(name).endswith(("_angstrom", "_err")):
            table[f"{name}_angstrom"] = table[name] * unit["yx".index(axis)]
    if {"from_y_angstrom", "to_y_angstrom"} <= set(table):
        table["distance_angstrom"] = np.hypot(
            table["to_y_angstrom"] - table["from_y_angstrom"],
            table["to_x_angstrom"] - table["from_x_angstrom"],
        )
    return table
