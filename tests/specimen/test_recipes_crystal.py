"""Recipes of crystals, graphene and multilayers: deterministic, complete, and what they promise."""

import time

import numpy as np
import pytest
from ase.build import bulk
from pydantic import ValidationError
from scipy.spatial import cKDTree

from napari_atomseg.specimen import (
    CrystalSpecimen,
    Field,
    GrapheneSpecimen,
    MultilayerSpecimen,
    SingleCrystal,
    get_crystal,
)
from napari_atomseg.specimen.crystals.crystal import builtin_crystal
from napari_atomseg.specimen.recipes.crystal import Material

FIELD = Field((128, 128), 0.25, 12)
PLATINUM = (Material(crystal="Pt", zone_axis=(1, 1, 0)),)
EVERYTHING = CrystalSpecimen(
    vacancies=(0.0, 0.05),
    missing_columns=(0.0, 0.05),
    displacement=(0.0, 0.1),
    substitutions=(0.0, 0.1),
    strain=(0.0, 0.02),
    dislocation=0.5,
    stacking_fault=0.5,
    grain_boundary=0.5,
    support=(5.0, 10.0),
    support_probability=0.3,
)
RECIPES = [CrystalSpecimen(), EVERYTHING, GrapheneSpecimen(), MultilayerSpecimen()]


@pytest.mark.parametrize("recipe", RECIPES, ids=["plain", "everything", "graphene", "multilayer"])
def test_a_draw_repeats_and_stays_in_the_field(recipe):
    for seed in range(6):
        first = recipe.draw(np.random.default_rng(seed), FIELD)
        again = recipe.draw(np.random.default_rng(seed), FIELD)
        for name in ("y", "x", "amount", "number"):
            assert np.array_equal(getattr(first.scatterers, name), getattr(again.scatterers, name))
        assert len(first.columns) > 0
        assert first.columns.species.max() < len(first.species)
        assert np.all(first.scatterers.amount > 0)
        assert np.all(first.scatterers.number > 0)
        reach = 1.0  # Å that displacements may carry a column out of the field
        assert np.all(first.columns.points >= FIELD.lower - reach)
        assert np.all(first.columns.points <= FIELD.upper + reach)
        assert first.material
        assert first.spacing > 0.5


@pytest.mark.parametrize("recipe", RECIPES, ids=["plain", "everything", "graphene", "multilayer"])
def test_columns_and_scatterers_hold_the_same_atoms(recipe):
    specimen = recipe.model_copy(update={"support_probability": 0.0}).draw(
        np.random.default_rng(8), FIELD
    )
    for number, count in zip(
        specimen.columns.numbers, specimen.columns.counts.sum(axis=0), strict=True
    ):
        found = specimen.scatterers.amount[specimen.scatterers.number == number].sum()
        assert found == pytest.approx(count, rel=0.02, abs=1.0)


def test_rotations_are_steps_of_fifteen_degrees():
    recipe = CrystalSpecimen(materials=PLATINUM, shapes={"bulk": 1.0})
    crystal = builtin_crystal("Pt", (1, 1, 0))
    found = []
    for seed in range(30):
        points = recipe.draw(np.random.default_rng(seed), FIELD).columns.points
        for step in range(7):
            turned = crystal.rotated(15.0 * step)
            lattice = turned.columns(FIELD.lower - 1, FIELD.upper + 1, points[0]).points
            if cKDTree(lattice).query(points)[0].max() < 1e-6:
                found.append(step)
    assert len(found) == 30
    assert len(set(found)) > 4


def test_materials_are_drawn_by_their_weights():
    recipe = CrystalSpecimen(
        materials=(
            Material(crystal="Pt", weight=3.0),
            Material(crystal="SrTiO3", zone_axis=(1, 1, 0)),
        )
    )
    rng = np.random.default_rng(2)
    names = [recipe.draw(rng, Field((32, 32), 0.3, 4)).material for _ in range(400)]
    assert names.count("Pt") / 400 == pytest.approx(0.75, abs=0.06)


def test_thicker_crystals_have_more_atoms_a_column_and_single_layers_do_not():
    for name, expected in (("Pt", 100.0 / 3.924), ("graphene", 1.0)):
        recipe = CrystalSpecimen(
            materials=(Material(crystal=name),), thickness=(100.0, 100.0), shapes={"bulk": 1.0}
        )
        counts = recipe.draw(np.random.default_rng(0), FIELD).columns.counts
        assert np.all(counts == round(expected))


def test_a_dislocation_disturbs_the_crystal_at_its_core_only():
    recipe = CrystalSpecimen(materials=PLATINUM, shapes={"bulk": 1.0}, dislocation=1.0)
    specimen = recipe.draw(np.random.default_rng(1), FIELD)
    points = specimen.columns.points
    nearest = cKDTree(points).query(points, k=2)[0][:, 1]
    perfect = 3.924 * np.sqrt(3 / 8)
    strained = np.abs(nearest / perfect - 1) > 0.08
    assert 0 < strained.sum() < 0.2 * len(points)
    core = points[strained]
    assert np.linalg.norm(core - np.median(core, axis=0), axis=1).max() < 12.0


def test_amorphous_carbon_has_atoms_and_no_columns():
    recipe = CrystalSpecimen(materials=(Material(crystal="amorphous carbon"),))
    specimen = recipe.draw(np.random.default_rng(0), FIELD)
    assert len(specimen.columns) == 0
    assert len(specimen.scatterers) > 1000


def test_atoms_of_a_user_are_not_taken_for_the_book():
    """A primitive cell of silicon has the formula of the book's silicon, and its own zone axes."""
    silicon = bulk("Si", a=6.0)
    specimen = SingleCrystal(silicon, (1, 1, -1)).draw(np.random.default_rng(0), FIELD)
    points = specimen.columns.points
    assert specimen.material == "Si2"
    assert cKDTree(points).query(points, k=2)[0][:, 1].min() > 2.0
    gold = bulk("Au", a=6.0)
    specimen = SingleCrystal(gold, (1, 1, -1)).draw(np.random.default_rng(0), FIELD)
    points = specimen.columns.points
    assert specimen.material == "Au"
    # [11-1] of the primitive cell is [001] of the cubic one.
    assert cKDTree(points).query(points, k=2)[0][:, 1].min() == pytest.approx(3.0)


def test_what_a_recipe_cannot_mean_is_refused():
    with pytest.raises(ValidationError, match="unobtainium"):
        Material(crystal="unobtainium")
    with pytest.raises(ValidationError):
        CrystalSpecimen(materials=())
    with pytest.raises(ValidationError):
        CrystalSpecimen(shapes={"cone": 1.0})
    with pytest.raises(ValidationError):
        CrystalSpecimen(dislocation=1.5)


def test_drawing_keeps_up_with_training():
    recipe, field = CrystalSpecimen(), Field((256, 256), 40 / 256, 24)
    rng, taken = np.random.default_rng(0), []
    for _ in range(120):
        start = time.perf_counter()
        recipe.draw(rng, field)
        taken.append(time.perf_counter() - start)
    # Half a millisecond on a free core; the bound leaves room for a busy one.
    assert np.median(taken) < 5e-3


def test_a_crystal_of_a_file_is_drawn_as_one_of_the_book(tmp_path):
    path = tmp_path / "gold.cif"
    get_crystal("Au").write(path)
    recipe = CrystalSpecimen(
        materials=[{"crystal": str(path), "zone_axis": (0, 0, 1)}], shapes={"bulk": 1}
    )
    book = CrystalSpecimen(
        materials=[{"crystal": "Au", "zone_axis": (0, 0, 1)}], shapes={"bulk": 1}
    )
    mine, known = (r.draw(np.random.default_rng(3), FIELD) for r in (recipe, book))
    assert mine.material == "gold.cif"
    assert np.allclose(mine.columns.points, known.columns.points, atol=1e-3)
    assert np.array_equal(mine.columns.counts, known.columns.counts)


def test_crystals_that_are_none_are_refused_by_recipes(tmp_path):
    with pytest.raises(ValidationError, match="Kryptonite"):
        CrystalSpecimen(materials=[{"crystal": "Kryptonite"}])
    path = tmp_path / "absent.cif"
    with pytest.raises(ValidationError, match=r"absent\.cif"):
        CrystalSpecimen(materials=[{"crystal": str(path)}])
    lone = tmp_path / "lone.xyz"
    lone.write_text("1\n\nAu 0 0 0\n")
    with pytest.raises(ValidationError, match="does not repeat"):
        CrystalSpecimen(materials=[{"crystal": str(lone)}])
