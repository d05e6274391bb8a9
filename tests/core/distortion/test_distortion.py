"""Distortions obey their statistics."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from napari_atomseg import distortion


def generators(count, seed=0):
    return [torch.Generator().manual_seed(seed + i) for i in range(count)]


@given(level=st.floats(0.05, 2.0), dose=st.floats(5.0, 1e4))
def test_shot_noise_has_poisson_mean_and_variance(level, dose):
    image = torch.full((1, 128, 128), level)
    noisy = distortion.shot_noise(image, torch.tensor([dose]), generators(1))
    expected = level / dose
    assert float(noisy.mean()) == pytest.approx(level, abs=6 * (expected / 128**2) ** 0.5)
    assert float(noisy.var()) == pytest.approx(expected, rel=0.12)


def test_infinite_dose_leaves_the_image_as_it_is():
    image = torch.rand((2, 16, 16))
    doses = torch.tensor([float("inf"), 10.0])
    noisy = distortion.shot_noise(image, doses, generators(2))
    assert torch.equal(noisy[0], image[0])
    assert not torch.equal(noisy[1], image[1])


@pytest.mark.parametrize("phi", [0.0, 0.6])
def test_line_shifts_have_the_deviation_and_correlation_asked_for(phi):
    shifts = distortion.line_shifts(
        4096, torch.tensor([0.5]), torch.tensor([phi]), torch.zeros(1, 2), generators(1)
    )[0, :, 1]
    assert float(shifts.std()) == pytest.approx(0.5, rel=0.06)
    neighbours = torch.corrcoef(torch.stack([shifts[1:], shifts[:-1]]))[0, 1]
    assert float(neighbours) == pytest.approx(phi, abs=0.06)


def test_lines_are_moved_by_the_shift_given():
    y, x = torch.meshgrid(torch.arange(48.0), torch.arange(64.0), indexing="ij")

    def spot(cy, cx):
        return torch.exp(-((y - cy) ** 2 + (x - cx) ** 2) / (2 * 4.0**2))[None]

    shifts = torch.zeros(1, 48, 2)
    shifts[0, :, 0], shifts[0, :, 1] = 0.25, -0.5
    moved = distortion.shift_lines(spot(24.0, 32.0), shifts)
    assert torch.allclose(moved, spot(24.25, 31.5), atol=2e-3)


def test_straight_slopes_stay_straight_between_lines():
    y = torch.arange(32.0)[None, :, None].expand(1, 32, 64)
    shifts = torch.zeros(1, 32, 2)
    shifts[0, :, 0] = torch.linspace(-1.0, 1.0, 32)
    moved = distortion.shift_lines(y, shifts)[0, 4:-4, 0]
    assert torch.allclose(moved, (y[0, :, 0] - shifts[0, :, 0])[4:-4], atol=1e-4)


@given(decay=st.floats(0.0, 0.8))
def test_scan_blur_keeps_the_intensity_and_trails_along_the_line(decay):
    image = torch.zeros(1, 8, 64)
    image[0, 3, 10] = 1.0
    blurred = distortion.scan_blur(image, torch.tensor([decay]))[0, 3]
    assert float(blurred.sum()) == pytest.approx(1.0, abs=1e-4)
    trail = (1 - decay) * decay ** torch.arange(5.0)
    assert torch.allclose(blurred[10:15], trail.float(), atol=1e-4)


def test_line_noise_is_constant_along_a_line():
    image = torch.ones(1, 200, 16)
    noisy = distortion.line_noise(image, torch.tensor([0.1]), torch.tensor([0.0]), generators(1))
    assert torch.allclose(noisy, noisy[..., :1].expand_as(noisy))
    assert float(noisy[0, :, 0].std()) == pytest.approx(0.1, rel=0.2)


def test_readout_noise_and_hot_pixels_have_their_rates():
    image = torch.zeros(1, 256, 256)
    noisy = distortion.readout_noise(image, torch.tensor([0.2]), generators(1))
    assert float(noisy.std()) == pytest.approx(0.2, rel=0.02)
    struck = distortion.hot_pixels(image, torch.tensor([0.01]), torch.tensor([3.0]), generators(1))
    assert float((struck > 0).float().mean()) == pytest.approx(0.01, rel=0.15)
    assert float(struck.max()) <= 3.0
