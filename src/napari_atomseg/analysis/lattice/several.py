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
from napari_atomseg.analysis.lattice.assign import assign, follow
from napari_atomseg.analysis.lattice.find import FEWEST, find_lattice, fitted
from napari_atomseg.analysis.lattice.lattice import Lattice
from napari_atomseg.analysis.lattice.sites import SITE, intensity_of
from napari_atomseg.analysis.lattice.strain import STRAINS, strain, strains, turned
from napari_atomseg.analysis.positions import positions_of

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
SAME = 0.01
"""Strains that differ by less are equal, where a basis is chosen."""
BASES = _STEPS[np.linalg.det(_STEPS).round() == 1]
"""Changes between cells of one lattice that keep its hand."""
NONE = -1


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
    """

    lattices: tuple[Lattice, ...]
    columns: pd.DataFrame
    table: pd.DataFrame
    reference: int


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
    found from the columns that are left. A lattice that comes back, as in lamellae of twins, is
    one.

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
    label = np.full(len(columns), NONE)
    found: list[Lattice] = []
    least = max(smallest, LEFT_OVER * len(columns))
    while len(found) < most:
        free = np.flatnonzero(label == NONE)
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
    if not 0 <= reference < len(found):
        raise ValueError(f"reference={reference!r}; the lattices are 0 to {len(found) - 1}")
    maps = [_map(each, found[reference]) for each in found]
    table = _assigned(columns, label, found, maps)
    return Lattices(tuple(found), table, _lattice_table(table, found, maps), reference)


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
