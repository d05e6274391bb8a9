"""Textures lie under the columns: seen in the image, gone with its background."""

from __future__ import annotations

import numpy as np
import torch

from napari_atomseg.simulation import draw_scene, load_recipe, render

QUIET = {"extends": "columns", "shape": [64, 64], "distortions": []}
TEXTURE = {"kinds": ["fringes"], "contrast": [0.4, 0.4], "second": 0.0, "part": 0.0}


def rendered(change, index):
    return render([draw_scene(load_recipe(QUIET | change), 3, index)])


def test_a_texture_is_added_to_the_background_and_to_nothing_else():
    for index in range(4):
        plain = rendered({}, index)
        with_it = rendered({"background": {"texture": TEXTURE, "texture_probability": 1.0}}, index)
        added = (with_it.targets["no_noise"] - plain.targets["no_noise"])[0]
        assert float(added.min()) > -0.05
        assert 0.2 < float(added.std()) < 0.6
        for name in ("no_background_no_noise", "gaussian_mask", "circular_mask"):
            assert torch.equal(with_it.targets[name], plain.targets[name])


def test_fields_of_texture_alone_have_no_columns_in_their_truth():
    empty = {
        "specimen": {"kind": "columns", "empty_probability": 1.0},
        "background": {"texture": TEXTURE, "texture_probability": 1.0},
    }
    for index in range(4):
        made = rendered(empty, index)
        assert float(made.image.std()) > 0.2
        for name in ("no_background_no_noise", "gaussian_mask", "circular_mask"):
            assert float(made.targets[name].abs().max()) == 0.0


def test_textures_come_as_often_as_asked_for():
    background = {"texture": TEXTURE, "texture_probability": 0.3}
    recipe = load_recipe(QUIET | {"background": background})
    drawn = [draw_scene(recipe, 1, index).background.texture is not None for index in range(120)]
    assert 0.18 < np.mean(drawn) < 0.42
