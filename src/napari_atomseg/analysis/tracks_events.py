"""What happens at the sites of a stack: vacancies, and hops from one site to another."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_atomseg.analysis.matching import match
from napari_atomseg.analysis.positions import Array, Indices

Flags = NDArray[np.bool_]
KINDS = ("before", "between", "after")


def empty_runs(held: Flags, view: Flags) -> pd.DataFrame:
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


def find_vacancies_of(held: Flags, view: Flags, places: Array, patience: int) -> pd.DataFrame:
    """The runs of more than `patience` frames, with the places (S, 2) of their sites."""
    runs = empty_runs(held, view)
    runs = runs[runs["frames"] > patience].reset_index(drop=True)
    at = places[runs["site"].to_numpy(dtype=np.int64)]
    runs.insert(1, "y", at[:, 0])
    runs.insert(2, "x", at[:, 1])
    return runs


def find_hops(held: Flags, view: Flags, places: Array, reach: float, patience: int) -> pd.DataFrame:
    """Sites that become empty when others near by are filled.

    A site is left where a run of more than `patience` empty frames begins, and filled where one
    ends; whoever is left and whoever is filled within `patience` + 1 frames of each other, and
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
