"""Exact zeros in plenty: missing pixels, or the low end of counts."""

import numpy as np
import pytest

import napari_atomseg as atomseg
from napari_atomseg.inference.frames import examine
from napari_atomseg.inference.missing import find_missing

SIDE = 200
Y, X = np.mgrid[:SIDE, :SIDE]
WAVES = 1.0 + 0.8 * np.cos(0.5 * Y) * np.cos(0.5 * X)
"""A lattice of mean 1, from 0.2 to 1.8."""


def holes(part, seed=0):
    return np.random.default_rng(seed).random((SIDE, SIDE)) < part


def images():
    rng = np.random.default_rng(1)
    haadf = atomseg.simulate("SrTiO3", shape=(SIDE, SIDE), dose=1e6, seed=1).image
    return {
        "counts, 12 a pixel": rng.poisson(12 * WAVES),
        "counts, 400 a pixel": rng.poisson(400 * WAVES),
        "counts of some gain": 137.3 * rng.poisson(20 * WAVES),
        "noise about a level": WAVES + 3 + rng.normal(0, 0.4, WAVES.shape),
        "no noise": WAVES,
        "offset": 3e4 + 100 * WAVES + rng.normal(0, 10, WAVES.shape),
        "dark field": haadf,
        "8 bits": np.clip(np.rint(100 * WAVES + rng.normal(0, 5, WAVES.shape)), 1, 255),
    }


IMAGES = images()


@pytest.mark.parametrize("part", [0.1, 0.3])
@pytest.mark.parametrize("name", IMAGES)
def test_zeros_that_were_put_in_are_missing(name, part):
    image = IMAGES[name].astype(np.float32)
    missing = holes(part)
    image[missing] = 0.0
    found = find_missing(image)
    assert (found & missing).sum() > 0.999 * missing.sum()
    # Of 12 counts, and 2.4 in the dark, a few are zero by themselves.
    assert (found & ~missing).sum() < 0.005 * image.size


def whole_images():
    rng = np.random.default_rng(2)
    counts = {f"{mean} counts": rng.poisson(mean * WAVES) for mean in (0.02, 0.3, 1, 3, 6, 7.5)}
    # Electrons whose pulses are counted in analogue: nothing, or about 100.
    pulses = {
        f"pulses, {mean} a pixel, ± {width}": np.where(
            (number := rng.poisson(mean, WAVES.shape)) > 0,
            100 * number + rng.normal(0, width, WAVES.shape),
            0,
        )
        for mean in (0.2, 0.7, 1.5)
        for width in (2, 10, 30)
    }
    cut = {
        f"cut off at {low} deviations": np.clip(rng.normal(-low, 1, WAVES.shape), 0, None)
        for low in (-2, -1, 0, 1)
    }
    bright = WAVES > 1.3
    lattice = np.clip(WAVES - 0.8 + rng.normal(0, 0.05, WAVES.shape), 0, None)
    return counts | pulses | cut | {"mask": bright, "background cut off": lattice}


WHOLE = whole_images()


@pytest.mark.parametrize("name", WHOLE)
def test_zeros_of_the_image_are_none(name):
    image = WHOLE[name].astype(np.float32)
    assert (image == 0).mean() > 0.01
    assert not find_missing(image).any()


@pytest.mark.parametrize("dose", [300.0, 3e3, 1e4])
def test_counts_of_low_dose_are_left_as_they_are(dose):
    image = atomseg.simulate("Au", shape=(SIDE, SIDE), sampling=0.12, dose=dose, seed=1).image
    assert (image == 0).mean() > 0.2
    assert examine(image).notes == ()
    assert not examine(image).out.any()


def test_lines_are_missing_and_borders_are_borders():
    image = (WAVES + 1.0).astype(np.float32)
    image[::9] = 0.0
    image[:, :40] = 0.0
    found = find_missing(image)
    assert found[::9, 50:].mean() > 0.99
    assert not found[:, :38].any()
    assert not found[4::9].any()


def test_a_few_zeros_are_none():
    image = (WAVES + 1.0).astype(np.float32)
    image[holes(0.005)] = 0.0
    assert not find_missing(image).any()
    assert not find_missing(np.zeros((SIDE, SIDE), np.float32)).any()
    assert not find_missing(np.zeros((3, 3), np.float32)).any()


@pytest.mark.slow
def test_missing_zeros_are_as_good_as_pixels_without_a_number():
    simulation = atomseg.simulate("Si", (1, 1, 0), (SIDE, SIDE), 0.1, 1e6, background=0.1, seed=3)
    zeros, numbers = simulation.image.copy(), simulation.image.copy()
    zeros[holes(0.2)], numbers[holes(0.2)] = 0.0, np.nan
    first, second = (atomseg.localize(i, sampling=0.1, refine="none") for i in (zeros, numbers))
    assert np.array_equal(first[["y", "x"]], second[["y", "x"]])
    assert first.attrs["notes"][0].startswith("20 % of the pixels are exact zeros")
    whole = atomseg.localize(simulation.image, sampling=0.1, refine="none")
    f1 = [atomseg.analyze.scores(each, simulation.columns, radius=3).f1 for each in (whole, first)]
    assert f1[1] > f1[0] - 0.01
