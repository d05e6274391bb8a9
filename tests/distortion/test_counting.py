"""Counting statistics obey Poisson's law."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy import stats
from scipy.special import ndtri

from napari_atomseg.distortion import View, counting
from napari_atomseg.distortion.counting import Photomultiplier, Shot, shot_noise

VIEW = View(sampling=0.1, width=0.45, shape=(64, 64))
QUANTILES = torch.from_numpy(ndtri((np.arange(400_000) + 0.5) / 400_000)).float()


@pytest.mark.parametrize("mean", [0.0, 0.02, 0.7, 2.9, 3.1, 5.0, 12.0, 60.0, 900.0])
def test_counts_are_poisson_distributed(mean):
    counts = counting.poisson(torch.full_like(QUANTILES, mean), QUANTILES).numpy()
    assert (counts == counts.round()).all()
    assert counts.min() >= 0
    found = np.bincount(counts.astype(int)) / len(counts)
    exact = stats.poisson.pmf(np.arange(len(found)), mean)
    assert 0.5 * np.abs(found - exact).sum() < 1.5e-3
    assert counts.mean() == pytest.approx(mean, rel=1e-3)
    assert counts.var() == pytest.approx(mean, rel=2e-3)


@pytest.mark.parametrize("brightest", [0.01, 1.0, 2.9, 6.0, 300.0])
def test_counts_of_a_pixel_do_not_depend_on_the_others(brightest):
    generator = torch.Generator().manual_seed(0)
    expected = brightest * torch.rand(20, 15, generator=generator)
    deviate = torch.randn(20, 15, generator=generator)
    alone = [
        counting.poisson(e[None], d[None])
        for e, d in zip(expected.flatten(), deviate.flatten(), strict=True)
    ]
    assert torch.equal(counting.poisson(expected, deviate), torch.cat(alone).view(20, 15))


def test_counts_of_few_and_many_electrons_mix_in_one_image():
    expected = torch.tensor([0.5, 40.0]).repeat_interleave(2)
    deviate = torch.tensor([-1.0, 1.0, -1.0, 1.0])
    mixed = counting.poisson(expected, deviate)
    apart = torch.cat([counting.poisson(expected[i], deviate[i]) for i in (slice(2), slice(2, 4))])
    assert torch.equal(mixed, apart)


@given(level=st.floats(0.05, 2.0), dose=st.floats(5.0, 1e4))
def test_shot_noise_has_poisson_mean_and_variance(level, dose):
    image = torch.full((1, 128, 128), level)
    noisy = shot_noise(image, torch.tensor([dose]), [torch.Generator().manual_seed(0)])
    expected = level / dose
    assert float(noisy.mean()) == pytest.approx(level, abs=6 * (expected / 128**2) ** 0.5)
    assert float(noisy.var()) == pytest.approx(expected, rel=0.12)


def test_infinite_dose_leaves_the_image_as_it_is(generators):
    image = torch.rand((2, 16, 16))
    doses = torch.tensor([float("inf"), 10.0])
    noisy = shot_noise(image, doses, generators(2))
    assert torch.equal(noisy[0], image[0])
    assert not torch.equal(noisy[1], image[1])


def test_pulses_of_single_electrons_widen_the_noise(generators):
    dose, pulse = torch.tensor([40.0]), torch.tensor([0.8])
    image = torch.full((1, 256, 256), 0.5)
    noisy = counting.photomultiplier_noise(image, dose, pulse, generators(1))
    assert float(noisy.mean()) == pytest.approx(0.5, rel=0.01)
    assert float(noisy.var()) == pytest.approx(0.5 / 40.0 * (1 + 0.8**2), rel=0.03)


def test_width_of_the_pulse():
    assert counting.pulse_deviation(100.0, 0.25, 5.0, 0.0) == pytest.approx(0.2)
    assert counting.pulse_deviation(1e12, 1.0, 1e12, 0.3) == pytest.approx(0.3)
    drawn = Photomultiplier().draw(np.random.default_rng(0), VIEW)
    assert 0.0 < drawn["pulse"] < 1.0


def test_dose_is_said_in_electrons_of_an_area_or_of_a_column():
    rng = np.random.default_rng(0)
    area = Shot(dose=(5000, 5000), collected=(0.1, 0.1)).draw(rng, VIEW)
    assert area["counts"] == pytest.approx(5000 * 0.1 * 0.1**2)
    column = Shot(electrons_per_column=(700, 700)).draw(rng, VIEW)
    y, x = np.mgrid[-40:41, -40:41] * VIEW.sampling
    peak = np.exp(-(y**2 + x**2) / (2 * VIEW.width**2))
    assert column["counts"] * peak.sum() == pytest.approx(700, rel=1e-6)


def test_mean_counts_are_those_of_the_image(generators, batch):
    part = Shot(mean_counts=(30, 30))
    image = torch.rand(1, 128, 128) * 7.0
    values = batch(part.draw(np.random.default_rng(0), VIEW))
    dose = part.counts_at_one(image, values)
    assert float((image * dose).mean()) == pytest.approx(30, rel=1e-4)
    noisy = part.apply(image, values, generators(1))
    assert float(((noisy - image) ** 2).mean()) == pytest.approx(3.5**2 / 30, rel=0.05)


def test_low_doses_are_the_likeliest():
    rng = np.random.default_rng(0)
    drawn = [Shot().draw(rng, VIEW)["mean_counts"] for _ in range(4000)]
    assert min(drawn) >= 0.5
    assert max(drawn) <= 750.0
    share = (np.mean(drawn) - 0.5) / 749.5
    assert share == pytest.approx(0.5 - 1 / math.expm1(2.0), abs=0.02)


def test_spreads_keep_to_their_range():
    rng = np.random.default_rng(0)
    for spread, middle in (("uniform", 505.0), ("log-uniform", 100.0)):
        part = Shot(counts=(10.0, 1000.0), spread=spread)
        drawn = [part.draw(rng, VIEW)["counts"] for _ in range(2000)]
        assert np.median(drawn) == pytest.approx(middle, rel=0.15)
        assert min(drawn) >= 10.0
        assert max(drawn) <= 1000.0


def test_a_dose_said_twice_is_refused():
    with pytest.raises(ValidationError, match="one way"):
        Shot(counts=(1, 2), mean_counts=(1, 2))
