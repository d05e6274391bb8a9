"""Rings of bonded atoms in two-dimensional materials, and the defects that they show."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd

from napari_atomseg._shared.geometry import (
    clusters_of,
    delaunay_triangles,
    median_spacing,
    sides_of,
)
from napari_atomseg._shared.types import Array, Indices, Sampling
from napari_atomseg._shared.units import pixel_scale
from napari_atomseg.analysis.positions import Positions, placed

LONGEST_BOND = 1.3
"""Typical bonds; second neighbours of a honeycomb are at 1.73."""
PERFECT, BONDS, HEXAGON = 6, 3, 1.5 * np.sqrt(3.0)
"""Atoms of a ring and bonds of an atom of a honeycomb, and its rings' area in squared bonds."""
NAMES = {
    (10,): "missing bond",
    (12,): "vacancy",
    (5, 9): "vacancy 5-9",
    (14,): "divacancy",
    (5, 5, 8): "divacancy 5-8-5",
    (5, 5, 5, 7, 7, 7): "divacancy 555-777",
    (5, 5, 7, 7): "Stone-Wales",
    (5, 7): "dislocation 5-7",
}
"""Names of defects by the sizes of their rings (Banhart, Kotakoski and Krasheninnikov, ACS Nano 5,
26, 2011)."""


@dataclass(frozen=True)
class Rings:
    """Rings of a network of atoms.

    Attributes
    ----------
    bonds : (B, 2) rows of the table of columns.
    members : for each ring, the rows of its atoms in order around it.
    table : a row a ring: ``ring``; ``size``, how many atoms; ``y``, ``x``, their mean; ``area``
        (px²); and ``defect``, the number in `defects`, -1 for a hexagon.
    defects : a row for each group of rings other than hexagons that share bonds: ``defect``;
        ``name``, such as "divacancy 5-8-5"; ``sizes``, such as "5-5-8"; ``y``, ``x``, the mean of
        its atoms; ``rings``; ``charge``, the sum of 6 - size (0 unless it ends a disclination);
        and ``missing``, how many atoms it lacks against a honeycomb in its place (<NA> where the
        defect reaches the border, or is a dislocation or a disclination).
    coordination : (N,) bonds of each atom.

    With a sampling, places and areas are also there as ``…_angstrom`` (``area_angstrom2``).
    """

    bonds: Indices
    members: tuple[Indices, ...]
    table: pd.DataFrame
    defects: pd.DataFrame
    coordination: Indices


def find_rings(
    columns: Positions, sampling: Sampling | None = None, *, longest_bond: float | None = None
) -> Rings:
    """Find the rings of bonded atoms, and what is not a hexagon.

    Atoms are bonded that are neighbours in Delaunay's triangulation and near enough; the bonds
    then cut the plane into rings. How many atoms a defect lacks follows from the network alone,
    not from its distances: from its outline and Euler's theorem.

    Parameters
    ----------
    columns : table with `y` and `x` (px), or (N, 2); one a site, as in graphene, boron nitride or
        MoS2 along its normal.
    sampling : Å a pixel, one number or (dy, dx).
    longest_bond : Å (px without a sampling); by default 1.3 times the median distance of nearest
        neighbours.

    Raises
    ------
    ValueError
        An argument is wrong.
    """
    if longest_bond is not None and not longest_bond > 0:
        raise ValueError(f"longest_bond={longest_bond!r} must be positive")
    points = placed(columns, sampling)
    bonds = _bonds(points, longest_bond)
    members, outside = _faces(points, bonds)
    table = _ring_table(points, members)
    coordination = np.bincount(bonds.reshape(-1), minlength=len(points)).astype(np.int64)
    table["defect"], defects = _defects(points, members, bonds, coordination, outside)
    unit = pixel_scale(sampling)
    for each in (table, defects):
        for axis, name in enumerate(("y", "x")):
            if sampling is not None:
                each[f"{name}_angstrom"] = each[name]
            each[name] = each[name] / unit[axis]
    if sampling is not None:
        table["area_angstrom2"] = table["area"]
    table["area"] /= unit.prod()
    return Rings(bonds, members, table, defects, coordination)


def _bonds(points: Array, longest: float | None) -> Indices:
    sides = sides_of(delaunay_triangles(points))
    length = np.hypot(*(points[sides[:, 1]] - points[sides[:, 0]]).T)
    if longest is None and len(sides):
        longest = LONGEST_BOND * median_spacing(points)
    return sides[length <= longest] if longest is not None else sides


def _faces(points: Array, bonds: Indices) -> tuple[tuple[Indices, ...], Indices]:
    """Atoms of each ring, clockwise as shown, and those atoms that border the outside.

    A face lies on the same side of each directed bond: at its end, the way goes on along the next
    bond by angle. Bonds into dead ends are walked both ways, and left out first.
    """
    bonds = bonds[_in_rings(bonds, len(points))]
    both = np.concatenate([bonds, bonds[:, ::-1]])
    if len(both) == 0:
        return (), np.zeros(0, dtype=np.int64)
    step = points[both[:, 1]] - points[both[:, 0]]
    order = np.lexsort((np.arctan2(step[:, 0], step[:, 1]), both[:, 0]))
    both = both[order]
    back = np.empty(len(both), dtype=np.int64)
    back[np.lexsort((both[:, 1], both[:, 0]))] = np.lexsort((both[:, 0], both[:, 1]))
    first = np.searchsorted(both[:, 0], both[:, 0], side="left")
    last = np.searchsorted(both[:, 0], both[:, 0], side="right") - 1
    turned = np.where(np.arange(len(both)) == first, last, np.arange(len(both)) - 1)
    follow, start = turned[back].tolist(), both[:, 0].tolist()
    left = [True] * len(both)
    rings: list[Indices] = []
    outside: list[Indices] = []
    for bond in range(len(both)):
        ring = []
        while left[bond]:
            left[bond] = False
            ring.append(start[bond])
            bond = follow[bond]
        if ring:
            inner = _area(points[ring]) > 0
            (rings if inner else outside).append(np.array(ring, dtype=np.int64))
    border = np.unique(np.concatenate(outside)) if outside else np.zeros(0, dtype=np.int64)
    return tuple(rings), border


def _in_rings(bonds: Indices, count: int) -> Indices:
    """The bonds without those into dead ends."""
    kept = np.arange(len(bonds))
    while True:
        degree = np.bincount(bonds[kept].reshape(-1), minlength=count)
        open_ended = (degree[bonds[kept]] == 1).any(axis=1)
        if not open_ended.any():
            return kept
        kept = kept[~open_ended]


def _area(polygon: Array) -> float:
    """Area of (M, 2) corners (y, x), positive in the sense from x to y."""
    ahead = np.roll(polygon, -1, axis=0)
    return 0.5 * float(np.sum(polygon[:, 1] * ahead[:, 0] - polygon[:, 0] * ahead[:, 1]))


def _ring_table(points: Array, members: tuple[Indices, ...]) -> pd.DataFrame:
    middles = np.array([points[ring].mean(axis=0) for ring in members]).reshape(-1, 2)
    return pd.DataFrame(
        {
            "ring": np.arange(len(members)),
            "size": np.array([len(ring) for ring in members], dtype=np.int64),
            "y": middles[:, 0],
            "x": middles[:, 1],
            "area": np.array([_area(points[ring]) for ring in members], dtype=np.float64),
        }
    )


def _defects(
    points: Array,
    members: tuple[Indices, ...],
    bonds: Indices,
    coordination: Indices,
    border: Indices,
) -> tuple[Indices, pd.DataFrame]:
    """(R,) defect of each ring, and the table of defects."""
    size = np.array([len(ring) for ring in members], dtype=np.int64)
    odd = np.flatnonzero(size != PERFECT)
    owner: dict[tuple[int, int], int] = {}
    pairs = []
    for number, ring in enumerate(odd):
        for a, b in pairwise([*members[ring].tolist(), int(members[ring][0])]):
            other = owner.setdefault((min(a, b), max(a, b)), number)
            if other != number:
                pairs.append((other, number))
    cluster = clusters_of(np.array(pairs, dtype=np.int64).reshape(-1, 2), len(odd))
    defect = np.full(len(size), -1, dtype=np.int64)
    defect[odd] = cluster
    rows = []
    for number in range(int(cluster.max(initial=-1)) + 1):
        rings = odd[cluster == number]
        atoms = np.unique(np.concatenate([members[ring] for ring in rings]))
        sizes = tuple(sorted(size[rings].tolist()))
        rows.append(
            (
                number,
                NAMES.get(sizes, _written(sizes)),
                _written(sizes),
                *points[atoms].mean(axis=0),
                len(rings),
                int(np.sum(PERFECT - np.array(sizes))),
                _missing([members[ring] for ring in rings], bonds, coordination, border),
            )
        )
    names = ["defect", "name", "sizes", "y", "x", "rings", "charge", "missing"]
    return defect, pd.DataFrame(rows, columns=names).astype(
        {"y": float, "x": float, "missing": "Int64"}
    )


def _missing(
    rings: list[Indices], bonds: Indices, coordination: Indices, border: Indices
) -> int | None:
    """Atoms that the rings of a defect lack against the honeycomb within the same outline.

    The outline is walked in a honeycomb by turning at each atom by 60°, away from the side of the
    third bond. Where it closes, the hexagons H in it follow from its area; V atoms with F rings
    and d open bonds in the place of H hexagons are 2 (H - F) - d fewer, by Euler's theorem. None
    where it does not close, as around a dislocation, or where the defect reaches the border.
    """
    atoms = np.unique(np.concatenate(rings))
    if np.isin(atoms, border).any():
        return None
    sides = {side for ring in rings for side in pairwise([*ring.tolist(), int(ring[0])])}
    outer = {a: b for a, b in sides if (b, a) not in sides}
    held = np.bincount(np.array([a for a, b in sides if (b, a) in sides], dtype=np.int64))
    inward = np.zeros(len(coordination), dtype=bool)
    inward[np.flatnonzero(held)] = True
    inward |= coordination < BONDS
    direction, corner, corners = 0, 0j, []
    here = start = next(iter(outer), -1)
    while here in outer:
        corners.append(corner)
        corner += np.exp(1j * np.pi / 3 * direction)
        here = outer.pop(here)
        direction += -1 if inward[here] else 1
    if here != start or outer or abs(corner) > 1e-6 or direction != PERFECT:
        return None
    outline = np.array([[c.imag, c.real] for c in corners])
    hexagons = round(_area(outline) / HEXAGON)
    ends = bonds[np.isin(bonds, atoms).any(axis=1)]
    dangling = np.setdiff1d(ends[coordination[ends] == 1], atoms)
    open_bonds = int((BONDS - coordination[np.concatenate([atoms, dangling])]).sum())
    return int(2 * (hexagons - len(rings)) - open_bonds)


def _written(sizes: tuple[int, ...]) -> str:
    """As "5-5-8", or "5×12, 8×6" of many rings."""
    if len(sizes) <= PERFECT:
        return "-".join(map(str, sizes))
    return ", ".join(f"{size}×{count}" for size, count in sorted(Counter(sizes).items()))
