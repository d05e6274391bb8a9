"""What programs wrote on an image is no noise: a denoised image keeps it."""

from __future__ import annotations

import numpy as np
import pytest

import napari_atomseg as atomseg
from napari_atomseg.inference import predict
from napari_atomseg.inference.frames import examine


def barred() -> tuple[np.ndarray, np.ndarray]:
    """An image with a black band below, and where that is."""
    y, x = np.mgrid[:72, :96] * (2 * np.pi / 11)
    clean = 40.0 * (1.2 + np.cos(x) * np.cos(y))
    image = np.random.default_rng(1).poisson(clean).astype(np.float32)
    band = np.zeros(image.shape, bool)
    band[60:] = True
    image[band] = 0.0
    return image, band


@pytest.mark.parametrize("task", ["denoise", "upinterpolation"])
def test_a_denoised_image_keeps_a_band(task: str) -> None:
    image, band = barred()
    assert (examine(image).marks[0] == band).mean() > 0.98
    restored = predict(image, (task,)).maps[task]
    finer = restored.shape[0] // image.shape[0]
    kept = examine(image).marks[0] & ~examine(image).edges[0] & band
    assert kept.sum() > 0.9 * band.sum()
    inner = np.repeat(np.repeat(kept, finer, 0), finer, 1)
    assert inner.any()
    assert np.all(restored[inner] == 0.0)
    above = restored[: 40 * finer]
    assert above.std() > 5.0


def test_where_the_background_is_removed_a_band_is_filled() -> None:
    image, band = barred()
    flat = atomseg.restore(image, "denoise_background")
    assert np.ptp(flat[band]) > 0.0


def test_the_noise_about_a_box_is_not_kept_with_it() -> None:
    random = np.random.default_rng(2)
    image = random.normal(50.0, 12.0, (96, 112)).astype(np.float32)
    box = np.zeros(image.shape, bool)
    box[54:84, 30:80] = True
    image[box] = 0.0
    image[64:74:3, 40:70:2] = 120.0
    marks = examine(image).marks[0]
    rim = marks & ~box
    assert rim.sum() > 200
    restored = atomseg.restore(image)
    np.testing.assert_array_equal(restored[box], image[box])
    away = ~marks
    assert restored[rim].std() < 2.0 * restored[away].std() < image[rim].std()
