"""Grains of a crystal by the local orientation of its lattice, and the boundaries between them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from napari_atomseg._shared.geometry import (
    clusters_of,
    delaunay_triangles,
    median_spacing,
    sides_of,
)
from napari_atomseg._shared.types import Array, Indices, Sampling
from napari_atomseg._shared.units import pixel_scale
from napari_atomseg.analysis.positions import Positions, placed

FOLDS = (6, 4, 2)
"""Symmetries of the bonds around a column that are looked for."""
NEIGHBOURS = 1.35
"""Distances of the nearest column within which columns count as neighbours."""
FACING = 2.5
"""Such distances, within which columns of two grains face each other."""
FINER = 1.15
"""A symmetry of more folds is taken where it is not weaker by more than this factor."""


@dataclass(frozen=True)
class Bonds:
    """Neighbours of columns.

    Attributes
    ----------
    points : (N, 2) places (y, x).
    pairs : (B, 2) indices of neighbouring columns.
    angles : (B,) of the way from the first to the second, radians from x towards y.
    across : (L, 2) indices of columns that stand side by side, if farther off than neighbours in
        the crystal do, as on both sides of a boundary.
    """

    points: Array
    pairs: Indices
    angles: Array
    across: Indices

    @staticmethod
    def of(points: Array) -> Bonds:
        """Neighbours in Delaunay's triangulation that stand about as near as the nearest."""
        sides = sides_of(delaunay_triangles(points))
        step = points[sides[:, 1]] - points[sides[:, 0]]
        length = np.hypot(step[:, 0], step[:, 1])
        typical = median_spacing(points) if len(sides) else 0.0
        near = length <= NEIGHBOURS * typical
        angles = np.arctan2(step[near, 0], step[near, 1])
        return Bonds(points, sides[near], angles, sides[length <= FACING * typical])

    def spread(self, values: NDArray[np.complex128]) -> NDArray[np.complex128]:
        """(N,) mean of the values of each column and its neighbours."""
        first, second = self.pairs.T
        total = values.copy()
        np.add.at(total, first, values[second])
        np.add.at(total, second, values[first])
        count = 1 + np.bincount(self.pairs.reshape(-1), minlength=len(values))
        return np.asarray(total / count)

    def order(self, fold: int) -> NDArray[np.complex128]:
        """(N,) bond-orientational order ψ = mean of exp(i m θ) over the bonds of each column, for m
        folds (Steinhardt, Nelson and Ronchetti, Phys. Rev. B 28, 784, 1983, in two dimensions).
        """
        # The way back has the same phase: all folds are even.
        turn = np.exp(1j * fold * self.angles)
        total = np.zeros(len(self.points), dtype=np.complex128)
        np.add.at(total, self.pairs[:, 0], turn)
        np.add.at(total, self.pairs[:, 1], turn)
        count = np.bincount(self.pairs.reshape(-1), minlength=len(self.points))
        return np.asarray(total / np.maximum(count, 1))

    def leverage(self, members: NDArray[np.bool_]) -> float:
        """Deviation of the mean turn of some columns' bonds over that of one column's turn.

        Where all columns stray alike and independently; NaN where they have no bonds. What one
        strays turns the bonds on both of its sides in opposite ways, so that the mean depends on
        the columns of the rim alone.
        """
        count = np.maximum(np.bincount(self.pairs.reshape(-1), minlength=len(self.points)), 1)
        step = self.points[self.pairs[:, 1]] - self.points[self.pairs[:, 0]]
        # By what a bond turns as its end moves.
        turn = np.stack([step[:, 1], -step[:, 0]]) / (step**2).sum(axis=1)
        share = members / count
        whole, own, square = (np.zeros((2, len(self.points))) for _ in range(3))
        for start, end, sign in ((*self.pairs.T, 1.0), (*self.pairs.T[::-1], -1.0)):
            for axis in range(2):
                moved = sign * turn[axis]
                whole[axis] += np.bincount(end, moved * (share[start] + share[end]), len(count))
                own[axis] += np.bincount(start, -moved, len(count))
                square[axis] += np.bincount(start, moved**2, len(count))
        single = ((own**2 + square).sum(axis=0) / count**2)[members].mean()
        if not single > 0:
            return float("nan")
        return float(np.sqrt((whole**2).sum() / single) / members.sum())

    def surrounded(self) -> NDArray[np.bool_]:
        """(N,) whether a column has as many bonds as most have, which those of a border do not."""
        count = np.bincount(self.pairs.reshape(-1), minlength=len(self.points))
        return np.asarray(count >= np.median(count)) if len(count) else count > 0

    def fold(self) -> int:
        """The symmetry that the bonds around a typical column have."""
        if len(self.points) == 0:
            return FOLDS[0]
        strength = {fold: float(np.median(np.abs(self.order(fold)))) for fold in FOLDS}
        return max(FOLDS, key=lambda fold: strength[fold] * FINER ** (fold / 2))


FINE = 0.45
"""Part of the tolerance beyond which the orientation about a column marks where grains may part."""
NOISY = 2.2
"""Typical steps that noise makes, below which none marks anything."""
REACH = 2.3
"""Spacings over which the orientation about a column is compared: a boundary is a step within."""
SURROUNDINGS = 60
"""Columns over which a crystal bends, at least, where that is no boundary."""
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
        ``misorientation_deg_err``; ``y``, ``x``, the middle of the boundary (px); ``length`` (Å,
        or px without a sampling) and ``direction_deg`` of the straight line nearest to it, in
        -90..90° from x counter-clockwise; ``pairs``, how many neighbours it parts.
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
    fold : symmetry of the bonds, 2, 4 or 6; None finds the one that they have. The centred lattice
        of a cubic crystal along [110] has nearly six folds; with 2, and a tolerance of some 12°, as
        two folds are weak there, twins are told apart.
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
    fold = fold or bonds.fold()
    own = bonds.order(fold)
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
    boundaries[["y", "x"]] /= unit
    return Grains(table, grains, boundaries, fold)


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
    for end in (first, second):
        for i in range(2):
            right[:, i] += np.bincount(end, way[:, i] * turn, count)
            for j in range(2):
                normal[:, i, j] += np.bincount(end, way[:, i] * way[:, j], count)
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


def _line_angle(axis: Array) -> float:
    """Degrees of a line (y, x) from x counter-clockwise as shown, in -90..90."""
    turn = float(np.degrees(np.arctan2(-axis[0], axis[1])))
    return (turn + 90.0) % 180.0 - 90.0
