"""Training recipes: what they refuse, and where the files lie that they name."""

import json

import numpy as np
import pytest
import torch
import yaml

from napari_atomseg.io import write_columns, write_image
from napari_atomseg.networks.files import load_weights
from napari_atomseg.networks.tasks import TASKS
from napari_atomseg.ranges import FOLDER
from napari_atomseg.simulation import sample
from napari_atomseg.training import load_recipe, train
from napari_atomseg.training.data import ExampleMaker

BLIND = {"kind": "blind_spot", "images": ["a.tif"]}
TINY = {
    "name": "tiny",
    "steps": 2,
    "batch": 2,
    "crop": 32,
    "validate_every": 2,
    "validation": 4,
    "half": False,
    "network": {"name": "unet", "arguments": {"widths": [4, 8]}},
}


@pytest.fixture
def home(tmp_path):
    """A folder with everything that a recipe may name, by paths relative to it."""
    home = tmp_path / "home"
    (home / "images").mkdir(parents=True)
    for number in range(2):
        truth = sample("columns", number, 0, (64, 64))
        write_image(home / f"images/{number}.tif", truth.image)
        write_columns(home / f"images/{number}.csv", truth.columns)
    (home / "base.yaml").write_text("extends: columns\nshape: [64, 64]\n")
    (home / "images/mine.yaml").write_text("extends: ../base.yaml\nname: mine\n")
    return home


def relative():
    """A recipe whose source names files of each kind."""
    image = {"image": "images/0.tif", "points": "images/0.csv"}
    return TINY | {
        "tasks": ["column_map", "column_mask"],
        "simulation": "base.yaml",
        "source": {
            "kind": "mixture",
            "parts": [
                {"kind": "annotated", "images": [image]},
                {"kind": "folder", "folder": "images"},
                {"kind": "simulated", "recipe": "images/mine.yaml"},
            ],
        },
    }


@pytest.mark.parametrize("mixed", [False, True])
def test_turning_hidden_pixels_is_refused_at_once(mixed):
    source = {"kind": "mixture", "parts": [{"kind": "simulated"}, BLIND]} if mixed else BLIND
    recipe = {"tasks": ["denoise"], "source": source}
    load_recipe(recipe | {"augmentation": {"gain": [0.9, 1.1]}})
    for change in ({"rotation": [-5, 5]}, {"scale": [0.9, 1.1]}):
        with pytest.raises(ValueError, match="rotation and scale mix pixels"):
            load_recipe(recipe | {"augmentation": change})


def test_a_discriminator_must_know_the_truth_of_all_tasks():
    source = {"kind": "mixture", "partial": True, "parts": [{"kind": "simulated"}]}
    for given in (source, {"kind": "mixture", "parts": [source]}):
        with pytest.raises(ValueError, match=r"adversarial: .* partial mixture"):
            load_recipe({"source": given, "adversarial": {}})


def test_paths_in_a_file_are_relative_to_it_wherever_one_works(home, tmp_path, monkeypatch):
    (home / "recipe.yaml").write_text(yaml.safe_dump(relative()))
    monkeypatch.chdir(home)
    here = load_recipe("recipe.yaml")
    first = train("recipe.yaml", tmp_path / "first.safetensors", device="cpu")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    there = load_recipe("../home/recipe.yaml")
    assert here == there
    assert here.source.parts[0].images[0].points == home / "images/0.csv"
    assert here.source.parts[2].recipe.name == "mine"
    assert here.simulation.shape == (64, 64)
    second = train("../home/recipe.yaml", tmp_path / "second.safetensors", device="cpu")
    a, b = (load_weights(path)[0].state_dict() for path in (first, second))
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_paths_are_shortened_in_files_of_their_folder_and_nowhere_else(home):
    (home / "recipe.yaml").write_text(yaml.safe_dump(relative() | {"initial": "/a/b.safetensors"}))
    recipe = load_recipe(home / "recipe.yaml")
    short = recipe.model_dump(mode="json", context={FOLDER: home})
    assert short["source"]["parts"][1]["folder"] == "images"
    assert short["initial"] == "/a/b.safetensors"
    whole = recipe.model_dump(mode="json")
    assert whole["source"]["parts"][1]["folder"] == str(home / "images")
    assert load_recipe(json.loads(json.dumps(whole))) == recipe


def test_paths_in_a_dictionary_stay_as_they_are():
    recipe = load_recipe({"initial": "a.safetensors", "source": BLIND, "tasks": ["denoise"]})
    assert str(recipe.initial) == "a.safetensors"


def test_annotated_images_teach_only_the_tasks_that_they_can(home):
    """All five tasks, from annotated and simulated images: loss and gradient of each."""
    part = {"kind": "folder", "folder": str(home / "images")}
    source = {"kind": "mixture", "partial": True, "parts": [part, {"kind": "simulated"}]}
    recipe = load_recipe(TINY | {"batch": 4, "source": source})
    opened = recipe.pairs.open(0, recipe.targets)
    batch = ExampleMaker(recipe, opened).training(0, 4, "cpu")
    annotated = np.array(opened.choices(range(4))) == 0
    assert annotated.any()
    assert not annotated.all()
    weight = batch.weight.expand_as(batch.targets)
    assert recipe.tasks == TASKS
    restored, marked = weight[:, :3], weight[:, 3:]
    assert not restored[annotated].any()
    assert restored[~annotated].all()
    assert marked[~annotated].all()
    assert (marked[annotated].amax(dim=(1, 2, 3)) == 1).all()


def test_a_model_of_all_tasks_learns_more_from_annotated_and_simulated_images(home, tmp_path):
    first = train(TINY, tmp_path / "first.safetensors", device="cpu")
    part = {"kind": "folder", "folder": str(home / "images")}
    source = {"kind": "mixture", "partial": True, "parts": [part, {"kind": "simulated"}]}
    second = train(
        TINY | {"source": source, "initial": str(first), "name": "more"},
        tmp_path / "second.safetensors",
        device="cpu",
    )
    network, card = load_weights(second)
    assert card.tasks == TASKS
    assert np.isfinite(card.scores["validation_denoise"])
    before = load_weights(first)[0].state_dict()
    assert any(not torch.equal(before[n], t) for n, t in network.state_dict().items())
