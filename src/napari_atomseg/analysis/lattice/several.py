"""Several lattices in one image: grains, twins, and crystals on both sides of an interface."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from napari_atomseg._shared.geometry import clusters_of, median_spacing
from napari_atomseg._shared.types import Array, Indices, Sampling
from napari_atomseg.analysis.lattice.assign import Sites, assign, follow
from napari_atomseg.analysis.lattice.find import FEWEST, find_lattice, fitted
from napari_atomseg.analysis.lattice.lattice import Lattice
from napari_atomseg.analysis.lattice.sites import SITE, intensity_of
from napari_atomseg.analysis.lattice.steps import (
    LEAST_STRAIN,
    LEAST_TURN,
    Change,
    behind,
    find_change,
)
from napari_atomseg.analysis.lattice.strain import STRAINS, strain, strains, turned
from napari_atomseg.analysis.positions import measured, positions_of

MOST_STRAIN = 0.05
"""A column whose surroundings are strained by more against a lattice is not of it."""
MOST_TURN = 4.0
"""...nor one whose surroundings are turned by more, degrees."""
CROWD = 0.25
"""Parts of these within which surroundings are alike."""
LINKED = 1.5
"""Columns of one part stand within this many typical distances of nearest neighbours."""
LEFT_OVER = 0.02
"""Fewer of the columns than this part are no lattice of their own."""
ALIKE = 0.1
"""Cells that differ by a larger strain are those of different crystals."""
_STEPS = np.array(list(product((-1, 0, 1), repeat=4)), dtype=np.float64).reshape(-1, 2, 2)
ALIKE_TURN = 12.0
"""Degrees by which one crystal may be bent from one end to the other."""
FEW_PAIRS = 3
"""Columns of one lattice beside the other that make a border, at least."""
BORDER = 2.0
"""Longer sides of a cell from the border between two lattices that are near it; what has hardly a
column that is further away is a strained place in the other."""
AGREED = 0.25
"""Part of the strain between two lattices by which a step may differ from it."""
TOGETHER = 0.95
"""Part of the columns of one lattice that stand on sites of another, if rows go on."""
STEP = 0.6
"""Part of the difference of two lattices that their columns near the border must show."""
SAME = 0.01
"""Strains that differ by less are equal, where a basis is chosen."""
BASES = _STEPS[np.linalg.det(_STEPS).round() == 1]
"""Changes between cells of one lattice that keep its hand."""
NONE = -1
CHANGES = ["lattice", "beyond", "sharp", *STRAINS, "width", "y", "x"]


@dataclass(frozen=True)
class Lattices:
    """Lattices of one image.

    Attributes
    ----------
    lattices : the one with the most columns first.
    columns : table with ``lattice``, the number of the lattice of each column, -1 for none; sites
        in it (see `assign`); and strain and rotation ``eps_xx`` ... ``rotation_deg`` about each
        column against the reference, NaN where its crystal is another one.
    table : a row a lattice: ``lattice``, ``columns``, ``sublattices``, ``y``, ``x`` (px); ``a``,
        ``b`` (Å, or px) and their errors, ``angle_deg``, ``a_direction_deg``, of a from x
        counter-clockwise as seen; and strain and ``rotation_deg`` against the reference: of the
        choices that the symmetry of the lattice leaves, the least strain and then the least turn.
    reference : number of the lattice that has no strain.
    changes : a row a place where strain changes among columns that stand on one lattice:
        ``lattice`` and ``beyond``, the lattices on both sides, which are one where the change is
        not ``sharp``; strain and ``rotation_deg`` of what lies beyond against the other side, as
        means of up to 32 layers; ``width`` (layers over which it changes, as far as columns show
        it); ``y``, ``x`` (px) of the middle of the cut.
    """

    lattices: tuple[Lattice, ...]
    columns: pd.DataFrame
    table: pd.DataFrame
    reference: int
    changes: pd.DataFrame


def find_lattices(
    columns: pd.DataFrame,
    sampling: Sampling | None = None,
    *,
    most: int = 8,
    smallest: int = FEWEST,
    cell: str = "conventional",
    intensity: str | None = None,
    reference: int = 0,
) -> Lattices:
    """Find the lattices of an image one after another, the largest first.

    A column is of a lattice where it stands on a site of it, and the map from sites to columns
    about it is that of the lattice but for a strain of 5 % and a turn of 4°. The next lattice is
    found from the columns that are left. Where it is the first but for some strain, and its columns
    near the border differ little from those of the first, it is the same crystal, bent or graded.
    The other way round, a lattice is divided where strain makes a step of 0.4 % or a turn of 0.4°
    from one layer to the next, as between a film and its substrate (see `find_change`). A lattice
    that comes back, as in lamellae of twins, is one.

    Parameters
    ----------
    columns : table with `y` and `x` (px); of one image.
    sampling : Å a pixel, one number or (dy, dx), or None.
    most : lattices at most.
    smallest : columns that a lattice needs, 20 at least.
    cell, intensity : as for `find_lattice`.
    reference : number of the lattice against which the others are strained and turned.

    Raises
    ------
    ValueError
        An argument is wrong, or there is no lattice.
    """
    if most < 1:
        raise ValueError(f"most={most!r} must be 1 or more")
    if smallest < FEWEST:
        raise ValueError(f"smallest={smallest!r} must be at least {FEWEST}")
    points = positions_of(columns)
    weights = intensity_of(columns, intensity)
    known = measured(columns, smallest)
    label = np.full(len(columns), NONE)
    found: list[Lattice] = []
    least = max(smallest, LEFT_OVER * len(columns))
    while len(found) < most:
        free = np.flatnonzero(known & (label == NONE))
        if len(free) < least:
            break
        part = columns.iloc[free].reset_index(drop=True)
        try:
            lattice = find_lattice(part, sampling, cell=cell, intensity=intensity)
            own = _members(part, lattice, smallest)
            if own.sum() >= least:
                bright = None if weights is None else weights[free[own]]
                inside = points[free[own]]
                lattice = fitted(lattice, inside, follow(inside, lattice), bright)
                own = _members(part, lattice, smallest)
        except ValueError:
            # What is left has no lattice; without a first one, say why.
            if not found:
                raise
            break
        if own.sum() < least:
            break
        label[free[own]] = len(found)
        found.append(lattice)
    if not found:
        raise ValueError("the columns show no lattice over a region of its own")
    found = _joined(columns, label, found, weights, int(np.ceil(least)))
    found, changes = _divided(points, label, found, weights, int(np.ceil(least)), most)
    _join_unmeasured(points, label, found, np.isfinite(points).all(axis=1) & ~known)
    if not 0 <= reference < len(found):
        raise ValueError(f"reference={reference!r}; the lattices are 0 to {len(found) - 1}")
    maps = [_map(each, found[reference]) for each in found]
    table = _assigned(columns, label, found, maps)
    return Lattices(tuple(found), table, _lattice_table(table, found, maps), reference, changes)


def _join_unmeasured(
    points: Array, label: Indices, found: list[Lattice], unmeasured: NDArray[np.bool_]
) -> None:
    """Give columns by which no lattice was found the label (N,) of one on whose sites they are."""
    for number, lattice in enumerate(found):
        rows = np.flatnonzero((label == number) | (unmeasured & (label == NONE)))
        on = rows[follow(points[rows], lattice).on]
        label[on[unmeasured[on]]] = number


def _joined(
    columns: pd.DataFrame,
    label: Indices,
    found: list[Lattice],
    weights: Array | None,
    smallest: int,
) -> list[Lattice]:
    """Lattices without those that are others, bent, or that a plane divides, which is found more
    exactly later; their columns (N,) get the others' labels.
    """
    points = positions_of(columns)
    for later in range(len(found) - 1, 0, -1):
        for first in range(later):
            gradient = _map(found[later], found[first])
            if gradient is None or not _alike(gradient, ALIKE, ALIKE_TURN):
                continue
            maps: list[Array | None] = [gradient] * len(found)
            maps[first] = np.eye(2)
            chosen = np.where(np.isin(label, (first, later)), label, NONE)
            table = _assigned(columns, chosen, found, maps)
            if _goes_on(points, chosen, later, found[first], gradient, smallest) or not _sharp(
                table, chosen == first, chosen == later, found[first]
            ):
                label[label == later] = first
                label[label > later] -= 1
                own = points[label == first]
                bright = None if weights is None else weights[label == first]
                found = [*found[:later], *found[later + 1 :]]
                found[first] = fitted(found[first], own, follow(own, found[first]), bright)
                break
    return found


def _goes_on(
    points: Array, label: Indices, later: int, lattice: Lattice, gradient: Array, smallest: int
) -> bool:
    """Whether rows of one lattice go on in another, with their step of strain at a plane between.

    Parameters
    ----------
    label : (N,) of the columns of both, -1 for others.
    gradient : (2, 2) from the lattice to the later one.
    """
    rows = np.flatnonzero(label != NONE)
    sites = follow(points[rows], lattice)
    if sites.on[label[rows] == later].mean() < TOGETHER:
        return False
    on = sites.on
    change = find_change(
        points[rows[on]], sites.cells[on], sites.sublattice[on], lattice, smallest=smallest
    )
    if change is None or not change.sharp:
        return False
    units = np.array([MOST_STRAIN, MOST_STRAIN, MOST_STRAIN, MOST_TURN])
    expected = np.array([float(strains(gradient)[name]) for name in STRAINS]) / units
    found = np.array([change.strain[name] for name in STRAINS]) / units
    rest = min(np.abs(found - expected).max(), np.abs(found + expected).max())
    return bool(rest < AGREED * np.abs(expected).max())


def _alike(gradient: Array, strain_: float, turn: float) -> bool:
    parts = strains(gradient)
    size = max(abs(float(parts[name])) for name in STRAINS[:3])
    return size < strain_ and abs(float(parts["rotation_deg"])) < turn


def _sharp(
    table: pd.DataFrame, first: NDArray[np.bool_], other: NDArray[np.bool_], lattice: Lattice
) -> bool:
    """Whether strains of two parts differ as much at their border as they do elsewhere.

    Parts that do not touch have no border to tell it from, and stay two.
    """
    places = positions_of(table) * lattice.scale
    side = float(np.hypot(*(lattice.vectors * lattice.scale).T).max())
    away = cKDTree(places[first]).query(places[other])[0]
    back = cKDTree(places[other]).query(places[first])[0]
    if np.count_nonzero(away < LINKED * side) < FEW_PAIRS:
        return True
    edge, core = away < BORDER * side, away >= BORDER * side
    if np.count_nonzero(core) < FEWEST / 2:
        return False
    maps = table[list(STRAINS)].to_numpy() / [MOST_STRAIN, MOST_STRAIN, MOST_STRAIN, MOST_TURN]
    here, there = maps[first], maps[other]
    whole = np.nanmedian(there[core], axis=0) - np.nanmedian(here, axis=0)
    near = np.nanmedian(there[edge], axis=0) - np.nanmedian(here[back < BORDER * side], axis=0)
    return not float(near @ whole) < STEP * float(whole @ whole)


def _divided(
    points: Array,
    label: Indices,
    found: list[Lattice],
    weights: Array | None,
    smallest: int,
    most: int,
) -> tuple[list[Lattice], pd.DataFrame]:
    """Lattices divided where strain makes a step; labels (N,) are changed; and all changes."""
    count = len(found)
    parts: list[tuple[Lattice, NDArray[np.intp]]] = []
    gradual: list[tuple[Change, NDArray[np.intp]]] = []
    steps: list[tuple[Change, NDArray[np.intp], NDArray[np.intp]]] = []
    for number, lattice in enumerate(found):
        own = np.flatnonzero(label == number)
        sites = follow(points[own], lattice)
        waiting = [np.flatnonzero(sites.on)]
        off = own[~sites.on]
        while waiting:
            rows = waiting.pop()
            here = Sites(sites.cells[rows], sites.sublattice[rows], sites.displacement[rows])
            place = points[own[rows]]
            change = find_change(place, here.cells, here.sublattice, lattice, smallest=smallest)
            if change is not None and change.sharp:
                after = behind(change, here.cells, here.sublattice, lattice)
                steps.append((change, own[rows[~after]], own[rows[after]]))
                if count < most:
                    count += 1
                    waiting += [rows[~after], rows[after]]
                    continue
            elif change is not None:
                gradual.append((change, own[rows]))
            bright = None if weights is None else weights[own[rows]]
            whole = len(rows) == len(own) - len(off)
            parts.append((lattice if whole else fitted(lattice, place, here, bright), own[rows]))
        if len(off):
            # Columns that no neighbour leads to stay with the part that is nearest.
            mine = [k for k, (_, rows) in enumerate(parts) if label[rows[0]] == number]
            nearest = np.array([cKDTree(points[parts[k][1]]).query(points[off])[0] for k in mine])
            for column, which in zip(off, np.argmin(nearest, axis=0), strict=True):
                one, rows = parts[mine[int(which)]]
                parts[mine[int(which)]] = (one, np.append(rows, column))
    parts.sort(key=lambda part: -len(part[1]))
    result: list[Lattice] = []
    for lattice, rows in parts:
        same = [
            k
            for k, each in enumerate(result)
            if (gradient := _map(lattice, each)) is not None
            and _alike(gradient, LEAST_STRAIN, LEAST_TURN)
        ]
        label[rows] = same[0] if same else len(result)
        if not same:
            result.append(lattice)
    rows_ = [_change_row(c, label, points, b, a) for c, b, a in steps]
    rows_ += [_change_row(c, label, points, r, r) for c, r in gradual]
    return result, pd.DataFrame(rows_, columns=CHANGES)


def _change_row(
    change: Change,
    label: Indices,
    points: Array,
    before: NDArray[np.intp],
    after: NDArray[np.intp],
) -> list[object]:
    """A row of `Lattices.changes`; a step lies where both sides are nearest to each other."""
    if change.sharp:
        distance, near = cKDTree(points[after]).query(points[before])
        close = distance <= 1.5 * np.min(distance)
        before, after = before[close], after[np.asarray(near)[close]]
    sides = [int(np.bincount(label[rows]).argmax()) for rows in (before, after)]
    middle = 0.5 * (points[before] + points[after]).mean(axis=0)
    return [*sides, change.sharp, *(change.strain[name] for name in STRAINS), change.width, *middle]


def _members(part: pd.DataFrame, lattice: Lattice, smallest: int) -> NDArray[np.bool_]:
    """(N,) columns about which there is a lattice, in parts that are large enough."""
    table = strain(assign(part.drop(columns=list(SITE), errors="ignore"), lattice), lattice)
    maps = table[list(STRAINS)].to_numpy() / [MOST_STRAIN, MOST_STRAIN, MOST_STRAIN, MOST_TURN]
    on = table["sublattice"].to_numpy() >= 0
    there = np.flatnonzero(on & np.isfinite(maps).all(axis=1))
    own = np.zeros(len(part), dtype=bool)
    if len(there):
        own[there] = np.abs(maps[there] - _most_common(maps[there])).max(axis=1) < 1.0
    chosen = np.flatnonzero(own)
    if len(chosen) < 2:
        return np.asarray(own)
    places = positions_of(part)[chosen] * lattice.scale
    tree = cKDTree(places)
    typical = median_spacing(places)
    far = max(LINKED * typical, 1.05 * lattice.separation)
    pairs: Indices = tree.query_pairs(far, output_type="ndarray")
    cluster = clusters_of(pairs, len(chosen))
    size = np.bincount(cluster)
    own[chosen[size[cluster] < smallest / 2]] = False
    return np.asarray(own)


def _most_common(maps: Array) -> Array:
    """(4,) around which the strains and turns (N, 4) are the densest, as a lattice that was found
    may be the mean of two that are strained against each other.
    """
    tree = cKDTree(maps)
    crowd = np.asarray(tree.query_ball_point(maps, CROWD, return_length=True))
    middle = maps[int(crowd.argmax())]
    for _ in range(5):
        middle = maps[tree.query_ball_point(middle, 2.0 * CROWD)].mean(axis=0)
    return np.asarray(middle)


def _map(lattice: Lattice, reference: Lattice) -> Array | None:
    """(2, 2) deformation gradient (y, x) from a reference to a lattice; None for another crystal.

    Of the bases of the lattice, that with the least strain and then the least turn.
    """
    start = np.linalg.inv(reference.vectors * reference.scale)
    gradients = np.swapaxes(start @ (BASES @ lattice.vectors * lattice.scale), -1, -2)
    parts = strains(gradients)
    size = np.max([np.abs(parts[name]) for name in STRAINS[:3]], axis=0)
    if size.min() > ALIKE:
        return None
    like = np.flatnonzero(size <= size.min() + SAME)
    return np.asarray(gradients[like[np.argmin(np.abs(parts["rotation_deg"][like]))]])


def _assigned(
    columns: pd.DataFrame, label: Indices, lattices: list[Lattice], maps: list[Array | None]
) -> pd.DataFrame:
    """The columns with their lattices, sites, and strain against the reference."""
    plain = columns.drop(columns=list(SITE), errors="ignore")
    parts = [plain[label == NONE].assign(i=0, j=0, sublattice=-1)]
    for number, (lattice, gradient) in enumerate(zip(lattices, maps, strict=True)):
        part = plain[label == number]
        own = strain(assign(part, lattice), lattice)
        local = _gradients(own)
        total = np.full(local.shape, np.nan) if gradient is None else local @ gradient
        for name, values in strains(total).items():
            own[name] = values
        parts.append(own.set_index(part.index))
    table = pd.concat([part for part in parts if len(part)]).reindex(columns.index)
    table["lattice"] = label
    table[list(SITE)] = table[list(SITE)].astype(np.int64)
    return pd.DataFrame(table.drop(columns="fitted", errors="ignore"))


def _gradients(table: pd.DataFrame) -> Array:
    """(N, 2, 2) F = R U from strains along the axes of the image."""
    xx, yy, xy = (table[name].to_numpy() for name in STRAINS[:3])
    stretch = np.stack([np.stack([1 + yy, xy], -1), np.stack([xy, 1 + xx], -1)], -2)
    return np.asarray(turned(np.radians(table["rotation_deg"].to_numpy())) @ stretch)


def _lattice_table(
    columns: pd.DataFrame, lattices: list[Lattice], maps: list[Array | None]
) -> pd.DataFrame:
    rows = []
    for number, (lattice, gradient) in enumerate(zip(lattices, maps, strict=True)):
        own = columns[columns["lattice"] == number]
        known = lattice.pixel is not None
        lengths = lattice.lengths_angstrom if known else lattice.lengths
        errors = lattice.lengths_err * lengths / lattice.lengths
        parts = strains(np.full((2, 2), np.nan) if gradient is None else gradient)
        rows.append(
            {
                "lattice": number,
                "columns": len(own),
                "sublattices": len(lattice),
                "y": own["y"].mean(),
                "x": own["x"].mean(),
                "a": lengths[0],
                "a_err": errors[0],
                "b": lengths[1],
                "b_err": errors[1],
                "angle_deg": lattice.angle_deg,
                "a_direction_deg": lattice.rotation_deg,
                **{name: float(value) for name, value in parts.items()},
            }
        )
    return pd.DataFrame(rows)
