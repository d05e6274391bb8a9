"""Layers in, layers out."""

from __future__ import annotations

from typing import Any

import dask.array as da
import numpy as np
import pandas as pd
import pytest
from napari.layers import Image, Labels
from skimage.color import rgb2gray

from napari_atomseg._napari import layers


def image(shape: tuple[int, ...] = (8, 8), **place: Any) -> Image:
    return Image(np.zeros(shape), name="source", **place)


@pytest.mark.parametrize(
    ("scale", "unit", "expected"),
    [(0.1, "angstrom", 0.1), (0.01, "nm", 0.1), (1e-5, "um", 0.1), (12.0, "pm", 0.12)],
)
def test_sampling_is_in_angstrom_whatever_the_unit(
    scale: float, unit: str, expected: float
) -> None:
    layer = image(scale=(scale, scale), units=(unit, unit))
    assert layers.layer_sampling(layer) == pytest.approx(expected)


def test_sampling_is_of_the_last_two_axes() -> None:
    layer = image((3, 8, 8), scale=(5.0, 0.2, 0.2), units=("s", "nm", "nm"))
    assert layers.layer_sampling(layer) == pytest.approx(2.0)


def test_pixels_that_are_not_square_have_two_samplings() -> None:
    layer = image(scale=(0.1, 0.2), units=("angstrom", "angstrom"))
    assert layers.layer_sampling(layer) == pytest.approx((0.1, 0.2))


@pytest.mark.parametrize("place", [{}, {"scale": (0.1, 0.1)}, {"units": ("s", "s")}])
def test_without_length_units_the_sampling_is_unknown(place: dict[str, Any]) -> None:
    assert layers.layer_sampling(image(**place)) is None


@pytest.mark.parametrize(
    ("layer", "hint"),
    [
        (None, "open or choose"),
        (Labels(np.zeros((8, 8), int), name="cells"), "labels layer"),
    ],
)
def test_unfit_sources_are_refused_with_advice(layer: Any, hint: str) -> None:
    with pytest.raises(ValueError, match=hint):
        layers.Source.of(layer)


@pytest.mark.parametrize("alpha", [False, True])
def test_grey_images_stored_as_colours_are_the_grey_images(alpha: bool) -> None:
    grey = np.random.default_rng(0).integers(0, 255, (16, 20), dtype=np.uint8)
    colours = np.stack([grey] * 3 + [np.full_like(grey, 255)] * alpha, axis=-1)
    taken = layers.Source.of(Image(colours, rgb=True, scale=(0.1, 0.2), units=("nm", "nm")))
    np.testing.assert_array_equal(taken.data, grey)
    assert taken.data.dtype == np.uint8
    assert taken.sampling == (1.0, 2.0)


def test_colours_become_their_luminance() -> None:
    colours = np.random.default_rng(0).random((4, 5, 3))
    taken = layers.Source.of(Image(colours, rgb=True)).data
    np.testing.assert_allclose(taken, rgb2gray(colours), rtol=1e-6)


def test_multiscale_images_are_taken_at_full_resolution() -> None:
    full = np.random.default_rng(0).random((64, 64))
    layer = Image([full, full[::2, ::2]], multiscale=True)
    np.testing.assert_array_equal(layers.Source.of(layer).data, full)


def test_dask_images_stay_lazy() -> None:
    loads: list[int] = []

    def load(block: Any) -> Any:
        loads.append(1)
        return block

    data = da.zeros((4, 64, 64), chunks=(1, 64, 64)).map_blocks(load, meta=np.zeros((0, 0, 0)))
    layer = Image(data, contrast_limits=(0, 1))
    loads.clear()
    source = layers.Source.of(layer)
    assert loads == []
    assert source.data.shape == (4, 64, 64)


@pytest.mark.parametrize("make", ["image", "labels", "points"])
def test_results_lie_exactly_on_their_source(make: str) -> None:
    angle = np.deg2rad(30)
    affine = np.array([[np.cos(angle), -0.2, 4.0], [0.1, 1.0, 5.0], [0.0, 0.0, 1.0]])
    source = image(
        scale=(0.2, 0.3),
        translate=(7.0, 8.0),
        rotate=15.0,
        shear=[0.25],
        affine=affine,
        units=("nm", "nm"),
        axis_labels=("slow", "fast"),
    )
    place = layers.Placement.of(source).arguments()
    made: dict[str, Any] = {"action": "test"}
    result: Any = {
        "image": lambda: layers.image_layer(np.ones((8, 8)), "r", place, made),
        "labels": lambda: layers.labels_layer(np.ones((8, 8), int), "r", place, made),
        "points": lambda: layers.points_layer(
            pd.DataFrame({"y": [1.0], "x": [2.0]}), "r", place, made
        ),
    }[make]()
    for corner in [(0.0, 0.0), (7.0, 0.0), (3.5, 6.25)]:
        np.testing.assert_allclose(result.data_to_world(corner), source.data_to_world(corner))
    assert result.units == source.units
    assert result.axis_labels == source.axis_labels
    record = dict(result.metadata[layers.PROVENANCE])
    assert len(record.pop("result")) == 64  # the hash of the values
    assert record == made


def test_contrast_shows_atoms_in_spite_of_hot_pixels_and_gaps() -> None:
    data = np.random.default_rng(0).normal(100.0, 5.0, (256, 256))
    data[3, 3], data[0, :10] = 1e9, np.nan
    low, high = layers.contrast_limits(data)
    assert 70 < low < 90
    assert 110 < high < 130


@pytest.mark.parametrize("data", [np.full((8, 8), 7.0), np.full((8, 8), np.nan), np.zeros((0, 0))])
def test_contrast_of_nothing_is_still_a_range(data: Any) -> None:
    low, high = layers.contrast_limits(data)
    assert high > low


def columns(**values: Any) -> pd.DataFrame:
    grid = np.stack(np.mgrid[0:50:10, 0:50:10], axis=-1).reshape(-1, 2).astype(float)
    table = pd.DataFrame({"y": grid[:, 0], "x": grid[:, 1]})
    return table.assign(**values)


def test_points_are_as_wide_as_columns_but_never_touch() -> None:
    assert layers.point_size(columns(sigma=1.5)) == pytest.approx(2.4 * 1.5)
    assert layers.point_size(columns(sigma=9.0)) < 10.0


def test_points_of_a_stack_stand_in_their_frames() -> None:
    table = columns(frame=np.arange(25) % 6)
    place = layers.Placement.of(image((2, 3, 50, 50))).arguments()
    layer = layers.points_layer(table, "stack", place, {}, leading=(2, 3))
    assert layer.ndim == 4
    np.testing.assert_array_equal(layer.data[:7, 0], [0, 0, 0, 1, 1, 1, 0])
    np.testing.assert_array_equal(layer.data[:7, 1], [0, 1, 2, 0, 1, 2, 0])


@pytest.mark.parametrize("count", [0, 1, 25])
def test_any_number_of_columns_makes_a_layer(count: int) -> None:
    table = columns(volume=np.arange(25.0), sigma=1.0).iloc[:count]
    place = layers.Placement.of(image()).arguments()
    layer = layers.points_layer(table, "few", place, {}, colour_by="volume")
    assert len(layer.data) == count
    assert layer.data.flags.writeable, "points can be dragged"
    assert list(layer.features) == ["volume", "sigma"]


def test_colours_follow_the_feature() -> None:
    place = layers.Placement.of(image()).arguments()
    table = columns(volume=np.arange(25.0), score=1.0)
    layer = layers.points_layer(table, "coloured", place, {}, colour_by="volume")
    assert len(np.unique(layer.border_color, axis=0)) > 20
    layers.colour_points(layer, "score")
    assert len(np.unique(layer.border_color, axis=0)) == 1


def test_points_without_a_measurement_stay_visible() -> None:
    place = layers.Placement.of(image()).arguments()
    volume = np.arange(25.0)
    volume[[3, 7]] = np.nan
    layer = layers.points_layer(columns(volume=volume), "some", place, {}, colour_by="volume")
    assert (layer.border_color[:, 3] == 1).all()
    assert np.isfinite(layer.border_color).all()
