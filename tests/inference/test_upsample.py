"""Four pixels in the place of each: where they lie, and what they hold."""

import numpy as np
import pytest
import torch

from napari_atomseg.inference.tiles import upsampled
from napari_atomseg.simulation import draw_scene, load_recipe, render


def cosines(y, x, shape, orders):
    """A sum of products of cosines that are even about the borders of an image of `shape`."""
    height, width = shape
    return sum(
        (1 + row)
        * np.cos(np.pi * row * (y + 0.5) / height)
        * np.cos(np.pi * col * (x + 0.5) / width)
        for row, col in orders
    )


@pytest.mark.parametrize("shape", [(16, 24), (17, 9), (1, 8), (2, 3)])
def test_band_limited_images_are_sampled_at_quarters_of_a_pixel(shape):
    height, width = shape
    orders = [(0, 0), (min(3, height - 1), 1), (height - 1, width - 1), (height // 2, width // 3)]
    coarse = cosines(*np.mgrid[:height, :width], shape, orders)
    fine = cosines(*(np.mgrid[: 2 * height, : 2 * width] / 2 - 0.25), shape, orders)
    made = upsampled(torch.from_numpy(coarse)[None, None])
    np.testing.assert_allclose(made[0, 0], fine, atol=1e-12)


def test_edges_do_not_ring_into_each_other():
    ramp = torch.arange(32.0)[:, None].expand(32, 40)
    made = upsampled(ramp)
    expected = torch.arange(64.0)[:, None] / 2 - 0.25
    assert (made - expected).abs().max() < 0.15
    assert made.mean() == pytest.approx(float(ramp.mean()), rel=1e-6)


def test_it_is_the_target_of_the_simulator():
    names = ("no_noise", "no_noise_upinterpolation_2x")
    recipe = load_recipe({"extends": "columns", "targets": {"names": names}})
    scenes = [draw_scene(recipe, 4, index, (96, 80)) for index in range(3)]
    targets = render(scenes).targets
    made, true = upsampled(targets["no_noise"]), targets["no_noise_upinterpolation_2x"]
    error = (made - true)[:, 16:-16, 16:-16].square().mean().sqrt()
    nearest = targets["no_noise"].repeat_interleave(2, 1).repeat_interleave(2, 2)
    assert error < 0.1 * (nearest - true)[:, 16:-16, 16:-16].square().mean().sqrt()
