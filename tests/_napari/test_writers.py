"""Image and labels layers saved from napari, and read again by Python and the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_atomseg._napari.layers import PROVENANCE
from napari_atomseg.io import read_image, write_image

RNG = np.random.default_rng(0)
SUFFIXES = (".tif", ".h5", ".hspy", ".zarr")


def saved(layer: Any, path: Path) -> Any:
    assert layer.save(str(path), plugin="napari-atomseg") == [str(path)]
    return read_image(path)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_image_layer_keeps_pixels_scale_axes_and_record(
    viewer: Any, tmp_path: Path, suffix: str
) -> None:
    layer = viewer.add_image(
        RNG.normal(size=(3, 16, 20)),
        name="restored",
        scale=(2.0, 0.02, 0.03),
        units=("s", "nm", "nm"),
        axis_labels=("time", "y", "x"),
        metadata={PROVENANCE: {"action": "restore"}},
    )
    image = saved(layer, tmp_path / f"a{suffix}")
    np.testing.assert_array_equal(image.data, layer.data)
    assert image.data.dtype == np.float64
    assert image.sampling == pytest.approx((0.2, 0.3))
    assert image.axes == ("time", "y", "x")
    assert image.scales[0] == (2.0, "s")
    assert image.title == "restored"
    assert image.metadata["provenance"] == {"action": "restore"}


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_labels_layer_keeps_whole_numbers(viewer: Any, tmp_path: Path, suffix: str) -> None:
    numbers = RNG.integers(0, 100_000, (16, 20)).astype(np.int32)
    layer = viewer.add_labels(numbers, scale=(0.2, 0.2), units=("angstrom", "angstrom"))
    image = saved(layer, tmp_path / f"a{suffix}")
    np.testing.assert_array_equal(image.data, numbers)
    assert image.data.dtype == np.int32
    assert image.metadata["labels"]
    assert image.sampling == pytest.approx(0.2)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_file_is_opened_saved_and_opened_again(viewer: Any, tmp_path: Path, suffix: str) -> None:
    scales = ((2.0, "s"), (0.2, "Å"), (0.3, "Å"))
    pixels = RNG.integers(0, 9, (3, 16, 20)).astype(np.uint16)
    write_image(tmp_path / f"a{suffix}", pixels, axes=("time", "y", "x"), scales=scales)
    (layer,) = viewer.open(str(tmp_path / f"a{suffix}"), plugin="napari-atomseg")
    image = saved(layer, tmp_path / f"b{suffix}")
    np.testing.assert_array_equal(image.data, pixels)
    assert (image.data.dtype, image.axes) == (np.uint16, ("time", "y", "x"))
    assert image.scales == scales
    (again,) = viewer.open(str(tmp_path / f"b{suffix}"), plugin="napari-atomseg")
    assert type(again).__name__ == "Image"
    np.testing.assert_allclose(again.scale, layer.scale)
    assert again.units == layer.units


def test_labels_are_opened_as_labels(viewer: Any, tmp_path: Path) -> None:
    numbers = RNG.integers(0, 100_000, (16, 20)).astype(np.int32)
    write_image(tmp_path / "a.tif", numbers, 0.2, labels=True)
    (layer,) = viewer.open(str(tmp_path / "a.tif"), plugin="napari-atomseg")
    assert type(layer).__name__ == "Labels"
    np.testing.assert_array_equal(layer.data, numbers)


def test_layer_without_units_has_no_sampling(viewer: Any, tmp_path: Path) -> None:
    layer = viewer.add_image(RNG.normal(size=(2, 16, 20)), scale=(1, 0.2, 0.2))
    image = saved(layer, tmp_path / "a.tif")
    assert image.sampling is None
    assert image.axes == ("frame", "y", "x")


def test_colours_are_left_to_napari(viewer: Any, tmp_path: Path) -> None:
    layer = viewer.add_image(RNG.random((16, 20, 3)), rgb=True)
    with pytest.raises(TypeError, match="colours"):
        layer.save(str(tmp_path / "a.tif"), plugin="napari-atomseg")
    assert list(tmp_path.iterdir()) == []
