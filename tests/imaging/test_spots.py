"""Gaussian spots and discs against direct sums over the pixels."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_atomseg._shared.exponentials import fading
from napari_atomseg.imaging import circular_masks, gaussians, radial

SHAPE = (40, 56)


def direct(y, x, height, sigma):
    rows, cols = np.mgrid[: SHAPE[0], : SHAPE[1]]
    image = np.zeros(SHAPE)
    for y0, x0, h, s in zip(y, x, height, sigma, strict=True):
        image += h * np.exp(-((rows - y0) ** 2 + (cols - x0) ** 2) / (2 * s**2))
    return image


@given(seed=st.integers(0, 10_000), sigma=st.sampled_from([0.4, 1.0, 1.5, 12.0]))
@settings(max_examples=20)
def test_gaussians_are_the_sum_they_say_wherever_they_lie(seed, sigma):
    rng = np.random.default_rng(seed)
    y, x = rng.uniform(-15, 55, 12), rng.uniform(-15, 70, 12)
    height, width = rng.normal(size=12), sigma * rng.uniform(0.7, 1.3, 12)
    tensors = (torch.tensor(v, dtype=torch.float32)[None] for v in (y, x, height, width))
    image = gaussians(*tensors, SHAPE)[0].numpy()
    assert image == pytest.approx(direct(y, x, height, width), abs=2e-4)


def test_spots_of_no_height_change_nothing():
    y, x = torch.tensor([[10.2, 25.0]]), torch.tensor([[20.7, 30.0]])
    alone = gaussians(y[:, :1], x[:, :1], torch.ones(1, 1), torch.full((1, 1), 2.0), SHAPE)
    padded = gaussians(y, x, torch.tensor([[1.0, 0.0]]), torch.full((1, 2), 2.0), SHAPE)
    assert torch.equal(alone, padded)
    assert not gaussians(y, x, torch.zeros(1, 2), torch.ones(1, 2), SHAPE).any()


@given(y=st.floats(-6, 46), x=st.floats(-6, 62), radius=st.floats(0.6, 9.0), other=st.booleans())
@settings(max_examples=40)
def test_discs_are_the_pixels_within_the_radius(y, x, radius, other):
    spots = np.float32([[y, 20.3], [x, 30.8]])
    mask = circular_masks(
        torch.from_numpy(spots[:1]),
        torch.from_numpy(spots[1:]),
        torch.tensor([[1.0, float(other)]]),
        torch.tensor([radius], dtype=torch.float32),
        SHAPE,
    )[0].numpy()
    rows, cols = np.mgrid[: SHAPE[0], : SHAPE[1]]
    distance = np.hypot(rows - spots[0, 0], cols - spots[1, 0])
    if other:
        distance = np.minimum(distance, np.hypot(rows - spots[0, 1], cols - spots[1, 1]))
    certain = np.abs(distance - radius) > 1e-4
    assert np.array_equal(mask[certain] > 0, (distance < radius)[certain])


def test_the_area_of_a_disc_is_that_of_a_circle():
    mask = circular_masks(
        torch.tensor([[20.3]]),
        torch.tensor([[28.1]]),
        torch.ones(1, 1),
        torch.tensor([12.0]),
        SHAPE,
    )
    assert float(mask.sum()) == pytest.approx(math.pi * 144, rel=0.02)


@given(seed=st.integers(0, 10_000))
@settings(max_examples=20)
def test_discs_line_by_line_are_those_at_once(seed):
    """Also where columns stand on pixels, so that some pixels lie on the circle itself."""
    rng = np.random.default_rng(seed)
    y, x = (rng.uniform(-12, 60, 9).round(seed % 2) for _ in range(2))
    radius = rng.uniform(0.5, 10.0) if seed % 3 else float(rng.integers(1, 8))
    numbers = (torch.tensor(v, dtype=torch.float32)[None] for v in (y, x, rng.random(9) < 0.8))
    sample = (*numbers, torch.tensor([radius], dtype=torch.float32), SHAPE)
    assert torch.equal(circular_masks(*sample), radial._discs(*sample))


def test_windows_and_products_give_the_same_spots(monkeypatch):
    rng = np.random.default_rng(3)
    y, x, height = (torch.tensor(rng.uniform(5, 35, (1, 30)), dtype=torch.float32) for _ in "yxh")
    spots = (y, x, height, torch.full_like(y, 1.3), SHAPE)
    images = []
    for price in (0, 10**9):
        monkeypatch.setattr(radial, "WINDOWED", price)
        images.append(gaussians(*spots).numpy())
    tails = 1e-4 * float(height.max())
    assert images[0] == pytest.approx(images[1], abs=tails)


def test_exponentials_do_not_underflow():
    exponent = -torch.logspace(-3, 5, 200)
    found = fading(exponent.clone())
    assert found.numpy() == pytest.approx(np.exp(exponent.double().numpy()), rel=1e-5, abs=1e-18)
    assert (found * found).min() >= torch.finfo(torch.float32).tiny
