"""Recipes say what is wrong with them, extend each other, and draw what they promise."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from ase.build import bulk
from ase.io import write

from napari_atomseg.simulation import SimulationRecipe, draw_scene, load_recipe, recipes, sample

R_EM = ["hr-sem", "hr-stem", "hr-tem", "lr-sem", "lr-stem", "lr-tem"]


def test_all_recipes_of_the_papers_are_shipped():
    assert set(recipes()) >= {*R_EM, "temimagenet", "apgan-graphene", "apgan-pto-sto"}
    for name in recipes():
        assert load_recipe(name).name == name
    columns = load_recipe("columns").model_dump(exclude={"description"})
    assert columns == SimulationRecipe().model_dump(exclude={"description"})


@pytest.mark.parametrize("name", [name for name in recipes() if not name.endswith("multislice")])
def test_every_shipped_recipe_gives_finite_images_again_and_again(name):
    for index in range(3):
        made = sample(name, index, seed=9, shape=(64, 64))
        again = sample(name, index, seed=9, shape=(64, 64))
        assert np.isfinite(made.image).all()
        assert made.image.std() > 0
        assert np.array_equal(made.image, again.image)
        assert made.settings["recipe"] == name


def test_faulty_recipes_are_refused_with_the_place_of_the_fault():
    with pytest.raises(ValueError, match=r"specimen\.columns\.spacing_px: .*low to high"):
        load_recipe({"specimen": {"kind": "columns", "spacing_px": (30, 5)}})
    with pytest.raises(ValueError, match="unknown crystals"):
        load_recipe({"specimen": {"kind": "columns", "crystals": ["Kryptonite"]}})
    with pytest.raises(ValueError, match="spacings_px"):
        load_recipe({"specimen": {"kind": "columns", "spacings_px": (5, 30)}})
    with pytest.raises(ValueError, match="weights"):
        load_recipe(
            {"specimen": {"kind": "mixture", "parts": [{"kind": "columns"}], "weights": [0]}}
        )
    with pytest.raises(ValueError, match="'nonsense'"):
        load_recipe("nonsense")


def test_a_file_overrides_a_shipped_recipe_in_a_few_lines(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump({"extends": "temimagenet", "field": {"fields_of_view": [16]}}))
    mine, base = load_recipe(path), load_recipe("temimagenet")
    assert mine.field.fields_of_view == (16,)
    assert mine.specimen == base.specimen
    assert draw_scene(mine, 0, 0).sampling == pytest.approx(16 / 256)


def test_files_that_a_recipe_names_lie_beside_it(tmp_path, monkeypatch):
    (tmp_path / "crystals").mkdir()
    write(tmp_path / "crystals/cell.cif", bulk("Pt", cubic=True))
    of_file = {"kind": "crystal", "materials": [{"crystal": "cell.cif"}]}
    (tmp_path / "crystals/cell.yaml").write_text(yaml.safe_dump({"specimen": of_file}))
    extended = {"extends": "crystals/cell.yaml", "shape": [64, 64]}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(extended))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    for recipe in (
        load_recipe("../mine.yaml"),
        load_recipe("mine.yaml", tmp_path),
        load_recipe(extended, tmp_path),
    ):
        (material,) = recipe.specimen.materials
        assert recipe.shape == (64, 64)
        assert Path(material.crystal).resolve() == tmp_path / "crystals/cell.cif"
    (tmp_path / "loop.yaml").write_text("extends: crystals/back.yaml")
    (tmp_path / "crystals/back.yaml").write_text("extends: ../loop.yaml")
    with pytest.raises(ValueError, match="extends itself"):
        load_recipe(tmp_path / "loop.yaml")


def test_a_part_of_another_kind_replaces_the_whole_part():
    mine = load_recipe({"extends": "temimagenet", "specimen": {"kind": "columns"}})
    assert mine.specimen == SimulationRecipe().specimen


def test_unreadable_recipe_files_are_named(tmp_path):
    with pytest.raises(OSError, match=r"absent\.yaml"):
        load_recipe(tmp_path / "absent.yaml")
    bad = tmp_path / "bad.yaml"
    bad.write_text("a: [1")
    with pytest.raises(ValueError, match=r"bad\.yaml"):
        load_recipe(bad)
    bad.write_text("- 1")
    with pytest.raises(ValueError, match="mapping"):
        load_recipe(bad)
    bad.write_text(f"extends: {bad}")
    with pytest.raises(ValueError, match="extends itself"):
        load_recipe(bad)


@pytest.mark.slow
def test_temimagenet_draws_the_fields_and_orientations_of_the_paper():
    recipe = load_recipe("temimagenet")
    scenes = [draw_scene(recipe, 1, i, (32, 32)) for i in range(300)]
    assert {round(float(s.view.size[1])) for s in scenes} == {8, 10, 20, 30, 40}
    seen = {(s.specimen.material, s.specimen.zone_axis) for s in scenes}
    assert len(seen) == 15
    assert ("LiCoO2", (0, 1, 0)) in seen


@pytest.mark.parametrize(("argument", "value"), [("index", -1), ("seed", -2), ("shape", (4, 4))])
def test_bad_arguments_of_samples_are_named(argument, value):
    with pytest.raises(ValueError, match=argument):
        sample("temimagenet", **{argument: value})
