"""Hot and dead pixels are found, and nothing that columns or noise may do is taken for one."""

import numpy as np
import pytest
import torch

from napari_atomseg.distortion.camera import hot_pixels
from napari_atomseg.inference.frames import as_frames, compact, examine
from napari_atomseg.inference.outliers import filled, find_outliers


def lattice(spacing, sigma, size=160, seed=3):
    """(H, W) Gaussian columns of heights of 0.5 to 1, at random places of the pixels."""
    rng = np.random.default_rng(seed)
    image = np.zeros((size, size))
    y, x = np.mgrid[:size, :size]
    centres = np.arange(spacing / 2, size, spacing)
    for row in centres:
        for col in centres:
            at = row + rng.uniform(-0.5, 0.5), col + rng.uniform(-0.5, 0.5)
            reach = int(6 * sigma) + 2
            top, left = (max(0, int(c) - reach) for c in at)
            part = slice(top, top + 2 * reach + 2), slice(left, left + 2 * reach + 2)
            square = (y[part] - at[0]) ** 2 + (x[part] - at[1]) ** 2
            image[part] += rng.uniform(0.5, 1.0) * np.exp(-0.5 * square / sigma**2)
    return image


@pytest.mark.parametrize(("spacing", "sigma"), [(5, 0.7), (40, 0.7), (8, 1.5), (15, 3)])
@pytest.mark.parametrize("dose", [None, 0.02, 0.3, 3, 100, 1e4])
def test_columns_and_counts_are_no_outliers(spacing, sigma, dose):
    image = lattice(spacing, sigma)
    if dose is not None:
        image = np.random.default_rng(1).poisson(dose * (image + 0.02)).astype(float)
    assert not find_outliers(image).any()
    assert not find_outliers(-image).any()


@pytest.mark.parametrize("rate", [1e-4, 0.005, 0.02, 0.3, 3])
def test_single_counts_in_the_dark_are_no_outliers(rate):
    counts = np.random.default_rng(2).poisson(rate, (512, 512)).astype(np.float32)
    assert not find_outliers(counts).any()


@pytest.mark.parametrize(("spacing", "sigma"), [(5, 0.7), (15, 3)])
@pytest.mark.parametrize("dose", [None, 3, 1e3])
def test_single_pixels_and_clusters_far_beyond_the_range_are_found(spacing, sigma, dose):
    image = lattice(spacing, sigma)
    if dose is not None:
        image = np.random.default_rng(1).poisson(dose * (image + 0.02)) / dose
    wrong = np.zeros(image.shape, dtype=bool)
    wrong[[0, 40, 100], [0, 77, 30]] = True
    wrong[70:72, 70:72] = wrong[120, 20:23] = True
    hot = np.where(wrong, 100.0 * image.max(), image)
    assert (find_outliers(hot) == wrong).all()
    dead = np.where(wrong, -1e6, image)
    assert (find_outliers(dead) == wrong).all()


def test_hot_pixels_of_a_camera_are_found():
    image = torch.from_numpy(lattice(15, 3))[None] + 0.1
    generator = torch.Generator().manual_seed(0)
    hot = hot_pixels(image, torch.tensor([2e-3]), torch.tensor([8.0]), [generator])[0].numpy()
    added = hot - image[0].numpy()
    noisy = np.random.default_rng(0).poisson(300 * hot) / 300
    found = find_outliers(noisy)
    assert found[added > 1.5].mean() > 0.95
    assert not found[added == 0].any()


def test_an_image_of_nothing_but_outliers_is_noise():
    rng = np.random.default_rng(0)
    salt = np.where(rng.random((128, 128)) < 0.1, 100.0, rng.normal(size=(128, 128)))
    assert not find_outliers(salt).any()


def test_holes_get_what_is_around_them():
    ramp = np.add.outer(np.arange(64.0), np.zeros(64))
    holes = np.zeros((64, 64), dtype=bool)
    holes[30, 30] = holes[0, 0] = True
    holes[40:60, 10:50] = True
    made = filled(np.where(holes, np.nan, ramp), holes)
    assert np.isfinite(made).all()
    assert made[30, 30] == pytest.approx(30, abs=1)
    assert np.abs(made - ramp)[holes].max() < 18
    assert (filled(ramp, np.ones_like(holes)) == 0).all()


def test_what_was_left_out_is_noted():
    image = lattice(15, 3) + np.random.default_rng(0).normal(0, 0.02, (160, 160))
    assert examine(image).notes == ()
    image[5, 5], image[80, 90], image[100, 100], image[20, 30] = 50.0, 60.0, -70.0, np.nan
    examined = examine(np.stack([image, image[::-1]]))
    assert examined.notes == ("6 hot or dead pixels were left out",)
    assert examined.out.sum() == 8
    assert np.isnan(examined.measured()).sum() == 8
    assert np.ptp(examined.frames) < 2
    assert examine(examined) is examined


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("uint8", "float32"), ("int16", "float32"), ("float32", "float32"), ("uint32", "float64")],
)
def test_frames_are_as_precise_as_the_image(kind, expected):
    frames, _ = as_frames(np.full((8, 8), 7, kind))
    assert frames.dtype == expected


def test_single_precision_is_left_where_it_would_lose_the_contrast():
    noise = np.random.default_rng(0).normal(size=(32, 32))
    assert compact(noise + 100).dtype == np.float32
    assert compact(noise + 1e9).dtype == np.float64
