"""Training for real, on a very small network."""

import csv

import pytest
import torch

from napari_atomseg.networks.files import load_weights
from napari_atomseg.networks.tasks import TASKS
from napari_atomseg.progress import Cancelled, CancelToken
from napari_atomseg.training import TrainingRecipe, load_recipe, train
from napari_atomseg.training.data import ExampleMaker
from napari_atomseg.training.losses import cross_entropy, restoration_loss
from napari_atomseg.training.losses.tasks import EMPHASIS

TINY = {
    "name": "tiny",
    "seed": 1,
    "steps": 6,
    "batch": 2,
    "crop": 32,
    "validate_every": 3,
    "validation": 4,
    "half": False,
    "network": {"name": "unet", "arguments": {"widths": [4, 8]}},
}


def test_losses_match_their_closed_forms():
    zero = torch.zeros(2, 8, 8)
    small = torch.full_like(zero, 0.01)
    large = torch.full_like(zero, 1.05)
    noise = torch.randn(2, 8, 8) * 10  # weight 1 / sqrt(1)
    assert float(restoration_loss(small, zero, noise)) == pytest.approx(0.5 * 0.01**2 / 0.05)
    assert float(restoration_loss(large, zero, noise)) == pytest.approx(1.05 - 0.025)
    assert float(cross_entropy(zero, zero, EMPHASIS)) == pytest.approx(0.693147, rel=1e-5)
    assert float(cross_entropy(zero, zero + 1, EMPHASIS)) == pytest.approx(5 * 0.693147, rel=1e-5)


def test_examples_depend_only_on_recipe_seed_and_number():
    recipe = TrainingRecipe.model_validate({**TINY, "augmentation": {"rotation": [-20, 20]}})
    maker = ExampleMaker(recipe, recipe.pairs.open(recipe.seed, recipe.targets))
    whole, part = maker.training(0, 6, "cpu"), maker.training(4, 2, "cpu")
    assert torch.equal(whole.image[4:], part.image)
    assert torch.equal(whole.targets[4:], part.targets)
    assert whole.targets.shape == (6, len(TASKS), 32, 32)


@pytest.mark.slow
def test_training_lowers_the_loss_and_writes_weights_that_load(tmp_path):
    recipe = {**TINY, "steps": 60, "validate_every": 30, "batch": 4}
    recipe["optimizer"] = {"rate": 5e-3, "warm_up": 5, "average": 0.9}
    seen = []
    path = train(recipe, tmp_path / "w.safetensors", progress=lambda *a: seen.append(a))
    network, card = load_weights(path)
    assert network(torch.rand(1, 1, 40, 24)).shape == (1, len(TASKS), 40, 24)
    assert card.recipe["optimizer"]["rate"] == 5e-3
    assert card.steps == 60
    rows = list(csv.DictReader((tmp_path / "w.csv").open()))
    assert [float(r["step"]) for r in rows] == [30, 60]
    assert float(rows[1]["validation_loss"]) < float(rows[0]["validation_loss"])
    assert seen[-1][:2] == (60, 60)


def test_an_interrupted_run_resumes_to_the_same_weights(tmp_path):
    whole = train(TINY, tmp_path / "whole.safetensors")
    token = CancelToken()

    def stop_after_four(done, total, message):
        if done == 4:
            token.cancel()

    target = tmp_path / "cut.safetensors"
    with pytest.raises(Cancelled):
        train(TINY, target, progress=stop_after_four, cancel=token)
    assert not target.exists()
    train(TINY, target)
    first, _ = load_weights(whole)
    second, _ = load_weights(target)
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(a, b)


def test_the_table_of_losses_is_whole_after_a_run_that_ended_before_it(tmp_path):
    weights = train({**TINY, "steps": 3}, tmp_path / "w.safetensors")
    losses = weights.with_suffix(".csv").read_bytes()
    weights.unlink()
    weights.with_suffix(".csv").unlink()
    train({**TINY, "steps": 3}, weights)
    assert weights.with_suffix(".csv").read_bytes() == losses


def test_a_checkpoint_of_another_recipe_is_refused(tmp_path):
    train({**TINY, "steps": 3}, tmp_path / "w.safetensors")
    with pytest.raises(ValueError, match="another recipe"):
        train({**TINY, "seed": 2}, tmp_path / "w.safetensors")
    assert train({**TINY, "seed": 2}, tmp_path / "w.safetensors", resume=False).exists()


def test_faults_in_a_recipe_are_named(tmp_path):
    with pytest.raises(ValueError, match="steps"):
        load_recipe({"steps": -1})
    with pytest.raises(ValueError, match="batches"):
        load_recipe({"batches": 3})
    broken = tmp_path / "broken.yaml"
    broken.write_text("a: [1, 2")
    with pytest.raises(ValueError, match=r"broken\.yaml"):
        load_recipe(broken)
    with pytest.raises(FileNotFoundError):
        load_recipe(tmp_path / "absent.yaml")
