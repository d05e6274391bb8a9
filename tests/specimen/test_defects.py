"""Point defects, thermal motion, dislocations, faults, boundaries and strain."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from napari_atomseg.specimen import (
    Columns,
    EdgeDislocation,
    Field,
    SingleCrystal,
    StackingFault,
    build_structure,
    get_crystal,
    grain_boundary,
    with_displaced_columns,
    with_substitutes,
    with_thermal_displacements,
    with_vacancies,
    without_columns,
)
from napari_atomseg.specimen.crystals.crystal import builtin_crystal
from napari_atomseg.specimen.defects import moved, random_strain, thermal_displacement

FIELD = Field((160, 160), 0.3, 10)


def rng():
    return np.random.default_rng(3)


@pytest.fixture(scope="module")
def matter():
    structure = build_structure(get_crystal("SrTiO3"), (0, 0, 1), FIELD, 97.0)
    return {"atoms": structure, "columns": structure.columns()}


def atoms_of(matter):
    return matter.counts.sum() if isinstance(matter, Columns) else float(len(matter))


@pytest.mark.parametrize("kind", ["atoms", "columns"])
def test_vacancies_take_their_share_of_the_atoms(matter, kind):
    before, after = matter[kind], with_vacancies(matter[kind], 0.2, rng())
    assert atoms_of(after) == pytest.approx(0.8 * atoms_of(before), rel=0.02)


@pytest.mark.parametrize("kind", ["atoms", "columns"])
def test_missing_columns_leave_the_others_whole(matter, kind):
    before, after = matter[kind], without_columns(matter[kind], 0.25, rng())
    columns = after if kind == "columns" else after.columns()
    assert len(columns) == pytest.approx(0.75 * len(matter["columns"]), rel=0.05)
    assert columns.counts.max() == matter["columns"].counts.max()
    assert atoms_of(after) == pytest.approx(0.75 * atoms_of(before), rel=0.06)


@pytest.mark.parametrize("kind", ["atoms", "columns"])
def test_substitutes_keep_the_number_of_atoms_and_change_the_element(matter, kind):
    before, after = matter[kind], with_substitutes(matter[kind], 0.1, 57, rng())
    assert atoms_of(after) == atoms_of(before)
    columns = after if kind == "columns" else after.columns()
    lanthanum = columns.counts[:, columns.numbers.index(57)].sum()
    assert lanthanum == pytest.approx(0.1 * atoms_of(before), rel=0.05)
    assert columns.weight.sum() > matter["columns"].weight.sum()


@pytest.mark.parametrize("kind", ["atoms", "columns"])
def test_columns_are_displaced_as_a_whole_by_the_deviation(matter, kind):
    before, after = matter[kind], with_displaced_columns(matter[kind], 0.2, rng())
    dy, dx = after.y - before.y, after.x - before.x
    assert [dy.std(), dx.std()] == pytest.approx([0.2, 0.2], rel=0.06)
    if kind == "atoms":
        first = before.column == before.column[0]
        assert np.ptp(dy[first]) < 1e-9


def test_thermal_displacements_are_those_that_diffraction_measures():
    """X-ray diffraction gives Au, Pt and Si at room temperature B = 8π²u² of some 0.63, 0.38 and
    0.47 Å²."""
    squares = [8 * np.pi**2 * thermal_displacement(n, 295.0) ** 2 for n in (79, 78, 14)]
    assert squares == pytest.approx([0.63, 0.38, 0.47], rel=0.25)


def test_zero_point_motion_is_left_at_zero_kelvin_and_heat_adds_to_it():
    cold, warm, hot = (thermal_displacement(79, t) ** 2 for t in (0.0, 600.0, 1200.0))
    assert 0 < cold < warm
    assert hot / warm == pytest.approx(2.0, rel=0.02)


def test_atoms_move_with_the_deviation_of_their_element(matter):
    atoms = matter["atoms"]
    shaken = with_thermal_displacements(atoms, 300.0, rng())
    for number in (8, 22, 38):
        moves = (shaken.y - atoms.y)[atoms.number == number]
        assert moves.std() == pytest.approx(thermal_displacement(number, 300.0), rel=0.05)


BURGERS = st.tuples(st.floats(-4, 4), st.floats(-4, 4)).filter(lambda b: np.hypot(*b) > 0.5)


@given(burgers=BURGERS, radius=st.floats(5.0, 60.0))
@settings(deadline=None)
def test_a_circuit_around_a_dislocation_fails_to_close_by_the_burgers_vector(burgers, radius):
    dislocation = EdgeDislocation((7.0, -3.0), burgers)
    start = np.arctan2(burgers[0], burgers[1]) + np.pi
    turns = start + np.linspace(1e-6, 2 * np.pi - 1e-6, 4000)
    u = dislocation(7.0 + radius * np.sin(turns), -3.0 + radius * np.cos(turns))
    assert np.abs(u[0] - u[-1]) == pytest.approx(np.abs(burgers), abs=1e-3)
    assert np.abs(np.diff(u, axis=0)).max() < 0.02 * np.hypot(*burgers)


def test_a_dislocation_strains_the_crystal_as_hirth_and_lothe_say():
    """Dilatation of an edge dislocation: -b/2π (1-2ν)/(1-ν) · sin θ / r (Hirth and Lothe)."""
    b, nu, h = 2.8, 0.28, 1e-4
    dislocation = EdgeDislocation((0.0, 0.0), (0.0, b), nu)
    turns = np.linspace(0.3, 2.8, 12)
    y, x = 20 * np.sin(turns), 20 * np.cos(turns)
    du_x = (dislocation(y, x + h)[:, 1] - dislocation(y, x - h)[:, 1]) / (2 * h)
    du_y = (dislocation(y + h, x)[:, 0] - dislocation(y - h, x)[:, 0]) / (2 * h)
    expected = -b / (2 * np.pi) * (1 - 2 * nu) / (1 - nu) * np.abs(np.sin(turns)) / 20
    assert np.abs(du_x + du_y) == pytest.approx(np.abs(expected), rel=1e-3)


def test_a_dislocation_of_half_110_ends_one_atomic_plane_and_heals_elsewhere():
    crystal = builtin_crystal("Pt", (0, 0, 1))
    burgers = crystal.translations[0]
    assert np.linalg.norm(burgers) == pytest.approx(3.924 / np.sqrt(2))
    columns = crystal.columns(np.full(2, -60.0), np.full(2, 60.0), np.zeros(2))
    dislocation = EdgeDislocation((0.7, 0.7), (float(burgers[0]), float(burgers[1])))
    bent = moved(columns, dislocation(columns.y, columns.x))
    nearest = cKDTree(bent.points).query(bent.points, k=2)[0][:, 1]
    far = np.all(np.abs(bent.points) < 50, axis=1) & (np.linalg.norm(bent.points, axis=1) > 12)
    # Away from the core all distances are those of the crystal, across the cut as well.
    assert nearest[far] == pytest.approx(np.full(far.sum(), 3.924 / 2), rel=0.06)


@pytest.mark.parametrize(
    ("name", "axis", "length"),
    [
        ("Pt", (0, 0, 1), 3.924 / np.sqrt(2)),
        ("SrTiO3", (0, 0, 1), 3.905),
        ("Si", (1, 1, 0), 5.431 / np.sqrt(2)),
        ("graphene", (0, 0, 1), 2.461),
    ],
)
def test_the_shortest_translation_maps_the_projection_onto_itself(name, axis, length):
    crystal = builtin_crystal(name, axis).rotated(31.0)
    shift = crystal.translations[0]
    assert np.linalg.norm(shift) == pytest.approx(length, rel=1e-6)
    columns = crystal.columns(np.full(2, -20.0), np.full(2, 20.0), np.zeros(2))
    inner = columns.select(np.all(np.abs(columns.points) < 15, axis=1))
    distance, match = cKDTree(columns.points).query(inner.points + shift)
    assert distance.max() < 1e-6
    assert np.all(columns.species[match] == inner.species)


def test_a_stacking_fault_shifts_one_side_only():
    fault = StackingFault((1.0, 2.0), (0.6, 0.8), (0.8, -0.6))
    shift = fault(np.array([1.0, 10.0, -10.0]), np.array([1.9, 10.0, -10.0]))
    assert shift.tolist() == [[0, 0], [0.8, -0.6], [0, 0]]


def test_a_grain_boundary_keeps_each_grain_on_its_side_and_columns_apart():
    crystal = builtin_crystal("Au", (1, 1, 0))
    lower, upper = np.zeros(2), np.full(2, 60.0)
    grains = [
        crystal.rotated(turn).columns(lower, upper, np.full(2, offset))
        for turn, offset in ((0.0, 1.0), (31.0, 2.3))
    ]
    both = grain_boundary(*grains, np.full(2, 30.0), np.array([0.6, 0.8]), 1.6)
    side = both.points @ [0.6, 0.8] > 42.0
    for grain, mine in zip(grains, (~side, side), strict=True):
        assert cKDTree(grain.points).query(both.points[mine])[0].max() < 1e-9
    assert cKDTree(both.points).query(both.points, k=2)[0][:, 1].min() > 1.6
    assert len(both) == pytest.approx(len(grains[0]), rel=0.05)


def test_a_bicrystal_of_atoms_has_the_columns_of_a_bicrystal_of_columns():
    grains = [
        build_structure(get_crystal("Au"), (1, 1, 0), FIELD, 40.0, rotation=turn)
        for turn in (0.0, 31.0)
    ]
    plane = (np.full(2, 24.0), np.array([0.6, -0.8]), 1.6)
    atoms = grain_boundary(*grains, *plane).columns()
    columns = grain_boundary(*(grain.columns() for grain in grains), *plane)
    distance, match = cKDTree(atoms.points).query(columns.points)
    assert distance.max() < 1e-9
    assert len(atoms) == len(columns)
    assert np.all(atoms.counts[match] == columns.counts)


def test_strain_has_the_deviation_asked_for():
    h, gradients = 1e-4, []
    generator = rng()
    for _ in range(300):
        strain = random_strain(generator, (50.0, 50.0), 0.02, 15.0)
        y, x = np.array([31.0]), np.array([12.0])
        gradients += list(((strain(y, x + h) - strain(y, x - h)) / (2 * h)).ravel())
    assert np.std(gradients) == pytest.approx(0.02 * np.sqrt(1.25), rel=0.15)


def test_a_support_lies_below_the_crystal_and_covers_the_field():
    specimen = SingleCrystal(
        "Pt", (0, 0, 1), thickness=20.0, shape_kind="edge", support=15.0, atoms_needed=True
    ).draw(rng(), FIELD)
    carbon = specimen.structure.number == 6
    assert specimen.structure.z[carbon].min() > specimen.structure.z[~carbon].max()
    assert np.ptp(specimen.structure.y[carbon]) > 0.97 * (FIELD.upper - FIELD.lower)[0]
    assert np.all(specimen.structure.column[carbon] == -1)
    flat = SingleCrystal("Pt", (0, 0, 1), thickness=20.0, support=15.0).draw(rng(), FIELD)
    assert np.sum(flat.scatterers.number == 6) == pytest.approx(carbon.sum(), rel=0.05)
    assert 6 not in flat.columns.numbers
