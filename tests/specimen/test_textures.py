"""Pictures without columns: the statistics that make each what it is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy import stats

from napari_atomseg.specimen.matter import textures
from napari_atomseg.specimen.matter.textures import TextureRecipe

SHAPE = (192, 200)
KINDS = TextureRecipe().kinds


def autocorrelation(picture):
    """Of a periodic picture, 1 at no distance."""
    power = np.abs(np.fft.fft2(picture - picture.mean())) ** 2
    found = np.fft.ifft2(power).real
    return found / found[0, 0]


@given(length=st.floats(0.8, 4.0), seed=st.integers(0, 100))
@settings(max_examples=20, deadline=None)
def test_speckle_is_correlated_over_its_length_and_normal(length, seed):
    picture = textures.speckle(np.random.default_rng(seed), (256, 256), length)
    assert picture.std() == pytest.approx(1.0)
    for distance in (1, 2, 4):
        expected = np.exp(-(distance**2) / (4 * length**2))
        found = autocorrelation(picture)
        assert found[0, distance] == pytest.approx(expected, abs=0.12)
        assert found[distance, 0] == pytest.approx(expected, abs=0.12)
    assert abs(stats.skew(picture.ravel())) < 0.6


def test_a_film_of_few_atoms_is_skewed_as_counts_are():
    rng = np.random.default_rng(0)
    skews = []
    for density in (0.4, 1.6, 6.4):
        picture = textures.film(rng, (512, 512), 2.0, density)
        assert picture.mean() == pytest.approx(2 * np.pi * density, rel=0.05)
        skews.append(stats.skew(picture.ravel()))
    # Campbell's theorem: the skewness falls with the root of the density.
    assert skews[0] == pytest.approx(2 * skews[1], rel=0.35)
    assert skews[1] == pytest.approx(2 * skews[2], rel=0.35)


@given(period=st.floats(5.0, 20.0), seed=st.integers(0, 50))
@settings(max_examples=30, deadline=None)
def test_fringes_have_one_direction_and_no_lattice(period, seed):
    picture = textures.fringes(np.random.default_rng(seed), SHAPE, period)
    rows, cols = np.fft.fftfreq(SHAPE[0])[:, None], np.fft.fftfreq(SHAPE[1])
    window = np.outer(np.hanning(SHAPE[0]), np.hanning(SHAPE[1]))
    power = np.abs(np.fft.fft2((picture - picture.mean()) * window)) ** 2
    # The tensor of the spectrum's second moments has one long axis.
    moments = np.array(
        [
            [(power * rows**2).sum(), (power * rows * cols).sum()],
            [(power * rows * cols).sum(), (power * cols**2).sum()],
        ]
    )
    short, long = np.linalg.eigvalsh(moments)
    assert short < 0.3 * long


def test_natural_noise_falls_as_its_exponent_says():
    rng = np.random.default_rng(1)
    frequency = np.hypot(np.fft.fftfreq(256)[:, None], np.fft.fftfreq(256))
    for exponent in (1.5, 3.0):
        power = np.mean(
            [np.abs(np.fft.fft2(textures.natural(rng, (256, 256), exponent))) ** 2 for _ in "1234"],
            axis=0,
        )
        some = (frequency > 0.02) & (frequency < 0.4)
        slope = np.polyfit(np.log(frequency[some]), np.log(power[some]), 1)[0]
        assert slope == pytest.approx(-exponent, abs=0.1)


def test_edges_are_steps_between_even_parts():
    picture = textures.edges(np.random.default_rng(2), SHAPE, 1)
    assert 0.3 <= np.ptp(picture) <= 1.0
    slope = np.hypot(*np.gradient(picture))
    assert (slope > 0.05 * slope.max()).mean() < 0.25


@pytest.mark.parametrize("kind", KINDS)
def test_a_recipe_gives_each_kind_its_contrast(kind):
    recipe = TextureRecipe(kinds=(kind,), contrast=(0.2, 0.2), second=0.0, part=0.0)
    for seed in range(4):
        picture = recipe.draw(np.random.default_rng(seed), SHAPE)
        assert picture.shape == SHAPE
        assert picture.min() == 0.0
        assert picture.std() == pytest.approx(0.2, rel=1e-6)
        again = recipe.draw(np.random.default_rng(seed), SHAPE)
        np.testing.assert_array_equal(picture, again)


def test_a_texture_may_cover_a_side_alone():
    recipe = TextureRecipe(kinds=("speckle",), second=0.0, part=1.0)
    bare = [
        np.unique(recipe.draw(np.random.default_rng(s), SHAPE), return_counts=True)[1].max()
        for s in range(8)
    ]
    assert max(bare) > 0.2 * np.prod(SHAPE)


def test_senseless_textures_are_refused():
    for wrong in ({"kinds": ()}, {"kinds": ("clouds",)}, {"period": (0, 3)}, {"part": 2.0}):
        with pytest.raises(ValidationError):
            TextureRecipe(**wrong)
