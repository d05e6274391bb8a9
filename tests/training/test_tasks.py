"""Networks for any tasks: their channels, their losses, and images that they are applied to."""

from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter

from napari_atomseg.inference import predict
from napari_atomseg.localization import localize
from napari_atomseg.networks.files import read_card
from napari_atomseg.networks.maps import (
    compose,
    denormalise,
    normalise,
    normalised_targets,
    selected,
)
from napari_atomseg.networks.tasks import (
    SUPERRESOLUTION_UNIT,
    TARGETS,
    channels,
    predictable,
    spans,
)
from napari_atomseg.training import TrainingRecipe, load_recipe, train
from napari_atomseg.training.losses import Losses, multi_task_loss, restoration_loss

TINY = {
    "name": "tiny",
    "seed": 3,
    "steps": 2,
    "batch": 2,
    "crop": 32,
    "validate_every": 2,
    "validation": 2,
    "half": False,
    "network": {"name": "unet", "arguments": {"widths": [4, 8]}},
}


SMALLER = {
    "cgrdn": {"name": "cgrdn_small", "arguments": {"width": 16}},
    "apgan_generator": {"name": "apgan_generator", "arguments": {"blocks": 2, "width": 8}},
}


def truth(shape=(2, 1, 8, 8), species=3):
    generator = torch.Generator().manual_seed(0)
    made = {name: torch.rand(shape, generator=generator) for name in TARGETS.values()}
    made["elements"] = torch.rand(shape[0], species, *shape[2:], generator=generator)
    return made


def test_elements_take_the_channels_that_are_left():
    tasks = ("column_map", "elements", "denoise")
    assert channels(tasks, ("Sr", "TiO", "O")) == 5
    places = spans(tasks, 5)
    assert places == {"column_map": slice(0, 1), "elements": slice(1, 4), "denoise": slice(4, 5)}
    for count, wrong in ((2, tasks), (3, ("denoise",)), (1, ("denoise", "column_map"))):
        with pytest.raises(ValueError, match="do not fit"):
            spans(wrong, count)


@pytest.mark.parametrize(
    "tasks",
    [
        ("denoise",),
        ("superresolution", "denoise_background"),
        ("elements", "column_mask", "denoise"),
        ("column_map", "superresolution", "denoise_background", "denoise"),
    ],
)
def test_the_truth_as_channels_gives_the_truth_back(tasks):
    """What a network must answer to be right, through composition and back to intensities."""
    image = 40 + 7 * torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    true = truth()
    normal, mean, deviation = normalise(image)
    targets = normalised_targets(true, mean, 1 / deviation, torch.zeros(2, 1, 1, 1), tasks)
    places = spans(tasks, targets.shape[1])
    raw = targets.clone()
    for task in set(tasks) & {"column_map", "column_mask", "elements"}:
        raw[:, places[task]] = torch.logit(raw[:, places[task]])
    if "denoise_background" in tasks:
        base = targets[:, places["denoise"]] if "denoise" in tasks else normal
        raw[:, places["denoise_background"]] -= base
    if "denoise" in tasks:
        raw[:, places["denoise"]] -= normal
    finished = denormalise(compose(raw, normal, tasks), mean, deviation, tasks)
    for task, place in places.items():
        torch.testing.assert_close(
            finished[:, place], true[TARGETS[task]], atol=1e-4, rtol=1e-4, msg=task
        )


def test_targets_follow_the_gain_and_offset_of_the_image():
    one = torch.ones(1, 1, 4, 4)
    true = {
        "no_noise": 9 * one,
        "no_background_no_noise": one,
        "no_noise_no_background_superresolution": one,
    }
    mean, scale, shift = torch.tensor(5.0), torch.tensor(2.0), torch.tensor(-1.0)
    tasks = ("denoise", "denoise_background", "superresolution")
    made = normalised_targets(true, mean, scale, shift, tasks)
    expected = ((9 - 5) * 2 - 1, 2.0, 2 / SUPERRESOLUTION_UNIT)
    assert made[0, :, 0, 0].tolist() == pytest.approx(expected)


def test_columns_follow_from_the_species():
    maps = torch.rand(1, 3, 4, 4)
    assert predictable(("elements",)) == ("elements", "column_map", "column_mask")
    assert predictable(("superresolution",)) == ("superresolution",)
    assert torch.equal(selected(maps, "column_map", ("elements",))[:, 0], maps.amax(dim=1))


def test_finer_pixels_follow_from_denoising():
    maps = torch.rand(1, 2, 4, 4)
    assert predictable(("column_map", "denoise")) == ("column_map", "denoise", "upinterpolation")
    made = selected(maps, "upinterpolation", ("column_map", "denoise"))
    assert torch.equal(made, maps[:, 1:])


def losses_of(**given):
    return TrainingRecipe.model_validate({"tasks": tuple(given), "losses": given}).losses


def test_a_number_is_the_weight_of_the_usual_loss():
    prediction, target, image = (
        torch.rand(2, 1, 8, 8),
        torch.rand(2, 1, 8, 8),
        torch.rand(2, 1, 8, 8),
    )
    total, parts = multi_task_loss(prediction, target, image, losses_of(denoise=0.25))
    alone = restoration_loss(prediction[:, 0], target[:, 0], (image - target)[:, 0])
    assert float(total) == pytest.approx(0.25 * float(alone))
    assert parts["denoise"] == pytest.approx(float(alone))


def test_losses_of_maps_take_probabilities():
    terms = [{"kind": "ssim", "weight": 2.0}, {"kind": "psnr"}, {"kind": "cross_entropy"}]
    recipe = losses_of(elements=terms)
    logits, target = torch.randn(2, 3, 16, 16), torch.rand(2, 3, 16, 16)
    total, _ = multi_task_loss(logits, target, torch.rand(2, 1, 16, 16), recipe)
    ssim, psnr, entropy = TypeAdapter(Losses).validate_python(terms)
    made = torch.sigmoid(logits)
    expected = (
        2 * ssim.value(made, target)
        + 0.05 * psnr.value(made, target)
        + entropy.value(logits, target)
    )
    assert float(total) == pytest.approx(float(expected), rel=1e-5)


def test_pixels_without_weight_have_no_say():
    recipe = losses_of(denoise=[{"kind": "mse"}], column_map=1.0)
    maps = torch.randn(2, 2, 8, 8, requires_grad=True)
    target, image = torch.rand(2, 2, 8, 8), torch.rand(2, 1, 8, 8)
    weight = torch.zeros(2, 1, 8, 8)
    weight[..., :4] = 1.0
    total, parts = multi_task_loss(maps, target, image, recipe, weight)
    total.backward()
    assert (maps.grad[..., 4:] == 0).all()
    assert (maps.grad[..., :4] != 0).all()
    counted = (maps - target)[:, 0, :, :4].square().mean()
    assert parts["denoise"] == pytest.approx(float(counted.detach()), rel=1e-5)


def test_images_of_which_a_task_is_not_known_have_no_say_in_it():
    """The loss and its gradient are those of the others alone, for each task."""
    recipe = losses_of(denoise=1.0, column_map=[{"kind": "cross_entropy"}, {"kind": "psnr"}])
    maps = torch.randn(3, 2, 8, 8, requires_grad=True)
    target, image = torch.rand(3, 2, 8, 8), torch.rand(3, 1, 8, 8)
    weight = torch.ones(3, 2, 1, 1)
    weight[1, 0] = weight[0, 1] = weight[2, 1] = 0
    total, parts = multi_task_loss(maps, target, image, recipe, weight)
    total.backward()
    assert not maps.grad[1, 0].any()
    assert not maps.grad[[0, 2], 1].any()
    for task, rows in (("denoise", [0, 2]), ("column_map", [1])):
        _, alone = multi_task_loss(maps[rows], target[rows], image[rows], recipe)
        assert parts[task] == pytest.approx(alone[task], rel=1e-5)
    weight[:] = 0
    nothing, parts = multi_task_loss(maps, target, image, recipe, weight)
    assert float(nothing.detach()) == 0
    assert set(parts.values()) == {0.0}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"tasks": ["denoise", "denoise"]}, "different"),
        ({"tasks": ["paint"]}, "'paint' is not a task"),
        ({"tasks": []}, "at least 1"),
        ({"tasks": ["denoise"], "losses": {"denoise": [{"kind": "cross_entropy"}]}}, "not fit"),
        ({"tasks": ["column_map"], "losses": {"column_map": [{"kind": "restoration"}]}}, "not fit"),
        ({"losses": {"paint": 1.0}}, "paint"),
        ({"losses": {"denoise": -1.0}}, "greater than or equal to 0"),
        ({"network": {"name": "unit"}}, "'unit' is not known"),
        ({"network": {"arguments": {"activation": "tanh"}}}, "follow from the tasks"),
        ({"initial_sha256": "abc"}, "initial_sha256"),
    ],
)
def test_faults_in_a_recipe_are_named(given, message):
    with pytest.raises(ValueError, match=message):
        load_recipe(given)


RECIPES = sorted((Path(__file__).parents[2] / "recipes").glob("*.yaml"))


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, id=path.stem, marks=() if path.stem == "stem-hr" else pytest.mark.slow)
        for path in RECIPES
    ],
)
def test_the_recipes_train(path, tmp_path):
    """A step of each, its images made smaller, and its network where it starts from nothing."""
    recipe = load_recipe(path)
    smaller = SMALLER.get(recipe.network.name, {"name": recipe.network.name})
    small = {
        "steps": 1,
        "batch": 2,
        "crop": 32,
        "validate_every": 1,
        "validation": 1,
    }
    whole = recipe.model_dump(mode="json")
    if not recipe.initial:
        small["network"] = smaller
    if whole["adversarial"]:
        whole["adversarial"]["start"] = 0
    made = train({**whole, **small}, tmp_path / "w.safetensors", device="cpu")
    assert read_card(made).tasks == recipe.tasks
    assert recipe.name == path.stem


def test_a_recipe_survives_a_file(tmp_path):
    recipe = load_recipe(
        {
            **TINY,
            "tasks": ["column_map", "denoise"],
            "losses": {"denoise": [{"kind": "l1"}, {"kind": "whitening"}]},
            "adversarial": {"loss": {"kind": "least_squares"}, "start": 5},
            "augmentation": {"kept": [0.3, 0.3]},
            "source": {"kind": "mixture", "parts": [{"kind": "simulated"}]},
            "initial": str(tmp_path / "a.safetensors"),
        }
    )
    assert load_recipe(recipe.model_dump(mode="json")) == recipe
    assert list(recipe.losses) == ["column_map", "denoise"]


@pytest.fixture(scope="module")
def species_model(tmp_path_factory):
    """A model of two species, hardly trained."""
    recipe = {
        **TINY,
        "tasks": ["elements"],
        "losses": {"elements": [{"kind": "ssim"}, {"kind": "psnr"}]},
        "source": {
            "kind": "simulated",
            "recipe": {"specimen": {"kind": "crystal", "materials": [{"crystal": "SrTiO3"}]}},
            "species": ["Sr", "TiO"],
        },
    }
    path = tmp_path_factory.mktemp("species") / "species.safetensors"
    return train(recipe, path, device="cpu")


def test_a_model_of_species_gives_a_map_each_and_the_columns_of_all(species_model):
    card = read_card(species_model)
    assert card.tasks == ("elements",)
    assert card.species == ("Sr", "TiO")
    assert card.arguments["channels_out"] == 2
    stack = np.random.default_rng(0).normal(size=(3, 40, 48))
    made = predict(stack, ("elements", "column_map"), model=species_model, device="cpu")
    assert made.species == ("Sr", "TiO")
    assert made.maps["elements"].shape == (3, 2, 40, 48)
    assert made.maps["column_map"].shape == stack.shape
    np.testing.assert_allclose(
        made.maps["column_map"], made.maps["elements"].max(axis=1), atol=1e-6
    )
    flat = predict(np.ones((20, 30)), ("elements",), model=species_model, device="cpu")
    assert not flat.maps["elements"].any()
    assert {"y", "x"} <= set(localize(stack[0], model=species_model, device="cpu"))
    with pytest.raises(ValueError, match="column_map, column_mask"):
        predict(stack, ("denoise",), model=species_model, device="cpu")


def test_a_model_that_sees_no_columns_restores_at_the_scale_of_its_training(tmp_path):
    path = train({**TINY, "tasks": ["denoise"]}, tmp_path / "d.safetensors", device="cpu")
    rows, cols = np.mgrid[:256, :256]
    # Columns 80 pixels apart, out of the range of 5 to 34 that training covers.
    image = np.cos(2 * np.pi * rows / 80) * np.cos(2 * np.pi * cols / 80)
    made = predict(image, ("denoise",), model=path, device="cpu")
    assert made.settings["zoom"] < 1.0
    assert made.maps["denoise"].shape == image.shape
