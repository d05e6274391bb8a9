import sys
import types

import numpy as np
import pytest
from scipy import ndimage

from napari_atomseg import simulate
from napari_atomseg.analysis import psnr
from napari_atomseg.evaluation.baselines import FILTERS, WIDTHS, gaussian, image_noise


@pytest.fixture(scope="module")
def made():
    return simulate("SrTiO3", shape=(96, 96), sampling=0.15, dose=5e3, jitter=0.0, seed=2)


def test_noise_of_counts_is_found(made):
    noise = image_noise(made.image)
    assert noise.gain * made.facts["counts"] == pytest.approx(1.0, abs=0.25)


@pytest.mark.parametrize("name", ["gaussian", "wiener", "nlm"])
def test_filters_gain_decibels(made, name):
    filtered = FILTERS[name](made.image)
    assert filtered.dtype == np.float32
    assert psnr(filtered, made.ideal) > psnr(made.image, made.ideal) + 4


@pytest.mark.parametrize("name", ["gaussian", "wiener", "nlm"])
def test_filters_do_not_depend_on_units(made, name):
    filtered = FILTERS[name](made.image)
    again = FILTERS[name](1e4 * made.image)
    np.testing.assert_allclose(again, 1e4 * filtered, rtol=2e-3, atol=20)


def test_width_of_the_gaussian_filter_is_near_the_best_there_is(made):
    every = [psnr(ndimage.gaussian_filter(made.image, w), made.ideal) for w in WIDTHS]
    assert psnr(gaussian(made.image), made.ideal) > max(every) - 0.3


def test_bm3d_is_given_noise_of_deviation_one(made, monkeypatch):
    given = []

    def keep(image, deviation):
        given.append((image, deviation))
        return image

    monkeypatch.setitem(sys.modules, "bm3d", types.SimpleNamespace(bm3d=keep))
    ramp = np.linspace(20, 200, 64 * 64).reshape(64, 64)
    bright = np.random.default_rng(0).poisson(ramp).astype(np.float32)
    back = FILTERS["bm3d"](bright)
    image, deviation = given[0]
    assert np.diff(image).std() == pytest.approx(np.sqrt(2) * deviation, rel=0.1)
    # The inverse is that of a mean: a single value comes back as a quarter count more.
    assert np.mean(back - bright) == pytest.approx(0.25, abs=0.1)


def test_bm3d_that_is_not_there_is_named(made, monkeypatch):
    monkeypatch.setitem(sys.modules, "bm3d", None)
    with pytest.raises(ImportError, match=r"napari-atomseg\[bm3d\].*non-commercial"):
        FILTERS["bm3d"](made.image)
