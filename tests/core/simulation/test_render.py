"""Sample i is the same in whichever batch it is rendered, and recipes say what is wrong."""

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from napari_atomseg.imaging import peak_width
from napari_atomseg.simulation import SimulationRecipe, draw_scene, render

RECIPE = SimulationRecipe()
SHAPE = (64, 64)


def test_a_sample_does_not_depend_on_its_batch():
    together = render([draw_scene(RECIPE, 1, i, SHAPE) for i in range(7)], SHAPE)
    alone = render([draw_scene(RECIPE, 1, 4, SHAPE)], SHAPE)
    assert torch.allclose(together.image[4], alone.image[0], atol=1e-5)
    for name, target in alone.targets.items():
        assert torch.allclose(together.targets[name][4], target[0], atol=1e-5)


def test_every_random_scene_is_finite_and_within_the_recipe():
    scenes = [draw_scene(RECIPE, 2, i, SHAPE) for i in range(60)]
    batch = render(scenes, SHAPE)
    assert torch.isfinite(batch.image).all()
    assert batch.image.shape == (60, *SHAPE)
    assert all(t.shape == (60, *SHAPE) for t in batch.targets.values())
    assert float(batch.targets["gaussian_mask"].max()) <= 1.0
    assert float(batch.targets["no_background_no_noise"].min()) >= 0.0
    widths = np.array([peak_width(scene.probe) / scene.sampling for scene in scenes])
    assert batch.sigma.numpy() == pytest.approx(widths, rel=1e-5)


def test_discs_never_touch():
    for index in range(12):
        scene = draw_scene(RECIPE, 3, index, SHAPE)
        if len(scene.labels) < 2:
            continue
        radius = float(render([scene], SHAPE).radius)
        points = np.stack([scene.labels.y, scene.labels.x], axis=1) / scene.sampling
        distance = np.linalg.norm(points[:, None] - points[None], axis=-1)
        nearest = distance[distance > 0].min()
        assert 2 * radius < max(nearest, 2.0) + 1e-6


def test_faulty_recipes_are_refused():
    with pytest.raises(ValidationError, match="low to high"):
        SimulationRecipe.model_validate({"specimen": {"spacing_px": (30, 5)}})
    with pytest.raises(ValidationError, match="unknown crystals"):
        SimulationRecipe.model_validate({"specimen": {"crystals": ["Kryptonite"]}})
    with pytest.raises(ValidationError, match="spacings_px"):
        SimulationRecipe.model_validate({"specimen": {"spacings_px": (5, 30)}})
