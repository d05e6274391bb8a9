"""Sentences on the border, and on intensities that were cut."""

import numpy as np
import pandas as pd
import pytest
from scipy.spatial import cKDTree

from napari_atomseg import simulate
from napari_atomseg.localization import localize
from napari_atomseg.localization.cautions import border_notes, range_notes


def test_a_black_level_and_saturation_have_a_sentence(rng):
    plane = rng.normal(40.0, 20.0, (200, 200))
    assert range_notes([plane]) == []
    assert "31 % of the pixels have the lowest" in range_notes([np.maximum(plane, 30.0)])[0]
    plane[50:56, 70:76] = 500.0
    assert "saturated" in range_notes([plane])[0]


@pytest.mark.parametrize("part", [0.9, 0.7, 0.5])
@pytest.mark.parametrize("dose", [30, 60, 400])
def test_saturated_columns_have_a_sentence_however_many_they_are(part, dose, rng):
    y, x = np.mgrid[:160, :160]
    wave = (0.5 + 0.25 * (np.cos(y / 2.1) + np.cos(x / 2.1))) ** 2 + 0.1
    notes = range_notes([np.minimum(rng.poisson(dose * wave), round(part * dose)).astype(float)])
    assert len(notes) == 1
    assert "saturated" in notes[0]
    assert ("do not compare" in notes[0] or "too small" in notes[0]) == (part < 0.8)
    assert range_notes([rng.poisson(dose * wave).astype(float)]) == []


@pytest.mark.parametrize("mean", [0.02, 0.2, 1.0, 3.0])
def test_few_counts_are_not_cut(mean, rng):
    assert range_notes([rng.poisson(np.full((200, 200), mean)).astype(float)]) == []


def test_missing_pixels_are_not_the_lowest(rng):
    plane = rng.normal(40.0, 20.0, (100, 100))
    plane[:50] = np.nan
    assert range_notes([plane]) == []
    assert range_notes([np.full((5, 5), np.nan)]) == []


def test_columns_at_the_border_have_a_sentence_where_no_error_tells_of_them():
    table = pd.DataFrame({"y": [1.0, 30.0, 57.0], "x": 30.0, "sigma": 2.0, "y_err": np.nan})
    table["x_err"] = np.nan
    assert border_notes(table, (60, 60))[0].startswith("2 columns are cut by the border")
    assert border_notes(table[1:2], (60, 60)) == []
    assert border_notes(table.drop(columns="sigma"), (60, 60)) == []
    assert border_notes(table[:0], (60, 60)) == []
    measured = table.assign(y_err=[np.nan, 0.1, 0.1], x_err=[np.nan, 0.1, 0.1])
    assert border_notes(measured, (60, 60)) == []


@pytest.mark.slow
def test_errors_at_the_border_are_of_the_right_size():
    z = []
    for seed in range(4):
        made = simulate("SrTiO3", shape=(128, 128), sampling=0.2, dose=1e4, seed=seed)
        table = localize(made.image, sampling=0.2)
        assert not any("border" in note for note in table.attrs["notes"])
        points = table[["y", "x"]].to_numpy()
        away, which = cKDTree(made.columns[["y", "x"]]).query(points)
        off = points - made.columns[["y", "x"]].to_numpy()[which]
        z.append(
            pd.DataFrame(
                {
                    "z": np.hypot(*(off / table[["y_err", "x_err"]].to_numpy()).T) / np.sqrt(2),
                    "border": np.minimum(points, 127 - points).min(axis=1) < 1.5 * table["sigma"],
                }
            )[away < 5]
        )
    typical = pd.concat(z).dropna().groupby("border")["z"].median()
    assert typical[True] < 2.0 * typical[False]


@pytest.mark.slow
def test_no_column_is_measured_beyond_the_image():
    image = simulate("SrTiO3", shape=(96, 96), sampling=0.2, dose=1e4, seed=3).image
    table = localize(image, sampling=0.2)
    assert table[["y", "x"]].min().min() >= -0.5
    assert table[["y", "x"]].max().max() <= 95.5
