"""The size of a pixel: as given, from a line, from a burnt-in bar, from a known crystal."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from napari_atomseg import calibrate
from napari_atomseg.analysis import find_lattice, find_zone_axis
from napari_atomseg.calibration import PixelShape, find_scale_bar, pixel_shape

A = 3.905
"""Å, lattice constant of SrTiO3."""


def crystal_columns(
    matrix: Any, side: int = 240, stray: float = 0.02, seed: int = 0
) -> pd.DataFrame:
    """Columns of SrTiO3 [001], Sr and Ti, in pixels whose steps are `matrix` (2, 2) Å."""
    rng, turn = np.random.default_rng(seed), np.radians(13.0)
    axes = A * np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    cells = np.stack(np.meshgrid(*[np.arange(-40, 40)] * 2), axis=-1).reshape(-1, 2)
    tables = []
    for site, height in ((0.0, 1.0), (0.5, 0.45)):
        places = (cells + site) @ axes @ np.linalg.inv(matrix).T + side / 2
        places = places[((places > 4) & (places < side - 4)).all(axis=1)]
        places = places + rng.normal(0.0, stray, places.shape)
        tables.append(pd.DataFrame({"y": places[:, 0], "x": places[:, 1], "volume": height}))
    return pd.concat(tables, ignore_index=True)


def test_a_size_as_given_in_any_unit() -> None:
    assert calibrate(by="pixel", pixel=0.012, unit="nm").sampling == pytest.approx(0.12)
    made = calibrate(by="pixel", pixel=(20.0, 10.0), unit="pm")
    assert made.sampling == pytest.approx((0.2, 0.1))
    assert np.isnan(made.error).all()


def test_a_line_of_known_length() -> None:
    made = calibrate(by="line", line=[[0.0, 0.0], [30.0, 40.0]], length=1.0, unit="nm")
    assert made.sampling == pytest.approx(0.2)


def with_bar(length: int, band: bool, bright: bool = True) -> Any:
    """A noisy lattice with a bar of so many pixels, on a band below or in the image itself."""
    rng = np.random.default_rng(1)
    y, x = np.mgrid[:256, :256]
    image = 100 + 40 * np.cos(2 * np.pi * y / 9) * np.cos(2 * np.pi * x / 9)
    image = np.clip(rng.normal(image, 12), 20, 230).round()
    if band:
        image[224:] = 0
    image[236:242, 30 : 30 + length] = 255 if bright else 0
    return image


@pytest.mark.parametrize("band", [True, False])
@pytest.mark.parametrize("length", [40, 101])
def test_the_burnt_in_bar_is_measured(band: bool, length: int) -> None:
    image = with_bar(length, band)
    bar = find_scale_bar(image)
    assert abs(bar.length - length) <= bar.error
    assert bar.box[1] == pytest.approx(30, abs=1)
    made = calibrate(image, by="bar", length=5.0, unit="nm")
    assert made.sampling == pytest.approx(50.0 / length, abs=2 * made.error[0])


def test_without_a_bar_there_is_a_sentence() -> None:
    with pytest.raises(ValueError, match="no burnt-in scale bar"):
        find_scale_bar(with_bar(0, band=False))
    with pytest.raises(ValueError, match="no burnt-in scale bar"):
        find_scale_bar(with_bar(0, band=True))


@pytest.mark.parametrize("seed", range(2))
def test_a_crystal_shows_size_and_shear_within_the_errors(seed: int) -> None:
    true = PixelShape((0.151, 0.148), (0.0, 0.0), 0.8, 0.0)
    columns = crystal_columns(true.matrix, seed=seed)
    made = calibrate(by="crystal", columns=columns, crystal="SrTiO3", zone_axis="001")
    assert made.pixels is not None
    z = (np.array(made.sampling) - true.sampling) / made.error
    assert np.abs(z).max() < 4.0
    assert abs(made.pixels.shear_deg - 0.8) < 4.0 * made.pixels.shear_err_deg
    assert max(made.error) < 1e-4
    assert made.pixels.shear_err_deg < 0.05


@pytest.mark.slow
def test_what_is_corrected_has_square_pixels() -> None:
    true = PixelShape((0.155, 0.148), (0.0, 0.0), 1.5, 0.0)
    columns = crystal_columns(true.matrix, stray=0.005)
    made = calibrate(by="crystal", columns=columns, crystal="SrTiO3", zone_axis="0 0 1")
    assert made.pixels is not None
    straight = made.pixels.correct_columns(columns.assign(y_err=0.1, x_err=0.1))
    size = straight.attrs["sampling"]
    assert size**2 == pytest.approx(0.155 * 0.148 * np.cos(np.radians(1.5)), rel=1e-3)
    lattice = find_lattice(straight, size)
    np.testing.assert_allclose(lattice.lengths_angstrom, A, rtol=2e-4)
    assert lattice.angle_deg == pytest.approx(90.0, abs=0.02)
    np.testing.assert_allclose(straight["y_angstrom"], size * straight["y"])
    assert straight["y_err"].iloc[0] == pytest.approx(0.1 * 0.155 / size, rel=0.01)


def test_image_and_columns_are_corrected_alike() -> None:
    pixels = PixelShape((0.2, 0.15), (0.0, 0.0), -3.0, 0.0)
    y, x = np.mgrid[:90, :120]
    image = np.exp(-0.5 * ((y - 40.0) ** 2 + (x - 70.0) ** 2) / 4.0)
    made, size, first = pixels.correct(image)
    table = pixels.correct_columns(pd.DataFrame({"y": [40.0], "x": [70.0]}), first)
    weight = np.nan_to_num(made)
    rows, cols = np.mgrid[: made.shape[0], : made.shape[1]]
    place = [(each * weight).sum() / weight.sum() for each in (rows, cols)]
    np.testing.assert_allclose(place, table[["y", "x"]].to_numpy()[0], atol=0.02)
    assert np.isnan(made).any()
    assert size == pytest.approx(np.sqrt(0.2 * 0.15 * np.cos(np.radians(3.0))))
    stack, _, _ = pixels.correct(np.stack([image, image]))
    np.testing.assert_array_equal(stack[1], made)


def test_square_pixels_are_said_to_need_nothing() -> None:
    columns = crystal_columns(0.15 * np.eye(2))
    made = calibrate(
        by="crystal", columns=columns, crystal="SrTiO3", zone_axis="001", sampling=0.15
    )
    assert any("nothing to correct" in note for note in made.notes)


def test_zone_axes_that_fit_alike_are_refused_and_named() -> None:
    # Of a square lattice whose scale is not known, [001] is not the only axis that fits.
    columns = crystal_columns(0.15 * np.eye(2))
    columns = columns[columns["volume"] == 1.0]
    with pytest.raises(ValueError, match=r"fit alike, with different scales: \[0 0 1\]"):
        calibrate(by="crystal", columns=columns, crystal="SrTiO3", tolerance=0.2)
    made = calibrate(by="crystal", columns=columns, crystal="SrTiO3", zone_axis="[0 0 -1]")
    assert made.sampling == pytest.approx((0.15, 0.15), rel=1e-3)


def test_the_metric_is_that_of_the_pixels() -> None:
    true = PixelShape((0.12, 0.1), (0.0, 0.0), 2.0, 0.0)
    columns = crystal_columns(true.matrix, stray=1e-4)
    lattice = find_lattice(columns)
    zone = find_zone_axis(lattice, ["SrTiO3"], tolerance=0.2)
    zone = zone[zone["zone_axis"] == "[0 0 1]"].iloc[0]
    found = pixel_shape(lattice, zone)
    np.testing.assert_allclose(found.sampling, true.sampling, rtol=1e-4)
    assert found.shear_deg == pytest.approx(2.0, abs=0.01)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"by": "pixel"}, "pixel is missing"),
        ({"by": "line", "length": 5.0}, "line is missing"),
        ({"by": "line", "line": [[1, 1], [1, 1]], "length": 5.0}, "two different ends"),
        ({"by": "bar"}, "length is missing"),
        ({"by": "bar", "length": 5.0}, "image is missing"),
        ({"by": "crystal"}, "crystal is missing"),
        ({"by": "crystal", "crystal": "SrTiO3"}, "give the image"),
        ({"by": "pixel", "pixel": -1.0}, "positive"),
        ({"by": "guess"}, "by="),
        ({"by": "pixel", "pixel": 1.0, "unit": "inch"}, "unit"),
    ],
)
def test_what_is_missing_or_wrong_is_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        calibrate(**options)
