"""The camera's transfer function and noise have their closed forms."""

import math

import numpy as np
import pytest
import torch

from napari_atomseg import distortion
from napari_atomseg.distortion import camera

VIEW = distortion.View(sampling=0.1, width=0.5, shape=(64, 64))


def number(*values):
    return torch.tensor(values)


def test_transfer_at_the_nyquist_frequency():
    stripes = torch.ones(1, 2, 32, 32)
    stripes[..., 1::2] = -1.0
    image = 3.0 + stripes
    a, b, c = 0.7, 0.4, 0.9
    blurred = camera.transfer(image, number(a), number(b), number(c))
    radial = a * math.exp(-1 / (2 * b**2)) + (1 - a) * math.exp(-1 / (2 * c**2))
    assert torch.allclose(blurred, 3.0 + stripes * radial * 2 / math.pi, atol=1e-5)
    turned = camera.transfer(image.mT, number(a), number(b), number(c))
    assert torch.allclose(turned, blurred.mT, atol=1e-5)


def test_drawn_transfer_functions_are_positive_and_fall():
    rng = np.random.default_rng(0)
    g = np.linspace(0, 10, 1000)
    beyond_one = 0
    for _ in range(200):
        drawn = distortion.CameraTransfer().draw(rng, VIEW)
        a, b, c = drawn["a"], drawn["b"], drawn["c"]
        radial = a * np.exp(-(g**2) / (2 * b**2)) + (1 - a) * np.exp(-(g**2) / (2 * c**2))
        assert radial.min() >= 0
        assert np.diff(radial).max() <= 0
        beyond_one += a > 1
    assert beyond_one


def test_ranges_without_a_transfer_function_are_named():
    part = distortion.CameraTransfer(a=(3.0, 3.0), b=(0.2, 0.2), c=(1.0, 1.0))
    with pytest.raises(ValueError, match="mtf: no positive and falling function"):
        part.draw(np.random.default_rng(0), VIEW)


def test_fixed_pattern_scales_with_the_signal(generators):
    image = torch.zeros(1, 200, 200)
    image[:, 100:] = 4.0
    noisy = camera.fixed_pattern(image, number(0.05), generators(1))
    assert torch.equal(noisy[:, :100], image[:, :100])
    assert float(noisy[:, 100:].std()) == pytest.approx(0.2, rel=0.03)


def test_dark_current_has_the_moments_of_its_two_stages(generators):
    image = torch.ones(1, 400, 400)
    mean, deviation, counts = 6.0, 2.0, 50.0
    dark = camera.dark_current(
        image, number(mean), number(deviation), number(0.0), number(counts), generators(1)
    )
    added = (dark - image) * counts
    assert float(added.mean()) == pytest.approx(mean, rel=0.01)
    assert float(added.var()) == pytest.approx(mean + deviation**2, rel=0.05)


def test_hot_pixels_of_the_dark_current_lie_far_above_its_mean(generators):
    image = torch.zeros(1, 400, 400)
    mean, deviation, hot = 400.0, 40.0, 0.1
    dark = camera.dark_current(
        image, number(mean), number(deviation), number(hot), number(1.0), generators(1)
    )
    extra = hot * (mean + 6.5 * deviation)
    assert float(dark.mean()) == pytest.approx(mean + extra, rel=0.02)
    assert float((dark > mean + 5 * deviation).float().mean()) == pytest.approx(hot, rel=0.1)


def test_no_dark_current_leaves_the_image_as_it_is(generators):
    image = torch.rand(1, 32, 32)
    zero = number(0.0)
    dark = camera.dark_current(image, zero, zero, number(0.5), number(10.0), generators(1))
    assert torch.equal(dark, image)


@pytest.mark.parametrize("shape", [(128, 128), (96, 129)])
def test_flicker_power_falls_with_the_square_of_frequency(shape, generators):
    count = 24
    noise = camera.flicker(torch.zeros(count, *shape), torch.full((count,), 0.3), generators(count))
    assert float(noise.mean(dim=(1, 2)).abs().max()) < 1e-5
    assert float((noise**2).mean().sqrt()) == pytest.approx(0.3, rel=0.05)
    power = (torch.fft.fft2(noise).abs() ** 2).mean(dim=0).numpy()
    f = np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.fftfreq(shape[1]))
    slope = np.polyfit(np.log(f[f > 0]), np.log(power[f > 0]), 1)[0]
    assert slope == pytest.approx(-2.0, abs=0.03)


def test_reset_noise_is_one_offset_a_row(generators):
    noise = camera.reset_noise(torch.zeros(1, 4000, 3), number(0.2), generators(1))[0]
    assert torch.equal(noise, noise[:, :1].expand_as(noise))
    assert float(noise[:, 0].std()) == pytest.approx(0.2, rel=0.05)


def test_readout_noise_and_hot_pixels_have_their_rates(generators):
    image = torch.zeros(1, 256, 256)
    noisy = camera.readout_noise(image, number(0.2), generators(1))
    assert float(noisy.std()) == pytest.approx(0.2, rel=0.02)
    struck = camera.hot_pixels(image, number(0.01), number(3.0), generators(1))
    assert float((struck > 0).float().mean()) == pytest.approx(0.01, rel=0.15)
    assert float(struck.max()) <= 3.0


def test_white_noise_has_the_ratio_of_variances_that_was_asked_for(generators):
    image = torch.rand(1, 256, 256) * 3 + 7
    values = {"ratio": torch.tensor([2.35])}
    noise = distortion.WhiteNoise().apply(image, values, generators(1)) - image
    assert float(image.var() / noise.var()) == pytest.approx(2.35, rel=0.03)
    assert abs(float(noise.mean())) < 0.01
