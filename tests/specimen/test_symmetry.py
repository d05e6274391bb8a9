"""Symmetry found from atoms alone is that of the crystals' space groups."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, make_supercell

from napari_atomseg.specimen.crystals.builtin import get_crystal
from napari_atomseg.specimen.crystals.symmetry import direction_along, point_group, zone_axes
from napari_atomseg.specimen.crystals.zone import orient

ORDERS = {
    "Au": 48,
    "Si": 48,
    "GaAs": 24,
    "SrTiO3": 48,
    "Co3O4": 48,
    "TiO2": 16,
    "PbTiO3": 8,
    "DyScO3": 8,
    "LiCoO2": 12,
}


@pytest.mark.parametrize("name", ORDERS)
def test_point_groups_have_the_order_of_their_class(name) -> None:
    group = point_group(get_crystal(name))
    assert len(group) == ORDERS[name]
    for turn in group:
        np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-3)


def test_wurtzite_and_close_packed_metals() -> None:
    assert len(point_group(bulk("ZnO", "wurtzite", a=3.25, c=5.2))) == 12
    assert len(point_group(bulk("Zn", "hcp", a=2.66, c=4.95))) == 24


@pytest.mark.parametrize(
    "matrix", [np.eye(3), [[1, 1, 0], [-1, 1, 0], [0, 0, 1]], np.diag([1, 1, 2])]
)
def test_the_cell_that_atoms_are_given_in_does_not_matter(matrix) -> None:
    assert len(point_group(make_supercell(bulk("Fe", "bcc", a=2.87, cubic=True), matrix))) == 48
    assert len(point_group(make_supercell(bulk("Si"), matrix))) == 48


def test_displaced_atom_lowers_the_symmetry() -> None:
    atoms = get_crystal("SrTiO3")
    atoms.positions[1] += [0.0, 0.0, 0.2]
    assert len(point_group(atoms)) == 8
    atoms.positions[1] += [0.1, 0.35, 0.0]
    assert len(point_group(atoms)) == 1


def test_axes_of_cubic_crystals_have_their_usual_names() -> None:
    usual = [(0, 0, 1), (1, 1, 0), (1, 1, 1), (2, 1, 0), (1, 1, 2), (2, 2, 1), (3, 1, 0)]
    assert zone_axes(get_crystal("GaAs"))[:7] == usual
    assert len(zone_axes(get_crystal("Au"), 1)) == 3


def test_axes_of_other_crystals() -> None:
    assert zone_axes(get_crystal("PbTiO3"), 1) == [
        *((0, 0, 1), (1, 0, 0), (1, 1, 0), (1, 0, 1), (1, 1, 1)),
    ]
    assert zone_axes(get_crystal("MoS2")) == [(0, 0, 1)]
    # All 13 directions up to index 1, but for their sense.
    triclinic = Atoms("CO", [[0, 0, 0], [1.1, 1.2, 1.7]], cell=[4, 5, 6, 80, 95, 103], pbc=True)
    assert len(zone_axes(triclinic, 1)) == 13


def test_nothing_that_repeats_has_no_axes() -> None:
    with pytest.raises(ValueError, match="repeat"):
        zone_axes(Atoms("Au2", [[0, 0, 0], [0, 0, 2.8]], cell=[9, 9, 9], pbc=(0, 0, 1)))


@pytest.mark.parametrize("axis", [(0, 0, 1), (1, 1, 0), (1, 1, 2), (3, 2, 1)])
def test_directions_of_cubic_crystals_lie_in_the_plane(axis) -> None:
    atoms = get_crystal("Si")
    cell = orient(atoms, axis)
    for vector in cell.vectors[:2]:
        across = np.array([*vector[:2], 0.0]) @ cell.frame.T
        found = np.array(direction_along(across, axis, atoms.cell.array))
        assert found @ axis == 0
        cosine = found @ across / np.linalg.norm(found) / np.linalg.norm(across)
        assert cosine == pytest.approx(1.0, abs=1e-9)


def test_directions_where_none_lies_in_the_plane() -> None:
    atoms = get_crystal("PbTiO3")
    axis = np.array([1, 1, 1])
    beam = axis @ atoms.cell.array
    vector = np.array([1.0, 1.0, -2.0]) @ atoms.cell.array
    across = vector - (vector @ beam) / (beam @ beam) * beam
    assert direction_along(across, (1, 1, 1), atoms.cell.array) == (1, 1, -2)
