"""Columns of the frames of a stack as sites and atoms that stay, leave, come and hop."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_atomseg._shared.geometry import median_spacing
from napari_atomseg._shared.types import Array, Indices, Mask, Sampling
from napari_atomseg._shared.units import pixel_scale
from napari_atomseg.analysis.positions import placed
from napari_atomseg.analysis.scores import match
from napari_atomseg.progress import CancelToken, Progress, report

KINDS = ("before", "between", "after")


def empty_runs(held: Mask, view: Mask) -> pd.DataFrame:
    """Runs of frames in which a site in view has no column.

    Parameters
    ----------
    held, view : (F, S) whether a site has a column, and whether it is in view.

    Returns
    -------
    A row a run: ``site``, ``first``, ``last``, ``frames`` and ``kind``, in order of site and frame.
    """
    empty = (view & ~held).T
    padded = np.pad(empty, ((0, 0), (1, 1))).astype(np.int8)
    change = np.diff(padded, axis=1)
    site, first = np.nonzero(change == 1)
    last = np.nonzero(change == -1)[1] - 1
    count = len(held)
    born = held.argmax(axis=0)[site] if count else np.zeros(0, int)
    died = count - 1 - held[::-1].argmax(axis=0)[site] if count else np.zeros(0, int)
    kind = np.where(last < born, 0, np.where(first > died, 2, 1))
    return pd.DataFrame(
        {
            "site": site,
            "first": first,
            "last": last,
            "frames": last - first + 1,
            "kind": [KINDS[k] for k in kind],
        }
    )


def find_vacancies_of(held: Mask, view: Mask, places: Array, patience: int) -> pd.DataFrame:
    """The runs of more than `patience` frames, with the places (S, 2) of their sites."""
    runs = empty_runs(held, view)
    runs = runs[runs["frames"] > patience].reset_index(drop=True)
    at = places[runs["site"].to_numpy(dtype=np.int64)]
    runs.insert(1, "y", at[:, 0])
    runs.insert(2, "x", at[:, 1])
    return runs


def find_hops(held: Mask, view: Mask, places: Array, reach: float, patience: int) -> pd.DataFrame:
    """Sites that become empty when others near by are filled.

    A site is left where a run of more than `patience` empty frames begins, and filled where one
    ends; sites left and sites filled within `patience` + 1 frames of each other, and
    within `reach` px, are paired, nearest first.

    Parameters
    ----------
    held, view : (F, S) whether a site has a column, and whether it is in view.
    places : (S, 2) px.
    """
    runs = empty_runs(held, view)
    runs = runs[runs["frames"] > patience]
    site, first, last = (runs[name].to_numpy(dtype=np.int64) for name in ("site", "first", "last"))
    # Only where the site was seen to be filled on the other side of the run.
    left = (first > 0) & held[np.maximum(first - 1, 0), site]
    came = (last < len(held) - 1) & held[np.minimum(last + 1, len(held) - 1), site]
    gone = np.stack([first[left] - 1, site[left]], axis=1)
    filled = np.stack([last[came] + 1, site[came]], axis=1)
    rows = []
    for delay in range(1, patience + 2):
        for frame in np.unique(gone[:, 0]):
            old = gone[gone[:, 0] == frame, 1]
            new = filled[filled[:, 0] == frame + delay, 1]
            i, j = match(places[old], places[new], reach)
            pairs = [(frame, frame + delay, old[a], new[b]) for a, b in zip(i, j, strict=True)]
            rows += pairs
            for _, arrival, start, end in pairs:
                gone = gone[~((gone[:, 0] == frame) & (gone[:, 1] == start))]
                filled = filled[~((filled[:, 0] == arrival) & (filled[:, 1] == end))]
    found = np.array(sorted(rows), dtype=np.int64).reshape(-1, 4)
    start, end = places[found[:, 2]], places[found[:, 3]]
    return pd.DataFrame(
        {
            "frame": found[:, 0],
            "arrival": found[:, 1],
            "from_site": found[:, 2],
            "to_site": found[:, 3],
            "from_y": start[:, 0],
            "from_x": start[:, 1],
            "to_y": end[:, 0],
            "to_x": end[:, 1],
            "distance": np.hypot(*(end - start).T),
        }
    )


def follow(frame: Indices, site: Indices, hops: pd.DataFrame) -> Indices:
    """(N,) track of each column, numbered by first frame: a site's column until it hops, and then
    on from where it came to. What comes to a site that was left by a hop is another; what is back
    at a site that was empty without a hop is the same.

    Parameters
    ----------
    frame, site : (N,) of each column.
    hops : as of `find_hops`.
    """
    starts = zip(hops["frame"], hops["from_site"], strict=True)
    ends = zip(hops["arrival"], hops["to_site"], strict=True)
    leaves = {place: hop for hop, place in enumerate(starts)}
    comes = {place: hop for hop, place in enumerate(ends)}
    track = np.full(len(frame), -1, dtype=np.int64)
    at_site: dict[int, int] = {}
    moving: dict[int, int] = {}
    count = 0
    for row in np.argsort(frame, kind="stable"):
        here = (int(frame[row]), int(site[row]))
        hop = comes.get(here)
        if hop is not None:
            at_site[here[1]] = moving[hop]
        elif here[1] not in at_site:
            at_site[here[1]], count = count, count + 1
        track[row] = at_site[here[1]]
        if here in leaves:
            moving[leaves[here]] = at_site.pop(here[1])
    return track


REACH = 0.45
"""Largest distance of a column from its site, over the typical spacing."""
MOST_FRAMES = 1_000_000
"""Frames of a stack; a larger number is none of a frame."""
HOP = 1.6
"""Typical spacings that a column may hop from one frame to the next."""
ROUNDS = 10
"""Most rounds of pairing and shifting for the drift of a frame."""


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
        the standard deviation around it (NaN with one column); ``frames``, in how many there is a
        column; ``seen``, in how many
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
    for number in (frame.min(initial=0), frame.max(initial=0)):
        if not 0 <= number < MOST_FRAMES:
            raise ValueError(
                f"frame={number} of the columns must be from 0 to {MOST_FRAMES - 1}: "
                "frames are counted from 0"
            )
    count = int(frame.max(initial=-1)) + 1
    spacing = median_spacing(*(points[frame == number] for number in np.unique(frame)))
    spacing = np.inf if np.isnan(spacing) else spacing
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
    unit = None if sampling is None else pixel_scale(sampling)
    return Tracks(
        _in_angstrom(table, unit),
        drift,
        error,
        _in_angstrom(_sites(places, steady, site, held, view), unit),
        _in_angstrom(vacancies, unit),
        _in_angstrom(hops, unit),
    )


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
    # A site is the mean of its columns, which lie nearer to that than to where it really is.
    number = np.bincount(site, minlength=len(rms)).astype(np.float64)[:, None]
    rms *= np.sqrt(
        np.divide(number, number - 1.0, out=np.full_like(number, np.nan), where=number > 1)
    )
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
