"""Crystals atom by atom in a field of view."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import cKDTree

from napari_atomseg._shared.geometry import clusters_of
from napari_atomseg._shared.types import Array, Indices
from napari_atomseg.specimen.crystals.axis import View
from napari_atomseg.specimen.crystals.mixed import drawn
from napari_atomseg.specimen.crystals.projection import covering_cells, project_cell
from napari_atomseg.specimen.crystals.zone import (
    SAME_COLUMN,
    OrientedCell,
    cartesian_frame,
    in_plane_turn,
    orient,
)
from napari_atomseg.specimen.defects import within
from napari_atomseg.specimen.structure import Structure

if TYPE_CHECKING:
    from ase import Atoms

    from napari_atomseg.specimen.specimen import Field

ON_SURFACE = 1e-6
"""Å; atoms this close to a surface lie on it."""


@dataclass(frozen=True)
class Box:
    """The part of space that a specimen fills.

    Attributes
    ----------
    lower, upper : corners (y, x) in Å.
    thickness : Å; atoms lie at 0 ≤ z < thickness.
    """

    lower: Array
    upper: Array
    thickness: float

    @property
    def corners(self) -> Array:
        """(8, 3) corners (y, x, z)."""
        spans = (*zip(self.lower, self.upper, strict=True), (0.0, self.thickness))
        return np.array(list(product(*spans)))


def build_structure(
    atoms: Atoms,
    zone_axis: tuple[int, ...],
    field: Field,
    thickness: float,
    rotation: float = 0.0,
    tilt: tuple[float, float] = (0.0, 0.0),
    offset: tuple[float, float] = (0.0, 0.0),
    view: View = "towards",
    rng: np.random.Generator | None = None,
) -> Structure:
    """All atoms of a crystal in a field with its margin.

    Parameters
    ----------
    atoms : unit cell; one sheet where it does not repeat along z and is seen along it, and one
        lone object where it does not repeat at all.
    zone_axis, view : as for `orient`; of an object, the Cartesian direction.
    thickness : Å along the beam; sheets and objects are as thick as they are.
    rotation : rotation of the crystal about the beam, degrees, counter-clockwise as shown.
    tilt : angles by which columns lean towards y and x on their way down the beam, mrad. Where
        they lean by more than the distance between columns, no atom belongs to a column.
    offset : offset of the cell's origin (of an object's centre) from the image's centre, Å (y, x).
    rng : draws the elements of mixed sites; None draws the same each time.

    Returns
    -------
    Structure of atoms at 0 ≤ z < thickness, whose columns are numbered from 0.

    Raises
    ------
    ValueError
        As `orient`; or the thickness is not positive.
    """
    if not thickness > 0:
        raise ValueError(f"thickness={thickness!r} must be positive, in Å")
    origin = 0.5 * field.size + np.asarray(offset)
    box = Box(field.lower, field.upper, thickness)
    if not atoms.pbc.any():
        return place_object(atoms, zone_axis, box, origin, rotation, tilt, view)
    cell = orient(atoms, zone_axis, view).rotated(rotation)
    return fill_cell(cell, box, origin, tilt, rng)


def fill_cell(
    cell: OrientedCell,
    box: Box,
    origin: Array,
    tilt: tuple[float, float] = (0.0, 0.0),
    rng: np.random.Generator | None = None,
) -> Structure:
    """All atoms of an oriented crystal in a box.

    Parameters
    ----------
    origin : (y, x) of the cell's origin in Å.
    tilt : mrad, about the origin at half the thickness.
    rng : draws the elements of mixed sites; None draws the same each time.
    """
    if not any(tilt):
        return _fill_upright(cell, box, origin, rng=rng)
    turn = _tilt_matrix(tilt)
    pivot = np.array([*origin, 0.0 if cell.layer else 0.5 * box.thickness])
    corners = (box.corners - pivot) @ turn.T + pivot
    lower, upper = corners.min(axis=0), corners.max(axis=0)
    straight = _fill_upright(
        cell, Box(lower[:2], upper[:2], upper[2] - lower[2]), origin, float(lower[2]), rng
    )
    tilted = _turned(straight, turn, pivot)
    if not cell.layer:
        tilted = tilted.select((tilted.z >= 0) & (tilted.z < box.thickness))
    tilted = within(tilted, box.lower, box.upper)
    lean = np.hypot(*np.tan(1e-3 * np.asarray(tilt))) * (0.0 if cell.layer else box.thickness)
    if lean > project_cell(cell).typical_spacing:
        return replace(tilted, column=np.full(len(tilted), -1))
    return _renumbered(tilted)


def _fill_upright(
    cell: OrientedCell,
    box: Box,
    origin: Array,
    height: float = 0.0,
    rng: np.random.Generator | None = None,
) -> Structure:
    """Atoms at height ≤ z < height + thickness; a lone sheet lies at its own height."""
    plane = cell.vectors[:2, :2]
    lower, upper = box.lower - origin, box.upper - origin
    grid = covering_cells(plane, lower, upper, cell.positions[:, :2])
    flat = ((grid[:, None] + cell.positions[:, :2]) @ plane).reshape(-1, 2)
    depth = (grid @ cell.vectors[:2, 2])[:, None] + cell.positions @ cell.vectors[:, 2]
    count = len(cell.positions)
    columns = int(cell.column.max()) + 1
    inside = np.flatnonzero(np.all((flat >= lower) & (flat <= upper), axis=1))
    atom = inside % count
    column = (inside // count) * columns + cell.column[atom]
    points, z = flat[inside] + origin, depth.reshape(-1)[inside]
    if cell.layer:
        z = _wrapped(z, cell.period)
    else:
        first = _wrapped(z - height, cell.period)
        # An atom that rounding alone keeps inside the far surface lies on it, and so outside.
        repeats = np.maximum(np.ceil((box.thickness - first - ON_SURFACE) / cell.period), 0)
        first += height
        repeats = repeats.astype(np.int64)
        step = np.arange(repeats.sum()) - np.repeat(np.cumsum(repeats) - repeats, repeats)
        points, z = np.repeat(points, repeats, axis=0), np.repeat(first, repeats)
        z = z + step * cell.period
        column, atom = np.repeat(column, repeats), np.repeat(atom, repeats)
    numbers = cell.numbers[atom]
    if cell.mixtures:
        rng = np.random.default_rng(0) if rng is None else rng
        numbers = drawn(numbers, cell.sites[atom], cell.mixtures, rng)
    filled = Structure(points[:, 0], points[:, 1], z, numbers, column)
    return _renumbered(filled.select(numbers > 0) if cell.mixtures else filled)


def _wrapped(z: Array, period: float) -> Array:
    """Heights in 0 ≤ z < period, those that rounding alone put below 0 at 0."""
    inside = z % period
    return np.where(inside > period - ON_SURFACE, 0.0, inside)


def place_object(
    atoms: Atoms,
    direction: tuple[int, ...],
    box: Box,
    origin: Array,
    rotation: float = 0.0,
    tilt: tuple[float, float] = (0.0, 0.0),
    view: View = "towards",
) -> Structure:
    """A lone object, centred at `origin` and seen along a Cartesian direction.

    What lies outside the box's plane is left out. Atoms in line with each other are a column.

    Raises
    ------
    ValueError
        The direction is zero, or has four indices, as there are no hexagonal axes.
    """
    if len(direction) != 3 or not np.any(direction):
        raise ValueError(f"zone_axis={direction!r} must be three numbers, not all zero")
    frame = cartesian_frame(direction, view)
    frame[:, :2] = frame[:, :2] @ in_plane_turn(rotation)
    points = atoms.get_positions() @ frame
    points -= 0.5 * (points.min(axis=0) + points.max(axis=0))
    upright = points[:, :2] + origin
    points = points @ _tilt_matrix(tilt)
    z = points[:, 2] - points[:, 2].min()
    numbers = np.asarray(atoms.get_atomic_numbers(), dtype=np.int64)
    column = in_line(upright)
    structure = Structure(points[:, 0] + origin[0], points[:, 1] + origin[1], z, numbers, column)
    return _renumbered(within(structure, box.lower, box.upper))


def in_line(points: Array) -> Indices:
    """(N,) column of each of N atoms by their projections, (N, 2) in Å.

    Atoms that lie within `SAME_COLUMN` of each other, directly or through others, share one.
    """
    pairs = cKDTree(points).query_pairs(SAME_COLUMN, output_type="ndarray")
    return clusters_of(pairs, len(points))


def _tilt_matrix(tilt: tuple[float, float]) -> Array:
    """(3, 3) rotation of rows (y, x, z) that leans the z axis towards y and x by mrad."""
    about_x, about_y = 1e-3 * np.asarray(tilt)
    first = np.array(
        [
            [np.cos(about_x), 0.0, -np.sin(about_x)],
            [0.0, 1.0, 0.0],
            [np.sin(about_x), 0.0, np.cos(about_x)],
        ]
    )
    second = np.array(
        [
            [1.0, 0.0, 0.0],
            [0.0, np.cos(about_y), -np.sin(about_y)],
            [0.0, np.sin(about_y), np.cos(about_y)],
        ]
    )
    return np.asarray(first @ second)


def _turned(structure: Structure, turn: Array, pivot: Array) -> Structure:
    points = np.stack([structure.y, structure.x, structure.z], axis=1)
    points = (points - pivot) @ turn + pivot
    return replace(structure, y=points[:, 0], x=points[:, 1], z=points[:, 2])


def _renumbered(structure: Structure) -> Structure:
    """Columns numbered from 0 without gaps."""
    _, column = np.unique(structure.column, return_inverse=True)
    return replace(structure, column=column.astype(np.int64))
