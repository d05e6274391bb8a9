"""Random matter and the random specimens made of it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_atomseg.specimen import Field, get_crystal
from napari_atomseg.specimen.crystals.zone import orient
from napari_atomseg.specimen.matter.amorphous import amorphous_cell, number_density
from napari_atomseg.specimen.matter.random_matter import (
    Slab,
    amorphous_slab,
    crystal_off_axis,
    crystal_on_axis,
    single_atoms,
    with_defects,
)
from napari_atomseg.specimen.recipes.random import RandomSpecimen

LOWER, UPPER = np.array([-2.0, -3.0]), np.array([38.0, 42.0])
SLAB = Slab(LOWER, UPPER, thickness=40.0, atoms=10**6)
AREA = float(np.prod(UPPER - LOWER))


def density(matter):
    return len(matter.structure) / (AREA * matter.thickness)


def test_a_crystal_on_its_axis_stands_in_columns():
    strontium_titanate = get_crystal("SrTiO3")
    matter = crystal_on_axis(orient(strontium_titanate).rotated(20.0), SLAB, 0.0, 0.0)
    assert density(matter) == pytest.approx(5 / 3.905**3, rel=0.05)
    columns = matter.structure.columns()
    # Four columns a cell: Sr, TiO and two of O.
    assert len(columns) == pytest.approx(4 * AREA / 3.905**2, rel=0.06)
    spread = np.zeros(len(columns))
    np.maximum.at(
        spread,
        matter.structure.column,
        np.hypot(
            matter.structure.y - columns.y[matter.structure.column],
            matter.structure.x - columns.x[matter.structure.column],
        ),
    )
    assert spread.max() < 1e-6


@given(towards=st.floats(0.0, 360.0))
@settings(max_examples=15, deadline=None)
def test_a_tilted_crystal_leans_by_thickness_times_tilt_toward_the_azimuth(towards):
    matter = crystal_on_axis(orient(get_crystal("Pt")), SLAB, 0.5, towards)
    lean = 40.0 * np.tan(np.deg2rad(0.5))
    assert matter.lean == pytest.approx(lean)
    atoms = matter.structure
    inner = np.bincount(atoms.column) >= 18
    for column in np.flatnonzero(inner)[:5]:
        of = atoms.column == column
        slope_y = np.polyfit(atoms.z[of], atoms.y[of], 1)[0]
        slope_x = np.polyfit(atoms.z[of], atoms.x[of], 1)[0]
        assert np.hypot(slope_y, slope_x) == pytest.approx(np.tan(np.deg2rad(0.5)), rel=1e-6)
        turned = np.rad2deg(np.arctan2(slope_y, slope_x)) - towards
        assert np.cos(np.deg2rad(turned)) == pytest.approx(1.0, abs=1e-6)


def test_crystals_that_lean_too_far_have_no_columns():
    matter = crystal_on_axis(orient(get_crystal("Pt")), SLAB, 5.0, 30.0)
    assert set(matter.structure.column) == {-1}
    assert len(matter.structure.columns()) == 0


def test_a_crystal_off_its_axes_keeps_its_density_and_distances():
    gold = get_crystal("Au")
    rng = np.random.default_rng(3)
    matter = crystal_off_axis(gold.cell.array, gold.positions, gold.numbers, SLAB, rng)
    assert density(matter) == pytest.approx(4 / 4.078**3, rel=0.05)
    atoms = matter.structure
    offset = np.stack([atoms.y - atoms.y[0], atoms.x - atoms.x[0], atoms.z - atoms.z[0]], axis=1)
    nearest = np.sort(np.linalg.norm(offset, axis=1))[1]
    assert nearest == pytest.approx(4.078 / np.sqrt(2), rel=1e-6)


def test_matter_gets_thinner_where_the_atoms_run_out():
    cell = amorphous_cell(np.random.default_rng(0), 14, 2.3, 1.5)
    thin = amorphous_slab(cell, Slab(LOWER, UPPER, 40.0, 500), np.random.default_rng(1))
    assert len(thin.structure) == pytest.approx(500, rel=0.15)
    expected = 500 / (AREA * number_density(14, 2.3, 1.5))
    assert thin.thickness == pytest.approx(expected, rel=0.01)
    full = amorphous_slab(cell, SLAB, np.random.default_rng(1))
    assert full.thickness == 40.0
    assert density(full) == pytest.approx(density(thin), rel=0.15)


def test_single_atoms_are_columns_that_keep_their_distance():
    matter = single_atoms(SLAB, 300, 2.5, 4, np.random.default_rng(5))
    atoms = matter.structure
    assert len(atoms) == len(atoms.columns()) == 300
    points = np.stack([atoms.y, atoms.x, atoms.z], axis=1)
    gaps = np.linalg.norm(points[:, None] - points, axis=-1) + 99 * np.eye(300)
    assert gaps.min() >= 2.5
    assert len(set(atoms.number)) <= 4


@pytest.mark.parametrize("share", [0.0, 0.1, 0.25])
def test_defects_concern_the_share_of_atoms_they_should(share):
    atoms = crystal_on_axis(orient(get_crystal("Pt")), SLAB, 0.0, 0.0).structure
    fewer = with_defects(atoms, share, moved=False, rng=np.random.default_rng(0))
    assert len(fewer) == len(atoms) - round(share * len(atoms))
    moved = with_defects(atoms, share, moved=True, rng=np.random.default_rng(0))
    assert (moved.column < 0).sum() == round(share * len(atoms))
    step = np.stack([moved.y - atoms.y, moved.x - atoms.x, moved.z - atoms.z])
    assert np.all((step == 0) | (moved.column < 0))
    if share:
        # The covalent radius of platinum is 1.36 Å (Cordero et al., Dalton Trans. 2832, 2008).
        assert step[:, moved.column < 0].std() == pytest.approx(1.36, rel=0.03)


@pytest.mark.slow
@given(seed=st.integers(0, 2**31), sampling=st.floats(0.03, 0.9))
@settings(max_examples=25, deadline=None)
def test_random_specimens_stay_in_the_field_and_within_the_budget(seed, sampling):
    field = Field((64, 80), sampling, margin=10)
    specimen = RandomSpecimen(atoms=5000).draw(np.random.default_rng(seed), field)
    atoms = specimen.structure
    assert len(atoms) <= 1.3 * 5000 + 1500
    assert specimen.spacing > 0
    # Defects may throw a few atoms over the border.
    inside = (atoms.y >= field.lower[0] - 8) & (atoms.y <= field.upper[0] + 8)
    inside &= (atoms.x >= field.lower[1] - 8) & (atoms.x <= field.upper[1] + 8)
    assert (~inside).sum() <= 0.001 * len(atoms)
    assert specimen.columns.species.max(initial=-1) < len(specimen.species)


@given(seed=st.integers(0, 2**31))
@settings(max_examples=15, deadline=None)
def test_scatterers_hold_every_atom_once(seed):
    recipe = RandomSpecimen(kinds=("crystal",), mistilt=0.05, on_axis=1.0, atoms=4000)
    specimen = recipe.draw(np.random.default_rng(seed), Field((64, 64), 0.3))
    atoms, points = specimen.structure, specimen.scatterers
    assert points.amount.sum() == pytest.approx(len(atoms))
    assert len(points) <= len(atoms)
    for number in np.unique(atoms.number):
        assert points.amount[points.number == number].sum() == pytest.approx(
            (atoms.number == number).sum()
        )


def test_the_same_random_numbers_draw_the_same_specimen():
    recipe, field = RandomSpecimen(), Field((64, 64), 0.1)
    first, again = (recipe.draw(np.random.default_rng(9), field) for _ in range(2))
    assert np.array_equal(first.scatterers.y, again.scatterers.y)
    assert np.array_equal(first.structure.z, again.structure.z)


@pytest.mark.parametrize("kind", ["crystal", "amorphous", "points"])
def test_each_kind_can_be_asked_for_alone(kind):
    recipe = RandomSpecimen(kinds=(kind,), support=0.0, shape=0.0, wedge=0.0, defects=0.0)
    specimen = recipe.draw(np.random.default_rng(4), Field((64, 64), 0.3))
    assert len(specimen.scatterers) > 0
    assert (specimen.material == kind) == (kind != "crystal")
    if kind == "amorphous":
        assert len(specimen.columns) == 0
        assert len(set(specimen.structure.number)) == 1


def test_supports_lie_beyond_the_specimen():
    field = Field((64, 64), 0.2)
    bare = RandomSpecimen(kinds=("points",), support=0.0, shape=0.0, wedge=0.0, defects=0.0)
    recipe = bare.model_copy(update={"support": 1.0})
    atoms = recipe.draw(np.random.default_rng(2), field).structure
    of_specimen = atoms.column >= 0
    assert atoms.z[~of_specimen].min() >= float(field.size.max())
    assert atoms.z[of_specimen].max() < float(field.size.max())
