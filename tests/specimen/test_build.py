"""Crystals atom by atom: complete, in the image's frame, and the same as their columns."""

import numpy as np
import pytest
from ase.build import molecule
from ase.cluster import FaceCenteredCubic
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from napari_atomseg.specimen import Field, SingleCrystal, build_structure, get_crystal
from napari_atomseg.specimen.build import Box, fill_cell
from napari_atomseg.specimen.crystals.zone import orient
from napari_atomseg.specimen.outline import carve, wulff_particle

FIELD = Field((96, 128), 0.3, 10)
AXES = [("SrTiO3", (0, 0, 1)), ("Si", (1, 1, 0)), ("DyScO3", (1, 1, 0)), ("LiCoO2", (0, 1, 0))]


def rng():
    return np.random.default_rng(5)


@pytest.mark.parametrize(("name", "axis"), AXES)
@pytest.mark.parametrize("tilt", [(0.0, 0.0), (30.0, -80.0)])
def test_a_structure_has_the_density_of_the_crystal_everywhere(name, axis, tilt):
    atoms = get_crystal(name)
    structure = build_structure(atoms, axis, FIELD, 97.3, rotation=17.0, tilt=tilt)
    density = len(atoms) / atoms.get_volume()
    volume = np.prod(FIELD.upper - FIELD.lower) * 97.3
    assert len(structure) == pytest.approx(density * volume, rel=0.02)
    assert structure.z.min() >= 0
    assert structure.z.max() < 97.3
    for axis_values, low, high in zip(
        (structure.y, structure.x), FIELD.lower, FIELD.upper, strict=True
    ):
        quarters = np.histogram(axis_values, bins=4, range=(low, high))[0]
        assert quarters == pytest.approx(np.full(4, len(structure) / 4), rel=0.08)


@pytest.mark.parametrize(("name", "axis"), AXES)
@pytest.mark.parametrize("tilt", [(0.0, 0.0), (20.0, 50.0)])
def test_a_structure_keeps_the_distances_of_the_crystal(name, axis, tilt):
    atoms = get_crystal(name)
    structure = build_structure(atoms, axis, Field((30, 30), 0.3, 2), 20.0, 33.0, tilt)
    points = np.stack([structure.y, structure.x, structure.z], axis=1)
    found = cKDTree(points).query(points, k=2)[0][:, 1].min()
    expected = atoms.repeat(2).get_all_distances(mic=True)
    assert found == pytest.approx(expected[expected > 0].min(), abs=1e-6)


@pytest.mark.parametrize("name", ["Si", "Au"])
@pytest.mark.parametrize("periods", [1, 3])
def test_whole_periods_have_as_many_atoms_in_every_column(name, periods):
    atoms = get_crystal(name)
    depth = periods * orient(atoms, (1, 1, 0)).period
    structure = build_structure(atoms, (1, 1, 0), FIELD, depth)
    assert len(set(np.bincount(structure.column))) == 1


@pytest.mark.parametrize(("name", "axis"), AXES)
def test_columns_of_the_structure_are_those_of_the_projection(name, axis):
    arguments = {"rotation": 21.0, "offset": (0.4, -0.7), "thickness": 79.0}
    flat = SingleCrystal(name, axis, **arguments).draw(rng(), FIELD)
    solid = SingleCrystal(name, axis, **arguments, atoms_needed=True).draw(rng(), FIELD)
    assert flat.structure is None
    assert flat.species == solid.species
    inner = flat.columns.select(
        np.all((flat.columns.points > -2) & (flat.columns.points < FIELD.size + 2), axis=1)
    )
    distance, match = cKDTree(solid.columns.points).query(inner.points)
    assert distance.max() < 0.05
    assert np.all(solid.columns.species[match] == inner.species)
    assert np.abs(solid.columns.counts[match] - inner.counts).max() <= 2
    assert solid.columns.numbers == inner.numbers


@given(
    rotation=st.floats(-180, 180), oy=st.floats(-3, 3), ox=st.floats(-3, 3), pick=st.integers(0, 3)
)
@settings(max_examples=15, deadline=None)
def test_a_lattice_point_stands_at_the_offset_from_the_centre(rotation, oy, ox, pick):
    name, axis = AXES[pick % 2]
    structure = build_structure(
        get_crystal(name), axis, FIELD, 20.0, rotation=rotation, offset=(oy, ox)
    )
    columns = structure.columns()
    away = columns.points - (0.5 * FIELD.size + [oy, ox])
    assert np.linalg.norm(away, axis=1).min() < 1e-6


def test_tilted_columns_lean_by_the_tilt():
    structure = build_structure(get_crystal("Pt"), (0, 0, 1), FIELD, 80.0, tilt=(12.0, -5.0))
    whole = np.bincount(structure.column) == np.bincount(structure.column).max()
    column = np.flatnonzero(whole)[0]
    members = structure.select(structure.column == column)
    for axis, tilt in ((members.y, 0.012), (members.x, -0.005)):
        assert np.polyfit(members.z, axis, 1)[0] == pytest.approx(tilt, rel=1e-3)


def test_far_off_the_zone_axis_there_are_no_columns():
    structure = build_structure(get_crystal("Pt"), (0, 0, 1), FIELD, 100.0, tilt=(0.0, 200.0))
    assert np.all(structure.column == -1)
    assert len(structure.columns()) == 0


@pytest.mark.parametrize("name", ["graphene", "MoS2"])
def test_a_single_layer_stays_single_however_thick_the_field(name):
    atoms = get_crystal(name)
    structure = build_structure(atoms, (0, 0, 1), FIELD, 200.0, rotation=17.0)
    area = np.prod(FIELD.upper - FIELD.lower)
    assert len(structure) == pytest.approx(len(atoms) * area / atoms.cell.areas()[2], rel=0.02)
    assert np.ptp(structure.z) == pytest.approx(np.ptp(atoms.positions[:, 2]), abs=1e-6)


def test_the_image_shows_x_along_columns_and_y_along_rows():
    atoms = get_crystal("PtFe")
    cell = orient(atoms, (0, 0, 1))
    turned = (atoms.positions @ cell.frame)[:, :2]
    # Seen along c, either cell vector may lie along x, but the hand of the frame is right.
    assert np.linalg.det(cell.frame[:, [1, 0, 2]]) == pytest.approx(1.0)
    assert np.linalg.norm(turned, axis=1) == pytest.approx(
        np.linalg.norm(atoms.positions[:, :2], axis=1)
    )


def test_an_object_is_placed_once_and_keeps_its_shape():
    c60 = molecule("C60")
    specimen = SingleCrystal(c60, (0, 0, 1), rotation=30.0, offset=(1.0, 2.0)).draw(rng(), FIELD)
    structure = specimen.structure
    assert len(structure) == 60
    points = np.stack([structure.y, structure.x, structure.z], axis=1)
    assert np.sort(np.linalg.norm(points[:, None] - points, axis=-1).ravel()) == pytest.approx(
        np.sort(c60.get_all_distances().ravel()), abs=1e-6
    )
    middle = 0.5 * (points.min(axis=0) + points.max(axis=0))[:2]
    assert np.linalg.norm(middle - 0.5 * FIELD.size - [1.0, 2.0]) < 0.5


@pytest.mark.parametrize("axis", [(0, 0, 1), (1, 1, 0), (2, 1, 1)])
def test_a_carved_octahedron_is_the_cluster_that_ase_builds(axis):
    layers = 3
    cluster = FaceCenteredCubic("Pt", [(1, 1, 1), (1, 0, 0)], [layers, 3], latticeconstant=3.924)
    cell = orient(get_crystal("Pt"), axis)
    shape = wulff_particle(
        cell, (15.0, 15.0), layers * 3.924 / np.sqrt(3) + 0.01, 3 * 3.924 / 2 + 0.01
    )
    thickness = 20 * cell.period
    box = Box(np.zeros(2), np.full(2, 30.0), thickness)
    structure = fill_cell(cell, box, np.array([15.0, 15.0]))
    assert len(carve(structure, shape, thickness)) == len(cluster)


def test_a_cluster_from_ase_has_the_columns_of_its_zone_axis():
    cluster = FaceCenteredCubic("Pt", [(1, 1, 1), (1, 0, 0)], [4, 4], latticeconstant=3.924)
    specimen = SingleCrystal(cluster, (1, 1, 0)).draw(rng(), FIELD)
    lattice = SingleCrystal("Pt", (1, 1, 0)).draw(rng(), FIELD).columns
    expected = cKDTree(lattice.points).query(lattice.points, k=2)[0][:, 1].min()
    found = cKDTree(specimen.columns.points).query(specimen.columns.points, k=2)[0][:, 1].min()
    assert found == pytest.approx(expected, rel=1e-6)
    assert specimen.columns.counts.sum() == len(cluster)


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"thickness": 0.0}, "thickness"),
        ({"vacancies": 1.0}, "vacancies"),
        ({"displacement": -0.1}, "displacement"),
        ({"support": -1.0}, "support"),
        ({"temperature": -1.0}, "temperature"),
        ({"shape_kind": "cone"}, "shape_kind"),
        ({"zone_axis": (0, 0, 0)}, "zone_axis"),
    ],
)
def test_arguments_out_of_range_are_named(arguments, name):
    with pytest.raises(ValueError, match=name):
        SingleCrystal("Pt", **{"zone_axis": (0, 0, 1), **arguments}).draw(rng(), FIELD)
    with pytest.raises(ValueError, match="thickness"):
        build_structure(get_crystal("Pt"), (0, 0, 1), FIELD, -1.0)
