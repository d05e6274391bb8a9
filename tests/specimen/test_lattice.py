"""Projected crystals against textbook geometry."""

import numpy as np
import pytest

from napari_atomseg.specimen import crystals, get_crystal, project


@pytest.mark.parametrize(
    ("name", "zone_axis", "spacing"),
    [
        ("Pt", (0, 0, 1), 3.924 / 2),
        ("Si", (1, 1, 0), 5.431 / 4),
        ("SrTiO3", (0, 0, 1), 3.905 / 2),
        ("graphene", (0, 0, 1), 2.461 / np.sqrt(3)),
        ("MoS2", (0, 0, 1), 3.160 / np.sqrt(3)),
        ("GaAs", (1, 1, 0), 5.653 / 4),
    ],
)
def test_closest_columns_stand_where_the_textbook_says(name, zone_axis, spacing):
    lattice = project(get_crystal(name), zone_axis)
    assert lattice.nearest_spacing() == pytest.approx(spacing, rel=1e-3)


@pytest.mark.parametrize("name", [n for n in crystals() if not n.startswith("amorphous")])
@pytest.mark.parametrize("zone_axis", [(0, 0, 1), (1, 1, 0), (1, 1, 1), (2, 1, 0)])
def test_projection_keeps_the_number_of_atoms_an_area(name, zone_axis):
    atoms = get_crystal(name)
    lattice = project(atoms, zone_axis)
    axis = np.array(zone_axis) @ atoms.cell.array
    # A column cell of area A over one period c holds A c / V cells.
    area = abs(np.linalg.det(lattice.vectors))
    cells = area * np.linalg.norm(axis) / atoms.get_volume()
    assert cells == pytest.approx(1.0, rel=1e-6)
    assert sum(sum(e.values()) for e in lattice.elements) == len(atoms)


def test_strontium_titanate_has_the_three_known_columns():
    lattice = project(get_crystal("SrTiO3"), (0, 0, 1))
    assert sorted(map(str, lattice.elements)) == sorted(
        map(str, [{"Sr": 1}, {"Ti": 1, "O": 1}, {"O": 1}, {"O": 1}])
    )


def test_fill_is_complete_and_inside():
    lattice = project(get_crystal("Si"), (1, 1, 0)).rotated(17.0)
    lower, upper = np.array([-5.0, 3.0]), np.array([95.0, 83.0])
    columns = lattice.fill(lower, upper, np.array([1.0, 2.0]))
    density = len(lattice.positions) / abs(np.linalg.det(lattice.vectors))
    assert len(columns) == pytest.approx(density * 100 * 80, rel=0.02)
    assert columns.y.min() >= -5.0
    assert columns.x.max() <= 83.0


def test_rotation_keeps_distances_and_turns_the_lattice():
    lattice = project(get_crystal("SrTiO3"))
    turned = lattice.rotated(90.0)
    assert turned.nearest_spacing() == pytest.approx(lattice.nearest_spacing())
    assert np.abs(turned.vectors @ lattice.vectors.T).diagonal() == pytest.approx([0, 0], abs=1e-9)


@pytest.mark.parametrize("axis", [(0, 0, 0), (1, 0), (0.5, 0, 0)])
def test_impossible_zone_axes_are_named(axis):
    with pytest.raises(ValueError, match="zone_axis"):
        project(get_crystal("Pt"), axis)


def test_unknown_crystals_are_named_with_the_known_ones():
    with pytest.raises(ValueError, match=r"unobtainium.*SrTiO3"):
        get_crystal("unobtainium")
