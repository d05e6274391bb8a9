"""Random crystals against their space groups, crystal systems and distances."""

import gemmi
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from napari_atomseg.specimen.matter.packing import fill_box
from napari_atomseg.specimen.matter.random_crystal import operations, random_crystal

SEEDS = st.integers(0, 2**31)


def closest_distance(crystal):
    """By brute force: all atoms within 8 Å of each atom of the cell."""
    cell, points = crystal.cell.array, crystal.positions
    nearest = []
    for point in points:
        around, _ = fill_box(cell, points, point - 8.0, point + 8.0)
        distances = np.linalg.norm(around - point, axis=1)
        nearest.append(np.sort(distances)[1] if len(distances) > 1 else np.inf)
    return min(nearest)


@pytest.mark.slow
@given(seed=SEEDS)
@settings(max_examples=25, deadline=None)
def test_every_operation_of_the_space_group_maps_the_crystal_onto_itself(seed):
    crystal = random_crystal(np.random.default_rng(seed), atoms=100)
    group = gemmi.find_spacegroup_by_number(crystal.info["spacegroup"]).operations()
    fractions = crystal.get_scaled_positions() % 1.0
    for operation in group:
        moved = np.array([operation.apply_to_xyz(list(point)) for point in fractions]) % 1.0
        gap, image = cKDTree(fractions, boxsize=1.0).query(np.clip(moved, 0.0, 1.0 - 1e-12))
        assert gap.max() < 1e-5
        assert np.array_equal(crystal.numbers[image], crystal.numbers)


@given(seed=SEEDS)
@settings(max_examples=30, deadline=None)
def test_closest_atoms_lie_within_the_range_of_distances(seed):
    crystal = random_crystal(np.random.default_rng(seed), atoms=60)
    assert 0.95 - 1e-6 <= closest_distance(crystal) <= 7.0 + 1e-6


@given(seed=SEEDS)
@settings(max_examples=40, deadline=None)
def test_cells_fit_their_crystal_system_and_the_ranges(seed):
    crystal = random_crystal(np.random.default_rng(seed))
    a, b, c, alpha, beta, gamma = crystal.cell.cellpar()
    assert min(a, b, c) >= 3.1
    assert max(a, b, c) <= 25.0
    assert min(alpha, beta, gamma) >= 45.0 - 1e-6
    assert max(alpha, beta, gamma) <= 120.0 + 1e-6
    assert 1 <= len(set(crystal.numbers)) <= 16
    assert crystal.numbers.min() >= 1
    assert crystal.numbers.max() <= 103
    number = crystal.info["spacegroup"]
    if number > 2:
        assert alpha == pytest.approx(90.0)
    if number >= 16:
        assert beta == pytest.approx(90.0)
    if number >= 75:
        assert a == pytest.approx(b)
    if 143 <= number < 195:
        assert gamma == pytest.approx(120.0)
    if number >= 195:
        assert a == pytest.approx(c)


@pytest.mark.parametrize(
    ("number", "count"), [(1, 1), (2, 2), (62, 8), (166, 36), (194, 24), (225, 192), (230, 96)]
)
def test_space_groups_have_as_many_operations_as_the_international_tables_list(number, count):
    rotations, translations = operations(number)
    assert len(rotations) == len(translations) == count
    assert np.abs(np.linalg.det(rotations)) == pytest.approx(np.ones(count))


@pytest.mark.slow
def test_all_crystal_systems_and_special_positions_are_drawn():
    rng = np.random.default_rng(0)
    crystals = [random_crystal(rng) for _ in range(100)]
    numbers = np.array([crystal.info["spacegroup"] for crystal in crystals])
    systems = np.histogram(numbers, bins=[1, 3, 16, 75, 143, 168, 195, 231])[0]
    assert systems.min() > 0
    special = [
        np.unique(crystal.numbers, return_counts=True)[1].min()
        < len(operations(crystal.info["spacegroup"])[0])
        for crystal in crystals
    ]
    assert np.mean(special) > 0.3


def test_the_same_random_numbers_make_the_same_crystal():
    first, again = (random_crystal(np.random.default_rng(12)) for _ in range(2))
    assert np.array_equal(first.positions, again.positions)
    assert np.array_equal(first.numbers, again.numbers)


@pytest.mark.parametrize(
    ("ranges", "name"),
    [
        ({"lengths": (3.1, 4.0), "distance": (6.0, 7.0)}, "distance"),
        ({"angles": (119.9, 120.0)}, "angles"),
    ],
)
def test_ranges_that_hold_no_crystal_are_named(ranges, name):
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match=name):
        [random_crystal(rng, **ranges) for _ in range(400)]
