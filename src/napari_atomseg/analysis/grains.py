"""Grains of a crystal by the local orientation of its lattice, and the boundaries between them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from napari_atomseg._shared.geometry import clusters_of, median_spacing
from napari_atomseg._shared.types import Array, Indices, Sampling
from napari_atomseg._shared.units import pixel_scale
from napari_atomseg.analysis.bond_order import FOLDS, Bonds, two_folds
from napari_atomseg.analysis.positions import Positions, placed
from napari_atomseg.analysis.twins import are_twins, cell_of, same_lattice, turned

FINE = 0.45
"""Part of the tolerance beyond which the orientation about a column marks where grains may part."""
NOISY = 2.2
"""Typical steps that noise makes, below which none marks anything."""
REACH = 2.3
"""Spacings over which the orientation about a column is compared: a boundary is a step within."""
SURROUNDINGS = 60
"""Columns over which a crystal bends, at least, where that is no boundary."""
LEAP = 10.0
"""Degrees between columns within that reach that no bend makes."""
BESIDE = 5.0
"""Spacings from a common border within which the columns of two parts show their turn."""
DISORDER = 0.6
"""Columns with less than this part of the typical order belong to a boundary."""


@dataclass(frozen=True)
class Grains:
    """Grains, and where they meet.

    Attributes
    ----------
    columns : (N rows) ``y``, ``x`` (px) and ``orientation_deg``, the angle of the lattice in
        -90°/m..90°/m for m `fold`, from x counter-clockwise as the image is shown; ``order`` in
        0..1, how alike the bonds are; ``grain``, numbered from 1 by falling size, 0 where there is
        none; and ``boundary``, whether a column stands between grains, or on a border of one.
    grains : a row a grain: ``grain``, ``columns``, ``y``, ``x`` (px), ``orientation_deg`` and its
        standard error ``orientation_deg_err``, from columns that stray on their own.
    boundaries : a row for each pair of grains that meet: ``grain``, ``other``,
        ``misorientation_deg``, the least angle that turns one into the other, in 0..180°/m, with
        ``misorientation_deg_err``, NaN where only a mirror does; ``y``, ``x``, the middle of the
        boundary (px); ``length`` (Å, or px without a sampling) and ``direction_deg`` of the
        straight line nearest to it, in -90..90° from x counter-clockwise; ``pairs``, how many
        neighbours it parts; and ``twin``, whether both sides are mirror images in a row of columns
        that runs along the boundary.
    fold : the lattice looks the same turned by 360°/fold; turns by that angle cannot be told.
    """

    columns: pd.DataFrame
    grains: pd.DataFrame
    boundaries: pd.DataFrame
    fold: int


def find_grains(
    columns: Positions,
    sampling: Sampling | None = None,
    *,
    fold: int | None = None,
    tolerance_deg: float = 4.0,
    smallest: int = 12,
) -> Grains:
    """Find the grains of a crystal.

    The bonds of each column to its neighbours give the orientation of the lattice there. Where it
    changes by a step, over what the crystal bends by in the surroundings, or where there is no
    order, grains may part; those parts are one grain that turn by less than the tolerance from one
    side of their border to the other. Over a grain the orientation may change slowly.

    Parameters
    ----------
    columns : table with `y` and `x` (px), or (N, 2); of one sublattice, or a honeycomb.
    sampling : Å a pixel, one number or (dy, dx).
    fold : symmetry of the bonds, 2, 4 or 6; None finds the one that they have, by their angles and
        lengths: the centred lattice of a cubic crystal along [110] has two folds, though its angles
        are nearly those of six.
    tolerance_deg : misorientation from which on two parts are two grains. Where columns stray by
        more than a twentieth of their spacing, boundaries of little more may not be seen.
    smallest : columns that a grain needs.

    Raises
    ------
    ValueError
        An argument is wrong.
    """
    if fold is not None and fold not in FOLDS:
        raise ValueError(f"fold={fold!r}; choose one of {', '.join(map(str, sorted(FOLDS)))}")
    if not tolerance_deg > 0:
        raise ValueError(f"tolerance_deg={tolerance_deg!r} must be positive")
    if smallest < 1:
        raise ValueError(f"smallest={smallest!r} must be at least 1")
    points = placed(columns, sampling)
    bonds = Bonds.of(points)
    fold, own = _orientation(bonds, fold)
    local = bonds.spread(own)
    order = np.abs(own)
    ordered = np.abs(local) >= DISORDER * np.median(np.abs(local)) if len(points) else order > 0
    step, ends = _step(points, bonds.spread(local), fold)
    noise = NOISY * float(np.median(step[ordered])) if ordered.any() else 0.0
    steady = ordered & (step <= np.clip(noise, FINE * tolerance_deg, tolerance_deg))
    grain = _merged(_grains(bonds, steady, smallest), own, steady, bonds, fold, tolerance_deg)
    # Where noise alone turns bonds, both sides are of one grain.
    apart = np.zeros(len(points), dtype=bool)
    apart[ends[grain[ends[:, 0]] != grain[ends[:, 1]]]] = True
    steady = ordered & (steady | ~apart) & (grain > 0)
    unit = pixel_scale(sampling)
    table = pd.DataFrame(
        {
            "y": points[:, 0] / unit[0],
            "x": points[:, 1] / unit[1],
            "orientation_deg": -np.degrees(np.angle(local)) / fold,
            "order": order,
            "grain": grain,
            "boundary": ~steady,
        }
    )
    grains = _grain_table(table, own, steady & (grain > 0), bonds, fold)
    boundaries = _boundaries(bonds, grain, grains, fold)
    _tell_twins(boundaries, bonds, grain, steady)
    boundaries[["y", "x"]] /= unit
    return Grains(table, grains, boundaries, fold)


def _orientation(bonds: Bonds, fold: int | None) -> tuple[int, NDArray[np.complex128]]:
    """Symmetry of the lattice, and (N,) order of the columns with the phase of so many folds."""
    if fold in (None, 2):
        laid = two_folds(bonds, bonds.fold(), *([0.0] if fold else []))
        if laid is not None:
            return 2, laid
    fold = fold or bonds.fold()
    return fold, bonds.order(fold)


def _step(points: Array, local: NDArray[np.complex128], fold: int) -> tuple[Array, Indices]:
    """Greatest turn (N,), degrees, between a column and those within `REACH` spacings, beyond what
    the crystal bends by in its surroundings; and these pairs (P, 2).
    """
    count = len(points)
    if count < 2:
        return np.zeros(count), np.zeros((0, 2), dtype=np.int64)
    tree = cKDTree(points)
    pairs = tree.query_pairs(REACH * median_spacing(points), output_type="ndarray")
    first, second = pairs.T
    turn = np.degrees(np.angle(local[second] * np.conj(local[first]))) / fold
    way = points[second] - points[first]
    normal, right = np.zeros((count, 2, 2)), np.zeros((count, 2))
    small = np.abs(turn) < LEAP
    for end in (first[small], second[small]):
        for i in range(2):
            right[:, i] += np.bincount(end, way[small, i] * turn[small], count)
            for j in range(2):
                normal[:, i, j] += np.bincount(end, way[small, i] * way[small, j], count)
    scale = np.trace(normal, axis1=1, axis2=2)
    normal += np.eye(2) * np.maximum(1e-6 * scale, 1e-12)[:, None, None]
    bend = np.linalg.solve(normal, right[..., None])[..., 0]
    near = tree.query(points, k=min(SURROUNDINGS, count))[1].reshape(count, -1)
    bend = np.median(bend[near], axis=1)
    rest = np.abs(turn - (0.5 * (bend[first] + bend[second]) * way).sum(axis=1))
    step = np.zeros(count)
    for end in (first, second):
        np.maximum.at(step, end, rest)
    return step, pairs


def _merged(
    grain: Indices,
    own: NDArray[np.complex128],
    inner: NDArray[np.bool_],
    bonds: Bonds,
    fold: int,
    tolerance_deg: float,
) -> Indices:
    """(N,) grains, of which those are one whose columns beside the common border turn by less than
    the tolerance.
    """
    spacing = median_spacing(bonds.points) if len(bonds.points) > 1 else 0.0
    while True:
        sides = np.sort(grain[bonds.across], axis=1)
        apart = (sides[:, 0] > 0) & (sides[:, 0] != sides[:, 1])
        turns = []
        for first, second in np.unique(sides[apart], axis=0).reshape(-1, 2):
            here = apart & (sides[:, 0] == first) & (sides[:, 1] == second)
            border = cKDTree(bonds.points[bonds.across[here]].mean(axis=1))
            close = border.query(bonds.points)[0] < BESIDE * spacing
            means = []
            for number in (first, second):
                members = close & inner & (grain == number)
                members = members if members.any() else grain == number
                means.append(own[members].mean())
            turn = abs(float(np.degrees(np.angle(means[1] * np.conj(means[0]))))) / fold
            turns.append((turn, int(first), int(second)))
        if not turns or min(turns)[0] >= tolerance_deg:
            break
        _, first, second = min(turns)
        grain = np.where(grain == second, first, grain)
    kinds, sizes = np.unique(grain[grain > 0], return_counts=True)
    number = np.zeros(int(grain.max(initial=0)) + 1, dtype=np.int64)
    number[kinds[np.argsort(-sizes, kind="stable")]] = 1 + np.arange(len(kinds))
    return np.asarray(number[grain], dtype=np.int64)


def _grains(bonds: Bonds, steady: NDArray[np.bool_], smallest: int) -> Indices:
    """(N,) grain of each column; those of a boundary are of the grain that they stand next to."""
    count = len(steady)
    inner = bonds.pairs[steady[bonds.pairs].all(axis=1)]
    part = clusters_of(inner, count)
    size = np.bincount(part[steady], minlength=count + 1)
    large = np.flatnonzero(size >= smallest)
    number = np.zeros(count + 1, dtype=np.int64)
    number[large[np.argsort(-size[large], kind="stable")]] = 1 + np.arange(len(large))
    grain = np.where(steady, number[part], 0) if count else np.zeros(0, dtype=np.int64)
    while True:
        # Layer by layer from the grains outwards.
        here = grain[bonds.pairs]
        grown = grain.copy()
        for a, b in ((0, 1), (1, 0)):
            bare = (here[:, a] == 0) & (here[:, b] > 0)
            np.maximum.at(grown, bonds.pairs[bare, a], here[bare, b])
        if np.array_equal(grown, grain):
            return np.asarray(grain, dtype=np.int64)
        grain = grown


def _grain_table(
    table: pd.DataFrame,
    own: NDArray[np.complex128],
    inner: NDArray[np.bool_],
    bonds: Bonds,
    fold: int,
) -> pd.DataFrame:
    rows = []
    for number in range(1, int(table["grain"].max() if len(table) else 0) + 1):
        members = (table["grain"] == number).to_numpy()
        telling = members & inner & bonds.surrounded()
        telling = telling if telling.any() else members & inner
        turns = own[telling]
        mean = turns.mean()
        away = np.angle(turns * np.conj(mean)) / fold
        rows.append(
            (
                number,
                int(members.sum()),
                float(table.loc[members, "y"].mean()),
                float(table.loc[members, "x"].mean()),
                float(-np.degrees(np.angle(mean)) / fold),
                float(np.degrees(away.std()) * bonds.leverage(telling)),
            )
        )
    names = ["grain", "columns", "y", "x", "orientation_deg", "orientation_deg_err"]
    return pd.DataFrame(rows, columns=names)


def _boundaries(bonds: Bonds, grain: Indices, grains: pd.DataFrame, fold: int) -> pd.DataFrame:
    sides = np.sort(grain[bonds.across], axis=1)
    apart = (sides[:, 0] > 0) & (sides[:, 0] != sides[:, 1])
    middles = bonds.points[bonds.across].mean(axis=1)
    angle = grains["orientation_deg"].to_numpy()
    error = grains["orientation_deg_err"].to_numpy()
    period = 360.0 / fold
    rows = []
    for first, second in np.unique(sides[apart], axis=0).reshape(-1, 2):
        here = middles[apart & (sides[:, 0] == first) & (sides[:, 1] == second)]
        middle = here.mean(axis=0)
        _, _, axes = np.linalg.svd(here - middle, full_matrices=False)
        along = (here - middle) @ axes[0]
        turn = (angle[second - 1] - angle[first - 1] + period / 2) % period - period / 2
        rows.append(
            (
                int(first),
                int(second),
                abs(turn),
                float(np.hypot(error[first - 1], error[second - 1])),
                *middle,
                float(np.ptp(along)),
                _line_angle(axes[0]),
                len(here),
            )
        )
    names = ["grain", "other", "misorientation_deg", "misorientation_deg_err", "y", "x"]
    return pd.DataFrame(rows, columns=[*names, "length", "direction_deg", "pairs"])


def _tell_twins(
    boundaries: pd.DataFrame, bonds: Bonds, grain: Indices, steady: NDArray[np.bool_]
) -> None:
    """Add to boundaries whether they are those of twins, and take misorientations from mirror
    images that no turn makes.
    """
    fold = bonds.fold()
    order = bonds.order(fold)

    @cache
    def cell(number: int) -> Array | None:
        members = steady & (grain == number)
        members = members if members.any() else grain == number
        return cell_of(bonds, members, fold, float(np.angle(order[members].mean())) / fold)

    twin = np.zeros(len(boundaries), dtype=bool)
    sides = boundaries[["grain", "other"]].to_numpy(np.int64)
    angles = boundaries[["misorientation_deg", "direction_deg"]].to_numpy(np.float64)
    for k, ((first, second), (turn, direction)) in enumerate(zip(sides, angles, strict=True)):
        one, other = cell(int(first)), cell(int(second))
        if one is None or other is None or not are_twins(one, other, float(direction)):
            continue
        twin[k] = True
        if not any(same_lattice(turned(one, float(each)), other) for each in (turn, -turn)):
            boundaries.loc[k, ["misorientation_deg", "misorientation_deg_err"]] = np.nan
    boundaries["twin"] = twin


def _line_angle(axis: Array) -> float:
    """Degrees of a line (y, x) from x counter-clockwise as shown, in -90..90."""
    turn = float(np.degrees(np.arctan2(-axis[0], axis[1])))
    return (turn + 90.0) % 180.0 - 90.0
