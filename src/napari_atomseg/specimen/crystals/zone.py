"""A crystal turned so that a zone axis lies along the beam."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

from napari_atomseg._shared.types import Array, Indices
from napari_atomseg.specimen.crystals.axis import View, three_indices
from napari_atomseg.specimen.crystals.mixed import Mixture, mixtures_of

if TYPE_CHECKING:
    from ase import Atoms

SAME_COLUMN = 0.3
"""Atoms whose projections lie closer than this (Å) belong to one column."""
SAME_PLACE = 0.02
"""Å; atoms that a shift brings this close stand on each other."""


def in_plane_turn(degrees: float) -> Array:
    """(2, 2) matrix that turns rows (y, x) within the image when multiplied from the right,
    counter-clockwise as the image is shown, y down.
    """
    cosine, sine = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    return np.array([[cosine, sine], [-sine, cosine]])


@dataclass(frozen=True)
class OrientedCell:
    """A cell of a crystal in the image's frame, the beam along its third vector.

    The frame is right-handed: x to the right of the image as it is shown, y down, and z along the
    beam, away from the viewer, who looks where the electrons go.

    Attributes
    ----------
    vectors : (3, 3) lattice vectors in Å, each row (y, x, z); the third is (0, 0, period).
    positions : (N, 3) atoms in fractions of the vectors; those of one column lie side by side.
    numbers : (N,) atomic numbers.
    column : (N,) column of the cell that each atom belongs to.
    frame : (3, 3) matrix that takes Cartesian rows (x, y, z) of the crystal to (y, x, z) of the
        image when multiplied from the right.
    reciprocal : (3, 3) reciprocal lattice vectors of the crystal's own cell, each row (y, x, z).
    layer : a single sheet seen along its normal, which does not repeat along the beam.
    sites, mixtures : of sites that several elements share, as of `mixed.mixtures_of`; `numbers` has
        their most frequent element.
    """

    vectors: Array
    positions: Array
    numbers: Indices
    column: Indices
    frame: Array
    reciprocal: Array
    layer: bool
    sites: Indices
    mixtures: tuple[Mixture, ...] = ()

    @property
    def period(self) -> float:
        """Å along the beam after which a column repeats."""
        return float(self.vectors[2, 2])

    def rotated(self, degrees: float) -> OrientedCell:
        """The cell turned about the beam, counter-clockwise as the image is shown."""
        turn = np.eye(3)
        turn[:2, :2] = in_plane_turn(degrees)
        return replace(
            self,
            vectors=self.vectors @ turn,
            frame=self.frame @ turn,
            reciprocal=self.reciprocal @ turn,
        )

    def normals(self, planes: ArrayLike) -> Array:
        """(P, 3) unit normals (y, x, z) of lattice planes (hkl) of the crystal's own cell."""
        normals = np.asarray(planes, dtype=np.float64) @ self.reciprocal
        return np.asarray(normals / np.linalg.norm(normals, axis=1, keepdims=True))

    @cached_property
    def translations(self) -> Array:
        """(T, 2) translations of the crystal across the beam, (y, x) in Å, by rising length."""
        shifts = [np.zeros(3)]
        for j in range(1, len(self.positions)):
            shift = self.positions[j] - self.positions[0]
            if self._is_symmetry(shift):
                shifts.append(shift)
        steps = np.stack(np.meshgrid(*[np.arange(-3, 4)] * 2, [0]), axis=-1).reshape(-1, 1, 3)
        vectors = ((steps + np.array(shifts)) @ self.vectors).reshape(-1, 3)
        height = vectors[:, 2] / self.period
        vectors = vectors[np.abs(height - np.round(height)) * self.period < SAME_PLACE, :2]
        length = np.linalg.norm(vectors, axis=1)
        order = np.argsort(length, kind="stable")
        return np.asarray(vectors[order][length[order] > SAME_PLACE])

    def _is_symmetry(self, shift: Array) -> bool:
        # A few atoms rule out most shifts that are no symmetries.
        for some in (slice(0, 8), slice(None)):
            offsets = self.positions[some] + shift - self.positions[:, None]
            offsets -= np.round(offsets)
            close = np.linalg.norm(offsets @ self.vectors, axis=-1) < SAME_PLACE
            at = close.argmax(axis=0)
            same = self.numbers[at] == self.numbers[some]
            same &= self.sites[at] == self.sites[some]
            if not np.all(same & close.any(axis=0)):
                return False
        return True


def orient(
    atoms: Atoms, zone_axis: tuple[int, ...] = (0, 0, 1), view: View = "towards"
) -> OrientedCell:
    """Turn a crystal so that a zone axis lies along the beam.

    Parameters
    ----------
    atoms : periodic unit cell.
    zone_axis : direction [uvw] in units of the cell vectors, or [uvtw] of a hexagonal cell.
    view : whether the zone axis points "towards" the viewer, against the beam, as VESTA and
        diffraction patterns have it, or "along" the beam, away from the viewer. One shows the
        mirror image of the other.

    Raises
    ------
    ValueError
        The zone axis is zero, not three integers (or four of a hexagonal cell), or too high; or
        there is no such view.
    """
    cell = np.asarray(atoms.cell.array, dtype=np.float64)
    axis = _along_beam(np.array(three_indices(zone_axis, cell)), view)
    beam = axis @ cell
    beam /= np.linalg.norm(beam)
    first, second = _transverse_vectors(axis, cell, beam)
    frame = _image_frame(beam, first @ cell)
    basis = np.stack([first, second, axis])
    vectors = basis @ cell @ frame
    positions = np.asarray(atoms.get_scaled_positions(wrap=True)) @ np.linalg.inv(basis) % 1.0
    column = np.zeros(len(positions), dtype=np.int64)
    for index, members in enumerate(_group(positions[:, :2], vectors[:2, :2])):
        origin = positions[members[0], :2]
        offsets = (positions[members, :2] - origin + 0.5) % 1.0 - 0.5
        positions[members, :2] = origin + offsets
        column[members] = index
    sites, mixtures = mixtures_of(atoms)
    return OrientedCell(
        vectors=vectors,
        positions=positions,
        numbers=np.asarray(atoms.get_atomic_numbers(), dtype=np.int64),
        column=column,
        frame=frame,
        reciprocal=np.linalg.inv(cell).T @ frame,
        layer=not atoms.pbc[2] and not np.any(axis[:2]),
        sites=sites,
        mixtures=mixtures,
    )


def cartesian_frame(direction: ArrayLike, view: View = "towards") -> Array:
    """(3, 3) frame, as in `OrientedCell`, that lays a Cartesian direction along the beam, or, where
    it points towards the viewer, against it.
    """
    beam = _along_beam(np.asarray(direction, dtype=np.float64), view)
    beam = beam / np.linalg.norm(beam)
    across = np.eye(3)[int(np.argmin(np.abs(beam)))]
    return _image_frame(beam, across)


def _image_frame(beam: Array, towards_x: Array) -> Array:
    along = towards_x - beam * (towards_x @ beam)
    e_x = along / np.linalg.norm(along)
    e_y = np.cross(beam, e_x)
    # The one place where ASE's (x, y) becomes the image's (row, col).
    return np.stack([e_y, e_x, beam], axis=1)


def _along_beam(axis: NDArray[Any], view: View) -> NDArray[Any]:
    """The direction that the beam takes, of one that points towards the viewer or along it."""
    if view not in get_args(View):
        raise ValueError(f"view={view!r} must be one of {', '.join(get_args(View))}")
    return -axis if view == "towards" else axis


def _transverse_vectors(
    axis: NDArray[np.int64], cell: Array, beam: Array
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Two lattice vectors that, with the axis, span the lattice, as short and square as found."""
    reach = int(max(2, np.abs(axis).max()))
    trials = np.array(list(product(range(-reach, reach + 1), repeat=3)))
    plane = trials @ cell
    lengths = np.linalg.norm(plane - np.outer(plane @ beam, beam), axis=1)
    order = np.argsort(lengths, kind="stable")
    trials, lengths = trials[order], lengths[order]
    trials = trials[lengths > 1e-6][:120]
    crosses = np.cross(trials[:, None], trials[None])
    for total in range(1, 2 * len(trials)):
        for i in range(max(0, total - len(trials) + 1), (total + 1) // 2):
            if round(float(crosses[i, total - i] @ axis)) == 1:
                return trials[i], trials[total - i]
            if round(float(crosses[i, total - i] @ axis)) == -1:
                return trials[i], -trials[total - i]
    raise ValueError(f"zone_axis={tuple(axis)} is too high; use indices up to about 5")


def _group(plane: Array, vectors: Array) -> list[Indices]:
    """Indices of atoms whose projections coincide, periodically."""
    # Points near the cell's border, in units of it, may coincide with images beyond it.
    reach = SAME_COLUMN * np.linalg.norm(np.linalg.inv(vectors), axis=0)
    images, sources = [plane], [np.arange(len(plane))]
    for step in product((-1, 0, 1), repeat=2):
        shifted = plane + step
        near = np.all((shifted >= -reach) & (shifted <= 1.0 + reach), axis=1)
        if any(step):
            images.append(shifted[near])
            sources.append(np.flatnonzero(near))
    tree, source = cKDTree(np.concatenate(images) @ vectors), np.concatenate(sources)
    free = np.ones(len(plane), dtype=bool)
    groups = []
    for i, found in enumerate(tree.query_ball_point(plane @ vectors, SAME_COLUMN)):
        if free[i]:
            members = np.unique(source[found])
            groups.append(members[free[members]])
            free[members] = False
    return groups
