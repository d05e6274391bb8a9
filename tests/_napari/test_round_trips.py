"""Layers saved from the window and opened again: what they show, where they lie, how they arose."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest

from napari_atomseg._napari.layers import PROVENANCE
from napari_atomseg.io import read_columns, write_image

RNG = np.random.default_rng(0)
OURS = "napari-atomseg"
NM = {"scale": (0.02, 0.03), "units": ("nm", "nm")}
FRAMES = {"scale": (1, 0.2, 0.2), "units": ("pixel", "angstrom", "angstrom")}


def again(viewer: Any, layer: Any, path: Path) -> Any:
    """Save the selected layer by napari's menu, and open the file."""
    viewer.layers.selection = {layer}
    assert viewer.layers.save(str(path), selected=True, plugin=OURS) == [str(path)]
    # No half-written file or folder is left beside it.
    assert [each for each in path.parent.iterdir() if each.name.startswith(".")] == []
    return viewer.open(str(path), plugin=OURS)[-1]


def corners(layer: Any) -> Any:
    """Places of pixels in the world, the last two axes in Å."""
    shape = np.array(layer.data.shape)
    places = [np.zeros(len(shape)), shape - 1.0, (shape - 1) * ([0.0] * (len(shape) - 1) + [1])]
    world = np.array([layer.data_to_world(place) for place in places])
    factor = [10.0 if str(unit) == "nanometer" else 1.0 for unit in layer.units]
    return world * factor


@pytest.mark.parametrize("suffix", [".tif", ".h5", ".zarr"])
@pytest.mark.parametrize(
    "place",
    [
        {"rotate": 30.0, "translate": (3.0, -4.0), **NM},
        {"shear": [0.3], **NM},
        {"affine": [[0.0, -1.0, 5.0], [1.0, 0.0, 7.0], [0.0, 0.0, 1.0]]},
        {},
    ],
)
def test_images_come_back_where_they_were(
    viewer: Any, tmp_path: Path, suffix: str, place: dict[str, Any]
) -> None:
    pixels = RNG.normal(size=(8, 9)).astype(np.float32)
    layer = viewer.add_image(
        pixels, name="a/b µ±é", metadata={PROVENANCE: {"action": "restore"}}, **place
    )
    made = again(viewer, layer, tmp_path / f"näme µ 1{suffix}")
    np.testing.assert_array_equal(made.data, pixels)
    np.testing.assert_allclose(corners(made), corners(layer), atol=1e-6)
    assert made.metadata["file"]["provenance"] == {"action": "restore"}


@pytest.mark.parametrize("suffix", [".tif", ".zarr"])
def test_a_frame_of_a_stack_comes_back_at_its_place_of_the_slider(
    viewer: Any, tmp_path: Path, suffix: str
) -> None:
    numbers = RNG.integers(0, 9, (1, 8, 9)).astype(np.int32)
    layer = viewer.add_labels(numbers, translate=(7, 3, 4), **FRAMES)
    made = again(viewer, layer, tmp_path / f"a{suffix}")
    assert type(made).__name__ == "Labels"
    np.testing.assert_array_equal(made.data, numbers)
    np.testing.assert_allclose(corners(made), corners(layer))


def test_stacks_that_are_not_in_memory_are_saved_frame_by_frame(
    viewer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[int] = []

    def block(part: Any) -> Any:
        held.append(len(part))
        return part

    frames = RNG.normal(size=(2, 3, 8, 9))
    lazy = da.from_array(frames, chunks=(1, 1, -1, -1)).map_blocks(block, dtype=float)
    layer = viewer.add_image(lazy, contrast_limits=(-3, 3), name="film")
    monkeypatch.setattr("psutil.virtual_memory", lambda: type("Free", (), {"available": 10})())
    np.testing.assert_array_equal(again(viewer, layer, tmp_path / "a.zarr").data, frames)
    assert max(held) == 1
    viewer.layers.selection = {layer}
    with pytest.raises(TypeError, match="any file but Zarr needs all frames in memory"):
        layer.save(str(tmp_path / "a.tif"), plugin=OURS)
    assert [path.name for path in tmp_path.iterdir()] == ["a.zarr"]


@pytest.mark.parametrize("suffix", [".csv", ".xyz", ".hdf5"])
@pytest.mark.parametrize("axes", [0, 1, 2])
def test_points_come_back_in_their_frames(
    viewer: Any, tmp_path: Path, suffix: str, axes: int
) -> None:
    places = np.column_stack([RNG.integers(0, 3 + axes, (12, axes)), RNG.uniform(0, 9, (12, 2))])
    places = places[np.lexsort(places.T[::-1])]  # XYZ has a block a frame
    units = ("pixel",) * axes + ("angstrom",) * 2
    layer = viewer.add_points(
        places,
        name="columns µ",
        features={"volume": np.arange(12.0), "species": ["A", "B"] * 6},
        scale=(1,) * axes + (0.2, 0.3),
        translate=(0,) * axes + (5, 6),
        units=units,
        metadata={PROVENANCE: {"action": "localize", "source": "scene"}},
    )
    made = again(viewer, layer, tmp_path / f"a{suffix}")
    np.testing.assert_allclose(made.data, layer.data, rtol=1e-9)
    for name in ("scale", "translate"):
        np.testing.assert_allclose(getattr(made, name), getattr(layer, name))
    assert tuple(map(str, made.units)) == units
    assert list(made.features["volume"]) == list(layer.features["volume"])
    assert list(made.features["species"]) == list(layer.features["species"])
    assert made.metadata[PROVENANCE]["source"] == "scene"


def test_points_of_naparis_own_writer_are_read(viewer: Any, tmp_path: Path) -> None:
    places = np.column_stack([[0, 0, 2], [3.5, 4.0, 5.0], [6.0, 7.0, 8.5]])
    layer = viewer.add_points(places, features={"volume": [1.0, 2.0, 3.0]}, **FRAMES)
    path = tmp_path / "points.csv"
    layer.save(str(path), plugin="napari")
    (made,) = viewer.open(str(path), plugin="napari")
    np.testing.assert_allclose(made.data, places)
    table = read_columns(path)
    assert list(table["frame"]) == [0, 0, 2]
    np.testing.assert_allclose(table[["y", "x"]], places[:, 1:])
    assert list(table["volume"]) == [1.0, 2.0, 3.0]


def test_layers_are_not_written_over_what_they_were_made_from(viewer: Any, tmp_path: Path) -> None:
    path = tmp_path / "recorded.tif"
    write_image(path, RNG.normal(size=(8, 9)).astype(np.float32), 0.2)
    before = path.read_bytes()
    (image,) = viewer.open(str(path), plugin=OURS)
    inputs = {"of": {"record": {"inputs": {"of": {"file": str(path)}}}}}
    record = {PROVENANCE: {"action": "restore", "inputs": inputs}}
    restored = viewer.add_image(image.data, name="restored", metadata=record)
    points = viewer.add_points(np.ones((3, 2)), metadata=record)
    link = tmp_path / "link.tif"
    link.symlink_to(path)
    for layer in (image, restored):
        for target in (path, link):
            with pytest.raises(TypeError, match=r"would overwrite .*choose another name"):
                layer.save(str(target), plugin=OURS)
    own = tmp_path / "recorded.csv"
    points.save(str(own), plugin=OURS)
    (opened,) = viewer.open(str(own), plugin=OURS)
    opened.save(str(own), plugin=OURS)  # its own table may be saved again
    labels = tmp_path / "labels.tif"
    write_image(labels, np.ones((8, 9), np.int32), labels=True)
    (painted,) = viewer.open(str(labels), plugin=OURS)
    painted.save(str(labels), plugin=OURS)
    assert path.read_bytes() == before
