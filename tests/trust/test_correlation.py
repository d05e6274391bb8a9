import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from napari_atomseg import simulate
from napari_atomseg.trust import NoiseModel, consistency
from napari_atomseg.trust.consistency import column_excess
from napari_atomseg.trust.correlation import (
    LAGS,
    NoiseCorrelation,
    lagged_products,
    shared_moments,
    white_beyond_optics,
)

EVERYWHERE = np.ones((256, 256), dtype=bool)


def noise_of(length, seed=0):
    noise = ndimage.gaussian_filter(
        np.random.default_rng(seed).normal(size=EVERYWHERE.shape), length, mode="wrap"
    )
    return noise / noise.std()


@pytest.mark.parametrize("seed", range(5))
def test_white_noise_is_white(seed):
    assert NoiseCorrelation.of(noise_of(0.0, seed), EVERYWHERE).white


@pytest.mark.parametrize("length", [(1.0, 1.0), (0.0, 0.8), (0.7, 1.2)])
def test_the_correlation_of_blurred_noise_is_that_of_the_blur(length):
    """White noise blurred by a Gaussian of width s has the correlation exp(-d² / 4 s²)."""
    found = NoiseCorrelation.of(noise_of(length), EVERYWHERE)
    for beside, s in zip(found.beside, length, strict=True):
        assert beside == pytest.approx(np.exp(-0.25 / s**2) if s else 0.0, abs=0.03)


def test_missing_pixels_do_not_count():
    noise, valid = noise_of(1.0), np.random.default_rng(1).random(EVERYWHERE.shape) > 0.3
    found = NoiseCorrelation.of(np.where(valid, noise, 1e6), valid)
    assert found.beside[0] == pytest.approx(np.exp(-0.25), abs=0.03)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(-1.0, 1.0), min_size=9, max_size=9))
def test_no_sum_of_pixels_has_a_negative_variance(values):
    moments = np.array(values).reshape(3, 3)
    moments[0, 0] = 1.0
    noise = NoiseCorrelation.from_moments(moments)
    pattern = np.cos(np.pi * np.add.outer(np.arange(40), np.arange(40)))
    assert noise.kernel[tuple(np.array(noise.kernel.shape) // 2)] == 1.0
    for weights in (np.ones((40, 40)), pattern, np.random.default_rng(0).normal(size=(40, 40))):
        assert noise.excess(weights) > 0.0


def test_a_sum_fluctuates_as_its_correlation_says():
    noise = noise_of(1.0)
    found = NoiseCorrelation.of(noise, EVERYWHERE)
    smooth = ndimage.gaussian_filter(noise, 2.0, mode="wrap")
    white = ndimage.gaussian_filter(noise_of(0.0, 3), 2.0, mode="wrap")
    ratio = smooth.var() / white.var()
    assert column_excess(found, 2.0) == pytest.approx(ratio, rel=0.2)


def test_products_are_those_of_pairs():
    planes = np.random.default_rng(2).normal(size=(3, 4, 7))
    found = lagged_products(planes)
    assert found.shape == (LAGS + 1, LAGS + 1)
    assert found[0, 0] == pytest.approx((planes**2).sum())
    assert found[0, 1] == pytest.approx(2 * (planes[:, :, 1:] * planes[:, :, :-1]).sum())
    assert not found[4:].any()


def test_z_is_standard_normal_where_pixels_share_their_noise():
    image = np.full(EVERYWHERE.shape, 50.0)
    raw = image + 4.0 * noise_of(1.0)
    test = consistency(raw, image, sigma=2.0)
    assert test.correlation[0].beside[0] == pytest.approx(np.exp(-0.25), abs=0.04)
    assert test.spread[0] == pytest.approx(1.0, abs=0.15)
    side = sorted(test.misfit)[1]
    assert test.misfit[side].std() == pytest.approx(1.0, abs=0.2)
    given = consistency(raw, image, noise=NoiseModel(0.0, 4.0), sigma=2.0)
    assert given.correlation[0].white
    assert given.z.std() > 2.0


@pytest.mark.parametrize(("crystal", "sampling"), [("GaAs", 0.15), ("SrTiO3", 0.12)])
def test_noise_beyond_the_optics_is_white_or_not_whatever_the_columns_are(crystal, sampling):
    """Overlapping columns of GaAs leave more over than noise, in patterns of their own."""
    image = simulate(crystal, sampling=sampling, dose=2e4, shape=(192, 192), seed=5).image
    assert white_beyond_optics(image, 2.0)
    for blur in (0.5, 1.0):
        assert not white_beyond_optics(ndimage.gaussian_filter(image, blur), 2.0)
    assert white_beyond_optics(image, 1.0) is None  # No frequencies are left.


def test_the_white_part_of_the_noise_is_measured_beyond_the_optics():
    white = 3.0 * np.random.default_rng(7).normal(size=(256, 256))
    film = 8.0 * noise_of(2.5)[:256, :256]
    assert white_beyond_optics(white, 2.5) == pytest.approx(9.0, rel=0.05)
    assert white_beyond_optics(white + film, 2.5) == pytest.approx(9.0, rel=0.1)


def test_no_correlation_is_beyond_one():
    # Residuals that no noise leaves: the products are larger next to a pixel than at it.
    products = np.zeros((6, 6))
    products[0, 0], products[1, 0] = 1e4, -4e4
    found = shared_moments(products, np.diag(np.full(36, 1e4)))
    assert found is not None
    assert np.abs(found).max() <= 1.1 * found[0, 0]
