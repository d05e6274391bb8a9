"""Results replace their own kind and source, and never what a user worked on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from napari.layers import Image, Points, Vectors

from napari_atomseg._napari import replace
from napari_atomseg._napari.layers import contrast_limits, points_layer
from napari_atomseg._napari.measure.source import LATTICE

OpenPanel = Callable[[str], Any]
PATIENCE = 120.0

pytestmark = pytest.mark.usefixtures("qtbot")


def columns(count: int = 5, shift: float = 0.0) -> pd.DataFrame:
    places = 10.0 * np.arange(1.0, count + 1.0) + shift
    return pd.DataFrame({"y": places, "x": places, "volume": np.arange(float(count))})


def points(table: pd.DataFrame) -> Points:
    return points_layer(table, "scene columns", {}, {"source": "scene"})


def names(viewer: Any) -> list[str]:
    return [layer.name for layer in viewer.layers]


@pytest.fixture
def put(viewer: Any) -> Callable[..., Any]:
    """Put one layer, the result of "find" on the layer "source" by default."""

    def put_one(layer: Any, kind: str = "find", source: str = "source") -> Any:
        (placed,) = replace.put(viewer, {"part": layer}, kind, source)
        return placed

    return put_one


def test_columns_take_new_data_in_their_place(viewer: Any, put: Callable[..., Any]) -> None:
    first = put(points(columns(5)))
    viewer.add_image(np.zeros((8, 8)), name="above")
    first.metadata[LATTICE] = "that of the former columns"
    first.visible = False
    second = put(points(columns(3, shift=1.0)))
    assert second is first
    assert names(viewer) == ["scene columns", "above"]
    np.testing.assert_array_equal(first.data, columns(3, shift=1.0)[["y", "x"]])
    assert list(first.features["volume"]) == [0.0, 1.0, 2.0]
    assert not first.visible
    assert LATTICE not in first.metadata


def test_other_kinds_and_sources_stay(viewer: Any, put: Callable[..., Any]) -> None:
    for kind, source in (("find", "a"), ("find", "b"), ("fit", "a")):
        put(points(columns()), kind, source)
    assert len(viewer.layers) == 3
    put(points(columns(3)), "find", "b")
    assert sorted(len(layer.data) for layer in viewer.layers) == [3, 5, 5]


def _drag(layer: Points) -> None:
    layer.data = layer.data + np.eye(len(layer.data))[:, :1]


def _name_species(layer: Points) -> None:
    layer.features = layer.features.assign(volume=7.0)


def _rename(layer: Points) -> None:
    layer.name = "the good ones"


@pytest.mark.parametrize("work", [_drag, _name_species, _rename])
def test_hand_work_is_never_replaced(
    viewer: Any, put: Callable[..., Any], work: Callable[[Points], None]
) -> None:
    first = put(points(columns()))
    work(first)
    data, features = first.data.copy(), first.features.copy()
    second = put(points(columns(3)))
    assert second is not first
    assert second.name == "scene columns"
    assert first.name in ("scene columns (edited)", "the good ones")
    np.testing.assert_array_equal(first.data, data)
    pd.testing.assert_frame_equal(first.features, features)
    third = put(points(columns(2)))
    assert third is second
    assert len(viewer.layers) == 2


def test_measured_features_are_no_hand_work(put: Callable[..., Any]) -> None:
    first = put(points(columns()))
    first.features = first.features.assign(species="Sr")
    replace.note_features(first, ["species"])
    assert not replace.worked_on(first)
    first.features = first.features.assign(species="Ba")
    assert replace.worked_on(first)


def test_copies_of_a_result_stay(viewer: Any, put: Callable[..., Any]) -> None:
    first = put(points(columns()))
    copy = Points(first.data, features=first.features, metadata=dict(first.metadata), name="copy")
    viewer.add_layer(copy)
    assert put(points(columns(3))) is first
    assert len(copy.data) == 5


def test_a_chosen_contrast_stays_and_an_automatic_one_follows(put: Callable[..., Any]) -> None:
    rng = np.random.default_rng(0)
    images = [rng.normal(level, 1.0, (32, 32)) for level in (0.0, 50.0, 90.0)]

    def image(data: Any) -> Image:
        return Image(data, name="scene denoised", contrast_limits=contrast_limits(data))

    layer = put(image(images[0]))
    assert put(image(images[1])) is layer
    assert tuple(layer.contrast_limits) == pytest.approx(contrast_limits(images[1]))
    layer.contrast_limits = (49.0, 51.0)
    layer.colormap = "magma"
    put(image(images[2]))
    assert tuple(layer.contrast_limits) == (49.0, 51.0)
    assert layer.colormap.name == "magma"
    np.testing.assert_array_equal(layer.data, images[2])


def test_another_number_of_axes_comes_in_the_same_place(
    viewer: Any, put: Callable[..., Any]
) -> None:
    put(Image(np.zeros((8, 8)), name="scene denoised"))
    viewer.add_image(np.zeros((8, 8)), name="above")
    put(Image(np.zeros((3, 8, 8)), name="scene denoised"))
    assert names(viewer) == ["scene denoised", "above"]
    assert viewer.layers[0].ndim == 3


def test_parts_that_are_not_made_again_go(viewer: Any) -> None:
    both = {"image": points(columns()), "test": Image(np.zeros((4, 4)), name="test")}
    replace.put(viewer, both, "restore", "a")
    replace.put(viewer, {"image": points(columns(2))}, "restore", "a")
    assert names(viewer) == ["scene columns"]


@pytest.mark.slow
def test_localize_replaces_its_columns_and_the_panels_follow(
    dock: OpenPanel, viewer: Any, image_layer: Any
) -> None:
    panel = dock("Localize")
    panel.detector, panel.on = "peaks", "raw"
    found = panel.run().result(PATIENCE)
    assert not panel.keep_button.isHidden()
    editor, measure = dock("Columns"), dock("Measure")
    measure.measure = "lattice"
    cells = measure.run().result(PATIENCE).layers
    assert editor.columns is found
    assert measure.columns is found
    panel.refine = "none"
    assert panel.run().result(PATIENCE) is found
    assert editor.columns is found
    assert measure.columns is found
    assert not editor.edits.can_undo
    assert not editor.edits.changed.any()
    assert "species" not in found.features
    # They belong to the former columns; measured again, they are shown in their places.
    assert not any(layer.visible for layer in cells)
    count = len(viewer.layers)
    again = measure.run().result(PATIENCE).layers
    assert len(viewer.layers) == count
    assert any(isinstance(layer, Vectors) and layer.visible for layer in again)


@pytest.mark.slow
def test_keep_pins_a_result_and_a_failure_leaves_it(
    dock: OpenPanel, viewer: Any, image_layer: Any
) -> None:
    panel = dock("Localize")
    panel.detector, panel.on = "peaks", "raw"
    first = panel.run().result(PATIENCE)
    assert panel.keep() == [first]
    assert panel.keep() == []
    assert panel.keep_button.isHidden()
    second = panel.run().result(PATIENCE)
    assert names(viewer) == ["scene", "scene columns (kept)", "scene columns"]
    data = second.data.copy()
    job = panel.run()
    job.cancel()
    job.wait(PATIENCE)
    np.testing.assert_array_equal(second.data, data)
    assert len(viewer.layers) == 3
