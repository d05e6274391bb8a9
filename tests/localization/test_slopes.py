"""A background that slopes does not move columns, and none is seen where there is none."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from napari_atomseg.localization import refine_columns
from napari_atomseg.localization.fit.independent import unweighted_fits
from napari_atomseg.localization.fit.windows import initial_estimates

SIGMA, AMPLITUDE, SPACING = 3.0, 100.0, 20


def scene(ramp=(0.0, 0.0), *, number=8, noise=1.0, hill=0.0, seed=0):
    """Columns on a plane of slopes `ramp` (y, x), or on a hill: image and true places."""
    rng = np.random.default_rng(seed)
    size = (number + 1) * SPACING
    y, x = np.indices((size, size)).astype(float)
    places = SPACING * (1.0 + np.mgrid[:number, :number].reshape(2, -1).T)
    places += rng.uniform(-0.5, 0.5, places.shape)
    middle = size / 2
    image = 10.0 + ramp[0] * y + ramp[1] * x
    image += hill * np.exp(-((y - middle) ** 2 + (x - middle) ** 2) / (2 * (size / 4) ** 2))
    for a, b in places:
        image += AMPLITUDE * np.exp(-((y - a) ** 2 + (x - b) ** 2) / (2 * SIGMA**2))
    return image + rng.normal(0.0, noise, image.shape), places


def fitted(image, places, refine="gaussian", **options):
    start = np.random.default_rng(1).uniform(-0.3, 0.3, places.shape) + places
    table = pd.DataFrame(start, columns=["y", "x"])
    found = refine_columns(image, table, refine=refine, contrast="bright", **options)
    return found, found[["y", "x"]].to_numpy() - places


@pytest.mark.parametrize("refine", ["gaussian", "elliptic", "joint"])
@pytest.mark.parametrize("ramp", [(0.0, 1.0), (-0.5, 0.3)])
def test_ramp_does_not_move_columns(refine, ramp):
    """On a constant background, fits would be off by 0.35 px for each unit of slope."""
    found, away = fitted(*scene(ramp), refine)
    _, flat = fitted(*scene(), refine)
    assert np.abs(away.mean(axis=0)).max() < 0.005
    assert np.sqrt((away**2).mean()) < 1.1 * np.sqrt((flat**2).mean())
    z = away / found[["y_err", "x_err"]].to_numpy()
    assert 0.85 < np.sqrt((z**2).mean()) < 1.2
    assert found["volume"].mean() == pytest.approx(2 * np.pi * SIGMA**2 * AMPLITUDE, rel=0.01)


def test_ramp_of_a_joint_fit_with_one_background():
    _, away = fitted(*scene((0.0, 1.0)), "joint", backgrounds="shared")
    assert np.sqrt((away**2).mean()) < 0.012


@pytest.mark.parametrize("number", [1, 2])
def test_pixels_show_the_slope_under_few_columns(number):
    _, away = fitted(*scene((0.0, 1.0), number=number))
    assert np.abs(away).max() < 0.04


def test_hill_moves_columns_less():
    image, places = scene(number=12, hill=60.0)
    _, away = fitted(image, places)
    # 0.09 px on constant backgrounds.
    assert np.sqrt((away**2).mean()) < 0.03


@pytest.mark.parametrize("seed", range(4))
def test_flat_background_has_no_slope(seed):
    image, places = scene(noise=5.0, seed=seed)
    there = torch.from_numpy(image)
    initial = initial_estimates(there, places[:, 0].copy(), places[:, 1].copy())
    assert unweighted_fits(there, initial)[1] is None


def test_alternating_backgrounds_are_no_slope():
    """Every second row of columns stands on a step of its own, as layers of two kinds do."""
    image, places = scene()
    rows = np.round(places[:, 0] / SPACING).astype(int) % 2
    y = np.arange(image.shape[0])
    image = image + 3.0 * (np.round(y / SPACING).astype(int) % 2)[:, None]
    there = torch.from_numpy(image)
    initial = initial_estimates(there, places[:, 0].copy(), places[:, 1].copy())
    slopes = unweighted_fits(there, initial)[1]
    assert slopes is None or float((slopes.gradient != 0).any(1).double().mean()) < 0.1
    _, away = fitted(image, places)
    assert np.sqrt((away**2).mean()) < 0.012
    assert set(rows) == {0, 1}
