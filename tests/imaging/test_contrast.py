"""Contrast: the equations of r_em, and what they promise about levels."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from napari_atomseg.imaging import ContrastRecipe, contrast_background, level, structure_contrast
from napari_atomseg.imaging.contrast import hump, invert, plane, power_law, undulation

SHAPE = (40, 60)


def draw(seed=0, **recipe):
    return ContrastRecipe(**recipe).draw(np.random.default_rng(seed))


def signal(seed, lift=0.0):
    return torch.rand((1, *SHAPE), generator=torch.Generator().manual_seed(seed)) + lift


def test_inversion_turns_the_brightest_pixel_into_zero_and_undoes_itself():
    image = signal(0)
    assert float(invert(image).min()) == 0.0
    again = invert(invert(image))
    assert torch.allclose(again, image - image.min(), atol=1e-6)


def test_the_power_law_keeps_1_and_squares_with_2():
    image = torch.tensor([[[0.0, 0.5, 1.0]]])
    assert torch.allclose(power_law(image, 2.0), torch.tensor([[[0.0, 0.25, 1.0]]]))


@given(direction=st.floats(0, 6.28))
def test_a_plane_runs_from_0_in_one_corner_to_1_in_the_opposite_one(direction):
    ground = plane(direction, SHAPE).numpy()
    corners = ground[[0, 0, -1, -1], [0, -1, 0, -1]]
    assert corners.min() == pytest.approx(0.0, abs=1e-5)
    assert corners.max() == pytest.approx(1.0, abs=1e-5)
    assert np.diff(ground, 2, axis=0) == pytest.approx(0.0, abs=1e-5)
    assert np.diff(ground, 2, axis=1) == pytest.approx(0.0, abs=1e-5)


def test_a_hump_has_its_height_and_width_where_it_says():
    ground = hump((0.5, 0.25), 0.2, (41, 61)).numpy()
    assert ground[20, 15] == pytest.approx(1.0)
    sigma = 0.2 * 41
    assert ground[20, 15 + 8] == pytest.approx(np.exp(-0.5 * (8 / sigma) ** 2), rel=1e-4)


def test_an_undulation_is_the_sum_of_its_waves_between_0_and_1():
    waves = np.array([[0.7, -0.3, 0.4], [0.2, 1.1, 2.0]])
    rows, cols = np.linspace(0, 1, SHAPE[0])[:, None], np.linspace(0, 1, SHAPE[1])
    direct = sum(np.cos(2 * np.pi * (ky * rows + kx * cols) + p) for ky, kx, p in waves)
    direct = (direct - direct.min()) / (direct.max() - direct.min())
    assert undulation(waves, SHAPE).numpy() == pytest.approx(direct, abs=1e-4)


@given(seed=st.integers(0, 300), lift=st.floats(0.0, 200.0))
def test_levels_are_within_the_range_that_was_found_in_real_images(seed, lift):
    contrast, image = draw(seed), signal(seed, lift)
    scale, offset = level(image, [contrast])
    levelled = scale * image + offset
    assert float(levelled.max()) == pytest.approx(1.0, rel=1e-4)
    assert float(levelled.min()) >= -1e-5
    ratio = float(levelled.std() / levelled.mean())
    assert 0.0099 <= ratio <= 0.3501


def test_an_image_within_the_range_is_only_scaled():
    image = signal(1, lift=2.0)
    scale, offset = level(image, [draw(ratio=(0.01, 0.9))])
    assert float(offset) == 0.0
    assert float(scale) == pytest.approx(1 / float(image.max()))


def test_what_is_not_asked_for_is_not_done():
    recipe = {
        "invert_probability": 0.0,
        "power_probability": 0.0,
        "backgrounds": ("none",),
        "ratio": None,
        "normalized": False,
    }
    image, contrast = signal(2), draw(**recipe)
    assert torch.equal(structure_contrast(image, [contrast]), image)
    assert not contrast_background(image, [contrast]).any()
    assert [float(v) for v in level(image, [contrast])] == [1.0, 0.0]


@pytest.mark.parametrize("kind", ["plane", "gaussian", "nonlinear"])
def test_backgrounds_are_positive_and_as_high_as_drawn(kind):
    contrast, image = draw(5, backgrounds=(kind,), gaussian_width=(0.6, 0.6)), signal(3) * 7.0
    ground = contrast_background(image, [contrast])
    assert float(ground.min()) >= 0.0
    assert float(ground.max()) == pytest.approx(contrast.height * float(image.max()), rel=0.02)


def test_each_image_of_a_batch_has_its_own_contrast():
    contrasts = [draw(i, backgrounds=("plane", "gaussian", "nonlinear")) for i in range(6)]
    images = torch.cat([signal(i) for i in range(6)])

    def whole(image, contrast):
        clean = structure_contrast(image, contrast)
        clean = clean + contrast_background(clean, contrast)
        scale, offset = level(clean, contrast)
        return scale[:, None, None] * clean + offset[:, None, None]

    together = whole(images, contrasts)
    for i in range(6):
        assert torch.equal(together[i : i + 1], whole(images[i : i + 1], contrasts[i : i + 1]))


def test_draws_follow_the_stated_odds():
    rng, recipe = np.random.default_rng(0), ContrastRecipe()
    drawn = [recipe.draw(rng) for _ in range(2000)]
    assert np.mean([c.inverted for c in drawn]) == pytest.approx(0.5, abs=0.05)
    assert np.mean([c.power != 1.0 for c in drawn]) == pytest.approx(0.5, abs=0.05)
    assert np.mean([c.background == "plane" for c in drawn]) == pytest.approx(0.5, abs=0.05)
    assert all(0.5 <= c.power <= 1.5 and 0 <= c.height <= 0.5 for c in drawn)
