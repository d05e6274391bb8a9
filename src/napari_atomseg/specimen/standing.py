"""Columns of a crystal as single atoms, for images that are formed atom by atom."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from napari_atomseg._shared.types import Array
from napari_atomseg.specimen.build import Box, fill_cell
from napari_atomseg.specimen.columns import Columns
from napari_atomseg.specimen.crystals.crystal import Crystal
from napari_atomseg.specimen.outline import Particle, Thickness
from napari_atomseg.specimen.specimen import Field
from napari_atomseg.specimen.structure import Structure

BEYOND = 2.0
"""Å beyond the field within which sites lend their heights."""


def standing_atoms(
    columns: Columns, crystal: Crystal, field: Field, origin: Array, outline: Thickness
) -> Structure:
    """The atoms of a crystal's columns, each as many of each element as the column counts.

    An atom takes the height of a site of the perfect crystal, in the column of that crystal that is
    closest. Columns begin at the entrance surface, those of particles at their own. Where a column
    has fewer atoms than sites, as with vacancies, those at its far end are missing; atoms of other
    elements take the sites that are left.

    Parameters
    ----------
    columns : with whole numbers of atoms, moved or not.
    origin : (y, x) of the crystal's origin in Å.
    """
    if not len(columns):
        none, whole = np.zeros(0), np.zeros(0, dtype=np.int64)
        return Structure(none, none, none, whole, whole)
    start = np.zeros(len(columns))
    if isinstance(outline, Particle):
        start = outline.surfaces(columns.y, columns.x)[0]
        start = start - start.min()
    # Each column of the crystal has a site of each of its elements in every period.
    most = float(columns.counts.max()) + 2.0
    depth = 1.0 if crystal.cell.layer else float(start.max()) + crystal.cell.period * most
    sites = fill_cell(crystal.cell, Box(field.lower - BEYOND, field.upper + BEYOND, depth), origin)
    heights = _heights(sites)
    perfect = sites.columns()
    _, nearest = cKDTree(perfect.points).query(columns.points)
    parts = [
        _column(columns.counts[i], columns.numbers, heights[site], float(start[i]))
        for i, site in enumerate(np.atleast_1d(nearest))
    ]
    sizes = [len(z) for z, _ in parts]
    column = np.repeat(np.arange(len(columns)), sizes)
    return Structure(
        columns.y[column],
        columns.x[column],
        np.concatenate([z for z, _ in parts]),
        np.concatenate([number for _, number in parts]),
        column,
    )


def _heights(sites: Structure) -> list[dict[int, Array]]:
    """Sorted heights of the sites of each element, for each column in the order of `columns`."""
    found: list[dict[int, Array]] = []
    order = np.lexsort((sites.z, sites.column))
    order = order[sites.column[order] >= 0]
    bounds = np.flatnonzero(np.diff(sites.column[order])) + 1
    for atoms in np.split(order, bounds):
        number, z = sites.number[atoms], sites.z[atoms]
        found.append({int(n): z[number == n] for n in np.unique(number)})
    return found


def _column(
    counts: Array, numbers: tuple[int, ...], sites: dict[int, Array], start: float
) -> tuple[Array, np.ndarray[tuple[int], np.dtype[np.int64]]]:
    """Heights and atomic numbers of the atoms of a column."""
    z: list[Array] = []
    kinds: list[int] = []
    wanted = {n: round(float(c)) for n, c in zip(numbers, counts, strict=True) if c > 0}
    left: list[Array] = []
    for number, places in sites.items():
        first = int(np.searchsorted(places, start - 1e-6))
        above, count = places[first:], wanted.pop(number, 0)
        z.append(above[:count])
        kinds.append(number)
        left.append(above[count:])
    free = np.sort(np.concatenate(left)) if left else np.zeros(0)
    for number, count in wanted.items():
        z.append(free[:count])
        kinds.append(number)
        free = free[count:]
    sizes = [len(each) for each in z]
    return np.concatenate(z), np.repeat(np.array(kinds, dtype=np.int64), sizes)
