import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_atomseg.analysis import psnr, ssim


@pytest.fixture
def truth():
    y, x = np.mgrid[:64, :80]
    return np.sin(y / 5.0) * np.cos(x / 7.0)


def test_psnr_is_the_decibels_of_range_over_error(truth):
    assert psnr(truth + 0.02 * np.ptp(truth), truth) == pytest.approx(20 * np.log10(50))


@settings(max_examples=20, deadline=None)
@given(gain=st.floats(0.01, 100), offset=st.floats(-50, 50))
def test_affine_psnr_does_not_depend_on_units(gain, offset):
    rng = np.random.default_rng(1)
    truth = rng.random((40, 40))
    noisy = truth + 0.1 * rng.standard_normal(truth.shape)
    first = psnr(noisy, truth, affine=True)
    assert psnr(gain * noisy + offset, truth, affine=True) == pytest.approx(first, abs=1e-6)
    assert first >= psnr(noisy, truth)


def test_masked_pixels_do_not_count(truth):
    holed = truth + 0.1
    expected = psnr(holed, truth)
    holed[:5] = np.nan
    assert psnr(holed, truth) == pytest.approx(expected, rel=0.02)


def test_equal_images_are_infinitely_good(truth):
    assert psnr(truth, truth) == np.inf
    assert ssim(truth, truth) == pytest.approx(1.0)


def test_a_constant_image_fits_nothing_of_the_truth(truth):
    spread = np.ptp(truth) / truth.std()
    assert psnr(np.full_like(truth, 7.0), truth, affine=True) == pytest.approx(
        20 * np.log10(spread)
    )


def test_ssim_falls_with_noise(truth):
    noise = np.random.default_rng(0).standard_normal(truth.shape)
    values = [ssim(truth + level * noise, truth) for level in (0.05, 0.2, 0.8)]
    assert values == sorted(values, reverse=True)
    blurred = ssim(3.0 * truth + 5.0, truth, affine=True)
    assert blurred == pytest.approx(1.0)


def test_bad_arguments_are_named(truth):
    with pytest.raises(ValueError, match="shape"):
        psnr(truth[1:], truth)
    with pytest.raises(ValueError, match="finite"):
        psnr(np.full_like(truth, np.nan), truth)
    with pytest.raises(ValueError, match="finite"):
        ssim(np.where(truth > 0, truth, np.nan), truth)
    with pytest.raises(ValueError, match="constant"):
        ssim(truth, np.ones_like(truth))


def test_psnr_against_a_given_peak(truth):
    """Ten times the peak is 20 dB more; there is no ratio to a peak of nothing."""
    image = truth + 0.1
    assert psnr(image, truth, peak=1.0) == pytest.approx(20.0)
    assert psnr(image, truth, peak=10.0) == pytest.approx(40.0)
    assert np.isnan(psnr(image, truth, peak=0.0))
