"""Integrals over the shares of columns: all light is shared, errors are those of the noise."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from napari_atomseg.analysis import integrate_columns

SIGMA, SPACING = 2.5, 13.0


def crystal(side=7, seed=0):
    """Gaussian columns of different brightness; each share ends half a spacing away."""
    rng = np.random.default_rng(seed)
    i, j = np.mgrid[:side, :side].reshape(2, -1)
    columns = pd.DataFrame({"y": 9.3 + SPACING * i, "x": 10.1 + SPACING * j})
    columns["light"] = rng.uniform(50.0, 150.0, len(columns))
    size = round(SPACING * side) + 10
    y, x = np.mgrid[:size, :size]
    image = np.zeros((size, size))
    for row in columns.itertuples():
        shape = np.exp(-0.5 * ((y - row.y) ** 2 + (x - row.x) ** 2) / SIGMA**2)
        image += row.light * shape / (2 * np.pi * SIGMA**2)
    return image, columns


def test_integrals_are_the_light_of_the_columns():
    image, columns = crystal()
    integral = integrate_columns(image, columns)["integral"]
    assert integral.to_numpy() == pytest.approx(columns["light"], rel=0.03)


def test_the_shares_add_up_to_the_image():
    _, columns = crystal()
    image = np.random.default_rng(1).normal(size=(101, 101)) + 3.0
    whole = integrate_columns(image, columns, reach=12.0, background=2.0)["integral"]
    assert whole.isna().sum() == 13
    assert whole[columns.index[24]] == pytest.approx(SPACING**2, abs=4 * SPACING)


def test_coarse_pixels_are_divided_between_columns():
    columns = pd.DataFrame({"y": [4.0, 4.0], "x": [3.0, 6.0]})
    area = integrate_columns(np.ones((9, 10)), columns, reach=2.0)["integral"]
    half = 0.5 * np.pi * 4.0
    cut = np.arccos(0.75) * 4.0 - 1.5 * np.sqrt(4.0 - 2.25)
    assert area.to_numpy() == pytest.approx(2 * half - cut, rel=0.01)


@pytest.mark.parametrize("noise", [{"gain": 0.05}, {"deviation": 0.02}])
def test_errors_are_the_scatter_of_the_integrals(noise):
    image, columns = crystal(5)
    rng = np.random.default_rng(2)
    z = []
    for _ in range(20):
        if "gain" in noise:
            noisy = rng.poisson(image / noise["gain"]) * noise["gain"]
        else:
            noisy = image + rng.normal(0.0, noise["deviation"], image.shape)
        found = integrate_columns(noisy, columns, **noise)
        exact = integrate_columns(image, columns)
        z.append((found["integral"] - exact["integral"]) / found["integral_err"])
    assert np.std(z) == pytest.approx(1.0, abs=0.1)


def test_what_is_cut_is_not_measured():
    image, columns = crystal(5)
    image[round(columns["y"][12]), round(columns["x"][12])] = np.nan
    off = pd.DataFrame({"y": [500.0, 0.0], "x": [5.0, 30.0], "light": 1.0})
    found = integrate_columns(image, pd.concat([columns, off], ignore_index=True), reach=9.2)
    assert found["integral"].isna().to_numpy().nonzero()[0].tolist() == [12, 25, 26]


def test_no_columns_and_bad_arguments():
    image, columns = crystal(5)
    assert integrate_columns(image, columns.iloc[:0], reach=5.0)["integral"].empty
    one = integrate_columns(image, columns.iloc[12:13], reach=6.0)["integral"]
    assert one.iloc[0] == pytest.approx(columns["light"][12], rel=0.1)
    for arguments, message in (
        ((image[None], columns), "shape"),
        ((image, columns.iloc[:2]), "give reach"),
        ((image, columns.iloc[:5]), "give reach"),
        ((image, columns.assign(y=np.nan)), "finite"),
    ):
        with pytest.raises(ValueError, match=message):
            integrate_columns(*arguments)
    for more, message in (({"reach": 0.0}, "reach"), ({"gain": -1.0}, "gain")):
        with pytest.raises(ValueError, match=message):
            integrate_columns(image, columns, **more)
