"""Amorphous matter against densities, distances and coordinations known from measurements."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from napari_atomseg.specimen import Field
from napari_atomseg.specimen.matter.amorphous import (
    amorphous_carbon,
    amorphous_cell,
    amorphous_graphene,
    amorphous_support,
    number_density,
)
from napari_atomseg.specimen.matter.packing import fill_box, random_turn


def bonds(atoms, cutoff, dimensions):
    box = atoms.cell.lengths()[:dimensions]
    points = atoms.positions[:, :dimensions] % box
    pairs = cKDTree(points, boxsize=box).query_pairs(cutoff, output_type="ndarray")
    offset = points[pairs[:, 0]] - points[pairs[:, 1]]
    lengths = np.linalg.norm(offset - box * np.rint(offset / box), axis=1)
    return pairs, lengths


@given(seed=st.integers(0, 1000))
@settings(max_examples=10)
def test_filling_a_box_keeps_the_density_and_the_distances(seed):
    rng = np.random.default_rng(seed)
    cell = np.diag(rng.uniform(4.0, 9.0, 3)) @ random_turn(rng)
    lower, upper = np.array([-3.0, 2.0, 0.0]), np.array([37.0, 52.0, 20.0])
    points, source = fill_box(cell, np.array([[0.1, 0.2, 0.3], [0.4, 3.2, 1.1]]), lower, upper)
    expected = 2 * np.prod(upper - lower) / abs(np.linalg.det(cell))
    assert len(points) == pytest.approx(expected, rel=0.15)
    assert np.all((points >= lower) & (points < upper))
    steps = (points[source == 0] - points[source == 0][0]) @ np.linalg.inv(cell)
    assert steps == pytest.approx(np.rint(steps), abs=1e-9)


def test_filling_counts_exactly_in_a_box_of_whole_cells():
    points, _ = fill_box(np.diag([2.0, 4.0, 5.0]), np.ones((1, 3)), np.zeros(3), np.full(3, 20.0))
    assert len(points) == 10 * 5 * 4


@pytest.mark.parametrize(
    ("number", "density", "distance"), [(6, 2.0, 1.4), (14, 2.3, 1.6), (79, 7, 1)]
)
def test_an_amorphous_element_has_its_density_and_keeps_its_distance(number, density, distance):
    cell = amorphous_cell(np.random.default_rng(3), number, density, distance)
    assert cell.density == pytest.approx(number_density(number, density, distance), rel=1e-6)
    nearest = cKDTree(cell.points, boxsize=cell.side).query(cell.points, k=2)[0][:, 1]
    assert nearest.min() >= distance


def test_number_densities_are_those_of_the_elements():
    # Silicon: 2.33 g/cm³ are 8 atoms in a cube of 5.431 Å.
    assert number_density(14, 2.33, 1.0) == pytest.approx(8 / 5.431**3, rel=2e-3)
    # Hydrogen at 2 g/cm³ would be 1.2 atoms per Å³: more than fit at 0.95 Å.
    assert number_density(1, 2.0, 0.95) < 0.6


@pytest.mark.slow
def test_amorphous_carbon_is_a_threefold_network_of_carbon_bonds():
    carbon = amorphous_carbon(0)
    pairs, lengths = bonds(carbon, 1.9, 3)
    assert 2 * len(pairs) / len(carbon) == pytest.approx(3.0, abs=0.15)
    assert lengths.mean() == pytest.approx(1.47, abs=0.04)
    _, longer = bonds(carbon, 2.05, 3)
    # A clean gap between first and second neighbours, as in measured distributions.
    assert len(longer) - len(pairs) < 0.01 * len(pairs)
    grams = len(carbon) * 12.011 / 0.602214 / carbon.get_volume()
    assert grams == pytest.approx(2.0, rel=0.01)


@pytest.mark.parametrize("seed", range(4))
def test_amorphous_graphene_is_threefold(seed):
    sheet = amorphous_graphene(seed)
    pairs, lengths = bonds(sheet, 1.85, 2)
    threefold = np.bincount(pairs.ravel(), minlength=len(sheet)) == 3
    assert threefold.mean() > 0.97
    assert lengths.mean() == pytest.approx(1.42, abs=0.02)
    density = len(sheet) / (sheet.cell[0, 0] * sheet.cell[1, 1])
    assert density == pytest.approx(2 / (2.461**2 * np.sqrt(3) / 2), rel=0.05)


@pytest.mark.slow
def test_amorphous_graphene_has_no_lattice():
    sheet = amorphous_graphene(0)
    box = sheet.cell.lengths()[:2]
    index = np.stack(np.meshgrid(np.arange(-25, 26), np.arange(1, 26)), -1).reshape(-1, 2)
    waves = np.exp(2j * np.pi * (sheet.positions[:, :2] / box) @ index.T).sum(axis=0)
    # A crystal of N atoms has Bragg peaks of N²; a disordered one stays far below.
    assert (np.abs(waves) ** 2).max() < 0.2 * len(sheet) ** 2


@pytest.mark.slow
def test_the_same_seed_gives_the_same_carbon():
    assert np.array_equal(amorphous_graphene(4).positions, amorphous_graphene(4).positions)
    assert not np.array_equal(amorphous_graphene(4).positions, amorphous_graphene(5).positions)


def test_supports_cover_the_field_with_their_thickness():
    field = Field((100, 160), 0.2)
    support = amorphous_support(np.random.default_rng(0), field, 30.0)
    assert set(support.number) == {6}
    assert set(support.column) == {-1}
    volume = np.prod(field.upper - field.lower) * 30.0
    assert len(support) * 12.011 / 0.602214 / volume == pytest.approx(2.0, rel=0.05)
    assert 0 <= support.z.min() < 1
    assert 29 < support.z.max() <= 30
    quadrants = np.histogram2d(support.y, support.x, bins=2)[0]
    assert quadrants.min() > 0.9 * quadrants.mean()


def test_large_supports_do_not_repeat():
    # Twice as wide as the periodic cell that they are made of.
    field = Field((160, 160), 0.5, margin=0)
    support = amorphous_support(np.random.default_rng(1), field, 30.0)
    image = np.histogram2d(support.y, support.x, bins=320, range=[(0, 80), (0, 80)])[0]
    image -= image.mean()
    power = np.abs(np.fft.rfft2(np.pad(image, ((0, 320), (0, 320))))) ** 2
    correlation = np.fft.irfft2(power)
    correlation /= correlation[0, 0]
    shift = 0.25 * np.hypot(*np.meshgrid(*[np.fft.fftfreq(640, 1 / 640)] * 2))
    assert correlation[(shift > 4.0) & (shift < 60.0)].max() < 0.06


@pytest.mark.slow
def test_blocks_of_dense_amorphous_matter_meet_without_a_seam():
    rng = np.random.default_rng(2)
    cell = amorphous_cell(rng, 14, 7.0, 1.6)
    side = 4.0 * cell.side
    atoms = cell.cut(rng, np.zeros(3), np.full(3, side))
    assert len(atoms) == pytest.approx(cell.density * side**3, rel=0.01)
    # Faces lie at each quarter. Bins of 1.4 Å hold some thousand atoms.
    for along in (atoms.y, atoms.x, atoms.z):
        profile = np.histogram(along, bins=64, range=(0.0, side))[0]
        assert profile.min() > 0.9 * profile.mean()
        assert profile.max() < 1.1 * profile.mean()


def test_atoms_of_a_support_keep_their_distance():
    support = amorphous_support(np.random.default_rng(1), Field((100, 100), 0.5), 60.0)
    points = np.stack([support.y, support.x, support.z], axis=1)
    assert cKDTree(points).query(points, k=2)[0][:, 1].min() >= 1.3


def test_a_support_without_thickness_is_refused():
    with pytest.raises(ValueError, match="thickness=0"):
        amorphous_support(np.random.default_rng(0), Field((8, 8), 0.2), 0.0)
