from __future__ import annotations

import numpy as np
import pytest

import napari_atomseg as atomseg
from napari_atomseg.trust import NoiseModel, consistency

COUNTED = NoiseModel(gain=1.0)


@pytest.fixture(scope="module")
def counts(lattice):
    return np.random.default_rng(7).poisson(lattice.image).astype(np.float64)


def test_where_the_restoration_is_right_z_is_standard_normal(lattice, counts):
    test = consistency(counts, lattice.image, noise=COUNTED, sigma=lattice.sigma)
    independent = counts.size / (4 * np.pi * lattice.sigma**2)
    assert abs(test.z.mean()) < 4 / np.sqrt(independent)
    assert test.z.std() == pytest.approx(1.0, abs=4 / np.sqrt(2 * independent))
    assert test.residual.std() == pytest.approx(1.0, abs=0.02)
    assert np.mean(test.p_value < 0.05) == pytest.approx(0.05, abs=0.02)


@pytest.mark.parametrize("scale", range(3))
def test_local_chi_square_is_standard_normal_at_a_few_electrons(scale, lattice, counts):
    test = consistency(counts, lattice.image, noise=COUNTED, sigma=lattice.sigma)
    side = sorted(test.misfit)[scale]
    plane = test.misfit[side]
    independent = counts.size / side**2
    assert abs(plane.mean()) < 0.05 + 4 / np.sqrt(independent)
    assert plane.std() == pytest.approx(1.0, abs=0.06 + 4 / np.sqrt(2 * independent))


@pytest.mark.parametrize("noise", [COUNTED, None])
@pytest.mark.parametrize("share", [-1.0, 1.0, 0.5])
def test_an_invented_column_is_negative_and_a_removed_one_positive(noise, share, lattice, counts):
    """z is the column's height times the root of the Fisher information Σ g² / v."""
    light = lattice.column(lattice.middle)
    wrong = lattice.image + share * light
    test = consistency(counts, wrong, noise=noise, sigma=lattice.sigma)
    shape = light / lattice.height
    expected = -share * lattice.height * np.sqrt((shape**2 / np.maximum(wrong, 1.0)).sum())
    z = test.z[lattice.pixel(lattice.middle)]
    assert z == pytest.approx(expected, abs=3.5 + 0.1 * abs(expected))
    others = np.delete(np.arange(len(lattice.y)), lattice.middle)
    pixels = np.rint(np.stack([lattice.y, lattice.x])[:, others]).astype(int)
    inside = (pixels < 256).all(axis=0)
    assert np.abs(test.z[tuple(pixels[:, inside])]).max() < 4.5
    assert ("too much" in test.summary()) == (abs(z) > 4)


def test_the_noise_is_learned_from_the_pair(lattice):
    rng = np.random.default_rng(1)
    raw = 0.02 * rng.poisson(lattice.image) + rng.normal(scale=0.03, size=lattice.image.shape)
    noise = consistency(raw, 0.02 * lattice.image, sigma=2.0).noise[0]
    assert noise.gain == pytest.approx(0.02, rel=0.05)
    darkest = 0.02 * 0.02 * lattice.image.min() + 0.03**2
    assert noise.readout**2 == pytest.approx(darkest, rel=0.15)
    assert max(noise.jitter) < 0.15


def test_a_wrong_place_does_not_pass_for_noise(lattice, counts):
    wrong = lattice.image.copy()
    wrong[40:90, 40:90] = wrong[40:90, 40:90].mean()
    assert consistency(counts, wrong, sigma=2.0).noise[0].gain == pytest.approx(1.0, rel=0.1)


def test_displaced_lines_are_noise_and_not_wrong_columns(lattice):
    from scipy import ndimage

    rng = np.random.default_rng(5)
    lines = np.arange(256)
    moved = np.stack(
        [np.interp(lines - 0.5 * rng.normal(), lines, row) for row in 30 * lattice.image]
    )
    raw = rng.poisson(moved)
    test = consistency(raw, 30 * lattice.image, sigma=2.0)
    assert test.noise[0].jitter[1] == pytest.approx(0.5, rel=0.2)
    assert test.noise[0].jitter[0] < 0.2
    at = ndimage.map_coordinates(test.z, [lattice.y, lattice.x], order=1)
    assert np.abs(at).max() < 4.5


def test_offsets_of_lines_are_taken_away(lattice, counts):
    offsets = np.random.default_rng(2).normal(scale=1.5, size=(256, 1))
    plain = consistency(counts, lattice.image, noise=COUNTED, sigma=2.0)
    lined = consistency(counts + offsets, lattice.image, noise=COUNTED, sigma=2.0)
    assert np.corrcoef(plain.z.ravel(), lined.z.ravel())[0, 1] > 0.97
    assert lined.z.std() < 1.1


@pytest.mark.slow
def test_units_of_either_image_do_not_matter(lattice, counts):
    plain = consistency(counts, lattice.image, sigma=2.0)
    other = consistency(1e-6 * counts - 3.0, 250.0 * lattice.image + 40.0, sigma=2.0)
    np.testing.assert_allclose(plain.z, other.z, atol=0.05)


def test_a_removed_background_is_given_back(lattice):
    ramp = np.linspace(0.0, 6.0, 256)
    counts = np.random.default_rng(3).poisson(lattice.image + ramp)
    light = lattice.column(lattice.middle)
    restored = 0.1 * (lattice.image - 1.0 + light)
    test = consistency(counts, restored, "denoise_background", noise=COUNTED, sigma=2.0)
    assert test.z[lattice.pixel(lattice.middle)] < -6.0
    assert np.median(np.abs(test.z)) < 0.8
    plain = consistency(counts, restored, noise=COUNTED, sigma=2.0)
    assert np.median(np.abs(plain.z)) > 2.0


@pytest.mark.slow
def test_a_sharpened_image_is_blurred_again(lattice, counts):
    rows, cols = np.indices(lattice.image.shape)
    sharp = np.zeros_like(lattice.image)
    for y, x in zip(lattice.y, lattice.x, strict=True):
        sharp += np.exp(-0.5 * ((rows - y) ** 2 + (cols - x) ** 2) / 1.2**2)
    inner = (slice(16, -16), slice(16, -16))
    test = consistency(counts, sharp, "superresolution", noise=COUNTED, sigma=2.0)
    assert np.percentile(np.abs(test.z[inner]), 99) < 3.2
    missing = sharp - np.exp(
        -0.5
        * ((rows - lattice.y[lattice.middle]) ** 2 + (cols - lattice.x[lattice.middle]) ** 2)
        / 1.2**2
    )
    test = consistency(counts, missing, "superresolution", noise=COUNTED, sigma=2.0)
    assert test.z[lattice.pixel(lattice.middle)] > 8.0


def test_a_stack_gives_the_maps_of_its_frames(lattice, counts):
    stack = np.stack([counts, counts[::-1]])[:, None]
    test = atomseg.consistency(stack, np.stack([lattice.image, lattice.image[::-1]])[:, None])
    single = atomseg.consistency(counts, lattice.image, sigma=test.sigma)
    assert test.z.shape == (2, 1, 256, 256)
    np.testing.assert_array_equal(test.z[0, 0], single.z)
    assert len(test.noise) == len(test.spread) == 2


def test_missing_pixels_say_nothing(lattice, counts):
    holed = counts.copy()
    holed[100:112, 60:72] = np.nan
    test = consistency(holed, lattice.image, noise=COUNTED, sigma=2.0)
    assert (test.residual[100:112, 60:72] == 0).all()
    assert np.abs(test.z).max() < 6.0


@pytest.mark.parametrize(
    "image", [np.zeros((20, 30)), np.full((16, 16), np.nan), np.ones((1, 1)), np.ones((1, 40))]
)
def test_images_of_nothing_are_explained(image):
    test = consistency(image, np.nan_to_num(image))
    assert (test.z == 0).all()
    assert "explains" in test.summary()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"restored": np.zeros((8, 9))}, "restored has shape"),
        ({"task": "column_map"}, "task='column_map'"),
        ({"sigma": 0.0}, "sigma=0.0"),
        ({"image": np.array([["a"]])}, "real numbers"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    given = {"image": np.zeros((8, 8)), "restored": np.zeros((8, 8))} | arguments
    with pytest.raises((ValueError, TypeError), match=message):
        consistency(**given)
