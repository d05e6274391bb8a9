"""Several crystals on one lattice, as the layers of a multilayer: each column named by its own.

Coherent layers share a lattice, and places alone do not tell which crystal a column is of. The
contrast of columns against those around does, as of A and B columns of a perovskite.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from napari_atomseg._shared.types import Array, Indices, Sampling
from napari_atomseg.analysis.lattice.lattice import Lattice
from napari_atomseg.analysis.lattice.sites import intensity_of
from napari_atomseg.analysis.positions import positions_of
from napari_atomseg.analysis.zone_axis.find import MeasuredLattice
from napari_atomseg.analysis.zone_axis.patterns import EITHER, Pattern
from napari_atomseg.analysis.zone_axis.register import (
    FAINTEST,
    TOLERANCE,
    Registration,
    axes_of,
    best_axis,
    expected_contrast,
    local_contrast,
    register_crystal,
    ways_to_lay,
)
from napari_atomseg.progress import CancelToken

if TYPE_CHECKING:
    from napari_atomseg.analysis.zone_axis.find import Crystal

LIKELY = 0.7
"""Ways to lay a crystal that explain this part of what the best one does are compared."""
MISSED = 4.0
"""Square of the contrast that is counted against a crystal without a column where there is one."""


@dataclass(frozen=True)
class Layers:
    """Crystals on one lattice.

    Attributes
    ----------
    first : the crystal with the strongest contrast; its lattice is that of all.
    crystals : names, the first one of `first`.
    columns : table with sites (see `assign`), ``species`` and ``crystal``, "" for columns on no
        site.
    missing : as of `Registration`, named by the crystal of the nearest column.
    """

    first: Registration
    crystals: tuple[str, ...]
    columns: pd.DataFrame
    missing: pd.DataFrame


@dataclass(frozen=True)
class _Way:
    """A crystal on the places of columns: what stands on each, and how badly it agrees there."""

    lattice: Lattice
    pattern: Pattern
    misfit: Array


def register_layers(
    columns: pd.DataFrame,
    crystals: Sequence[Crystal],
    sampling: Sampling | None = None,
    *,
    zone_axis: tuple[int, ...] | None = None,
    largest_index: int = 3,
    tolerance: float = 0.02,
    resolution: float = 1.0,
    faintest: float = FAINTEST,
    intensity: str | None = None,
    lattice: Lattice | None = None,
    cancel: CancelToken | None = None,
) -> Layers:
    """Lay several crystals on one lattice, and name each column by the one that is there.

    A crystal is where the intensities of columns against those of the twelve around, averaged over
    these, are nearest to what its own columns scatter (the logarithms of both are compared). At
    an interface, this is sure to a column or two. What crystals have in common, as oxygen, is
    taken to stand in the same columns of all.

    Parameters
    ----------
    columns : table with `y` and `x` (px) and intensities; of one image.
    crystals : two or more, as for `register_crystal`.
    sampling, zone_axis, largest_index, tolerance, resolution, faintest, intensity, lattice : as for
        `register_crystal`; the zone axis is that of all crystals.

    Raises
    ------
    ValueError
        An argument is wrong, columns have no intensities, or a crystal cannot be laid on the
        lattice.
    OSError
        A file is missing, or cannot be read as a crystal.
    Cancelled
        `cancel` was set.
    """
    from napari_atomseg.specimen.crystals.builtin import get_crystal
    from napari_atomseg.specimen.crystals.crystal import material_name

    bright = intensity_of(columns, intensity)
    if bright is None:
        raise ValueError("columns have no intensities, by which layers of crystals are told apart")
    if len(crystals) < 2:
        raise ValueError("crystals: name two or more; one is laid by register_crystal")
    options: dict[str, Any] = {
        "zone_axis": zone_axis,
        "largest_index": largest_index,
        "tolerance": tolerance,
        "resolution": resolution,
        "faintest": faintest,
        "intensity": intensity,
        "lattice": lattice,
        "cancel": cancel,
    }
    alone = [register_crystal(columns, each, sampling, **options) for each in crystals]
    # Intensities say best how a crystal of strong contrast lies.
    order = sorted(range(len(alone)), key=lambda n: (not alone[n].fits, -alone[n].contrast))
    first = alone[order[0]]
    table = first.columns.copy()
    on = np.flatnonzero(table["sublattice"] >= 0)
    cells = table.loc[on, ["i", "j"]].to_numpy(dtype=np.int64)
    kind = table.loc[on, "sublattice"].to_numpy(dtype=np.int64)
    places = first.lattice.sites(cells[:, 0], cells[:, 1], kind)
    light = local_contrast(bright[on], positions_of(table)[on] * first.lattice.scale)
    measured = MeasuredLattice.of(first.lattice, by_intensity=False)
    chosen: list[_Way] = []
    least = np.full(len(on), np.inf)
    for number in order:
        atoms = get_crystal(crystals[number])
        axes = axes_of(atoms, zone_axis, largest_index)
        name = material_name(crystals[number])
        laid, _ = best_axis(atoms, axes, measured, tolerance, resolution, name, None, cancel)
        ways = [
            _way(trial, pattern, places, light)
            for trial, _, pattern in ways_to_lay(laid, first.lattice, faintest, atoms.cell.array)
        ]
        if chosen:
            ways = _coherent(ways, chosen[0], places)
        best = _best_way(ways, least, light[1])
        least = np.minimum(least, best.misfit)
        chosen.append(best)
    which = np.argmin([way.misfit for way in chosen], axis=0)
    names = tuple(material_name(crystals[number]) for number in order)
    table["species"], table["crystal"] = "", ""
    table.loc[on, "crystal"] = np.array(names)[which]
    table.loc[on, "species"] = _named(chosen, which, places)
    missing = first.missing.copy()
    missing["crystal"] = ""
    if len(missing) and len(on):
        gaps = missing[["i", "j"]].to_numpy(dtype=np.int64)
        empty = first.lattice.sites(
            gaps[:, 0], gaps[:, 1], missing["sublattice"].to_numpy(dtype=np.int64)
        )
        near = which[cKDTree(places).query(empty)[1]]
        missing["crystal"] = np.array(names)[near]
        missing["species"] = _named(chosen, near, empty)
    return Layers(first, names, table, missing)


def _way(lattice: Lattice, pattern: Pattern, places: Array, light: tuple[Array, Indices]) -> _Way:
    """How badly a crystal agrees with the contrast of columns, averaged over those around each."""
    contrast, near = light
    _, kind, away = lattice.nearest(places)
    square = (contrast - expected_contrast(pattern, kind, near)) ** 2
    off = np.hypot(*(away * lattice.scale).T) > TOLERANCE * lattice.separation
    square = np.where(off, MISSED, np.minimum(square, MISSED))
    return _Way(lattice, pattern, square[near].mean(axis=1))


def _coherent(ways: list[_Way], first: _Way, places: Array) -> list[_Way]:
    """The ways in which a crystal continues the first one: what both have in common, as oxygen,
    stands in the same columns.
    """
    elements = [_elements(each.pattern) for each in (first, ways[0])]
    common = set().union(*elements[0]) & set().union(*elements[1])
    own = first.lattice.nearest(places)[1]
    alike = []
    for way in ways:
        kinds = way.lattice.nearest(places)[1]
        pairs, count = np.unique(np.stack([own, kinds]), axis=1, return_counts=True)
        other = _elements(way.pattern)
        same = [elements[0][a] & common == other[b] & common for a, b in pairs.T]
        alike.append(float(count[same].sum()) / len(places))
    return [way for way, part in zip(ways, alike, strict=True) if part > 0.95 * max(alike)]


def _elements(pattern: Pattern) -> list[set[str]]:
    """Elements of each column of a pattern."""
    from ase.symbols import string2symbols

    return [
        {symbol for name in names.split(EITHER) for symbol in string2symbols(name)}
        for names in pattern.names
    ]


def _best_way(ways: list[_Way], least: Array, near: Indices) -> _Way:
    """The way that agrees best within the layers that it may explain better than other crystals do.

    At interfaces, contrasts are between those of both crystals, and a wrong way may be nearer to
    them: only columns with none but such columns around count, the same ones for all ways.
    """
    gains = np.array([np.maximum(least - way.misfit, 0.0) for way in ways])
    gains = np.where(np.isfinite(gains), gains, MISSED)
    total = gains.sum(axis=1)
    likely = np.flatnonzero(total >= LIKELY * total.max())
    inside = np.logical_and.reduce([(gains[n] > 0)[near].all(axis=1) for n in likely])
    if not inside.any():
        return ways[int(total.argmax())]
    return min((ways[n] for n in likely), key=lambda way: float(way.misfit[inside].mean()))


def _named(ways: list[_Way], which: Indices, places: Array) -> Array:
    """(M,) names of the columns on places, each by its own crystal."""
    every = np.array([np.array(way.pattern.names)[way.lattice.nearest(places)[1]] for way in ways])
    return np.asarray(every[which, np.arange(len(places))])
