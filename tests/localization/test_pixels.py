"""Columns are round in Å on pixels that are not square, with errors and volumes that hold."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import napari_atomseg as atomseg
from napari_atomseg.localization import refine_columns

SIGMA, AMPLITUDE, SPACING = 0.45, 100.0, 3.0


def scene(pixel, *, number=9, noise=2.0, long=1.0, seed=0):
    """Columns (Å) on pixels (dy, dx), `long` times as long along y; image and places in pixels."""
    rng = np.random.default_rng(seed)
    size = (number + 1) * SPACING
    y, x = (np.arange(0.0, size, each) for each in pixel)
    places = SPACING * (1.0 + np.mgrid[:number, :number].reshape(2, -1).T)
    places += rng.uniform(-0.05, 0.05, places.shape)
    image = np.full((len(y), len(x)), 10.0)
    for a, b in places:
        tall = np.exp(-((y - a) ** 2) / (2 * (SIGMA * long) ** 2))
        image += AMPLITUDE * np.outer(tall, np.exp(-((x - b) ** 2) / (2 * SIGMA**2)))
    return image + rng.normal(0.0, noise, image.shape), places / pixel


@pytest.mark.parametrize("refine", ["gaussian", "elliptic", "rotated", "joint"])
@pytest.mark.parametrize("pixel", [(0.1, 0.2), (0.2, 0.1)])
def test_errors_and_volumes_hold(refine, pixel):
    image, places = scene(pixel)
    start = places + np.random.default_rng(1).uniform(-0.3, 0.3, places.shape)
    table = pd.DataFrame(start, columns=["y", "x"])
    table.attrs["sampling"] = pixel
    found = refine_columns(image, table, refine=refine, contrast="bright")
    z = (found[["y", "x"]].to_numpy() - places) / found[["y_err", "x_err"]].to_numpy()
    assert np.isfinite(z).all()
    assert np.sqrt((z**2).mean(axis=0)) == pytest.approx([1.0, 1.0], abs=0.2)
    volume = 2 * np.pi * SIGMA**2 * AMPLITUDE / np.prod(pixel)
    assert found["volume"].mean() == pytest.approx(volume, rel=0.01)
    away = (found["volume"] - volume) / found["volume_err"]
    assert np.sqrt((away**2).mean()) == pytest.approx(1.0, abs=0.2)
    if "ellipticity" in found:
        assert found["ellipticity"].median() < 1.02


def test_ellipses_are_those_in_angstrom():
    pixel = (0.1, 0.2)
    image, places = scene(pixel, long=1.2)
    table = pd.DataFrame(places, columns=["y", "x"])
    table.attrs["sampling"] = pixel
    found = refine_columns(image, table, refine="rotated", contrast="bright")
    assert found["ellipticity"].median() == pytest.approx(1.2, abs=0.01)
    assert found["angle"].abs().median() == pytest.approx(90.0, abs=2.0)


def test_localize_takes_both_sizes_of_a_pixel():
    pixel = (0.1, 0.2)
    image, places = scene(pixel)
    found = atomseg.localize(image, sampling=pixel, detector="peaks")
    assert len(found) == len(places)
    volume = 2 * np.pi * SIGMA**2 * AMPLITUDE / np.prod(pixel)
    assert found["volume"].mean() == pytest.approx(volume, rel=0.01)
