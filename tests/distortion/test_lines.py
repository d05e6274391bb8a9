"""Slow detectors and unsteady lines."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from napari_atomseg import distortion
from napari_atomseg.distortion import lines

VIEW = distortion.View(sampling=0.2, width=0.5, shape=(64, 80))


@given(alpha=st.floats(0.2, 6.0))
def test_the_detectors_response_is_a_lorentzian_of_integral_one(alpha):
    response = lines.detector_response(torch.tensor([alpha]), 32)[0]
    assert float(response.sum()) == pytest.approx(1.0, abs=1e-5)
    half = alpha / (2 * math.pi)
    x = torch.arange(32)
    assert torch.allclose(response / response[0], 1 / (1 + (x / half) ** 2), atol=1e-5)


@given(
    beta=st.floats(0.3, 4.0),
    gamma=st.floats(2.0, 30.0),
    theta=st.floats(0.05, math.pi / 2),
)
def test_the_readouts_response_is_a_damped_oscillation_of_integral_one(beta, gamma, theta):
    numbers = (torch.tensor([v], dtype=torch.float64) for v in (beta, gamma, theta))
    response = lines.readout_response(*numbers, 32)[0].numpy()
    assert response.sum() == pytest.approx(1.0)
    # The sum of a geometric series of complex ratio, in closed form.
    ratio = np.exp(-1 / beta + 2j * np.pi / gamma)
    total = (np.exp(1j * theta) * (1 - ratio**32) / (1 - ratio)).imag
    wave = np.exp(-np.arange(32) / beta) * np.sin(2 * np.pi * np.arange(32) / gamma + theta)
    np.testing.assert_allclose(response, wave / total, rtol=1e-5, atol=1e-6)


def test_a_fast_scan_smears_a_point_along_its_line_only():
    detector = lines.detector_response(torch.tensor([3.0]), 32)
    readout = lines.readout_response(*(torch.tensor([v]) for v in (1.5, 12.0, 0.8)), 32)
    image = torch.zeros(1, 5, 128)
    image[0, 2, 30] = 1.0
    smeared = lines.fast_scan(image, detector, readout)[0]
    expected = np.convolve(detector[0].numpy(), readout[0].numpy())
    np.testing.assert_allclose(smeared[2, 30 : 30 + 63].numpy(), expected, atol=1e-6)
    assert float(smeared[2, :30].abs().max()) < 1e-6
    assert float(smeared[[0, 1, 3, 4]].abs().max()) < 1e-6
    assert float(smeared.sum()) == pytest.approx(1.0, abs=1e-5)


def test_a_fast_scan_keeps_an_even_image(batch, generators):
    part = distortion.FastScan()
    values = batch(part.draw(np.random.default_rng(0), VIEW))
    image = torch.full((1, 8, 80), 0.6)
    assert torch.allclose(part.apply(image, values, generators(1)), image, atol=1e-5)


@given(decay=st.floats(0.0, 0.8))
def test_scan_blur_keeps_the_intensity_and_trails_along_the_line(decay):
    image = torch.zeros(1, 8, 64)
    image[0, 3, 10] = 1.0
    blurred = lines.scan_blur(image, torch.tensor([decay]))[0, 3]
    assert float(blurred.sum()) == pytest.approx(1.0, abs=1e-4)
    trail = (1 - decay) * decay ** torch.arange(5.0)
    assert torch.allclose(blurred[10:15], trail.float(), atol=1e-4)


def test_line_noise_is_constant_along_a_line(generators):
    image = torch.ones(1, 200, 16)
    noisy = lines.line_noise(image, torch.tensor([0.1]), torch.tensor([0.0]), generators(1))
    assert torch.allclose(noisy, noisy[..., :1].expand_as(noisy))
    assert float(noisy[0, :, 0].std()) == pytest.approx(0.1, rel=0.2)


def test_row_lines_show_a_multiple_of_their_mean():
    image = torch.rand(1, 21, 40)
    stretch = torch.tensor([[[3.0, -4.5, 10.0, 1.4], [0.0, 0.0, 0.0, 1.2]]])
    result = lines.row_lines(image, stretch)
    expected = image.clone()
    expected[0, 13, 15:25] = 1.4 * image[0, 13, 15:25].mean()
    assert torch.allclose(result, expected)


def test_drawn_row_lines_lie_in_the_image_and_number_as_asked():
    rng = np.random.default_rng(0)
    part = distortion.RowLines(count=(2, 5), length=(0.2, 0.4))
    counts = set()
    for _ in range(100):
        drawn = part.draw(rng, VIEW)["lines"]
        used = drawn[drawn[:, 2] > 0]
        counts.add(len(used))
        assert (np.abs(used[:, 0]) <= 31.5).all()
        assert (used[:, 1] >= -40).all()
        assert (used[:, 1] + used[:, 2] <= 40).all()
        assert ((used[:, 2] >= 16) & (used[:, 2] <= 32)).all()
    assert counts == {2, 3, 4, 5}
