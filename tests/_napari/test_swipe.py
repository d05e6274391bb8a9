"""Before and after a restoration, side by side in one picture."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dask.array as da
import numpy as np
import pytest

from napari_atomseg._napari.layers import PROVENANCE, unwrapped

from .conftest import placement

OpenPanel = Callable[[str], Any]

pytestmark = pytest.mark.usefixtures("qtbot")


def pair(viewer: Any, data: Any, **place: Any) -> tuple[Any, Any]:
    before = viewer.add_image(data, name="survey", colormap="magma", **place)
    record = {"action": "restore", "source": "survey", "raw": "survey"}
    after = viewer.add_image(
        np.zeros(data.shape), name="survey denoised", metadata={PROVENANCE: record}, **place
    )
    return unwrapped(before), unwrapped(after)


def state(viewer: Any) -> list[tuple[str, bool]]:
    active = viewer.layers.selection.active
    names = [(layer.name, layer.visible) for layer in viewer.layers]
    return [*names, ("active", None if active is None else active.name)]


@pytest.mark.parametrize(
    ("shape", "place"),
    [
        ((40, 60), {"scale": (0.2, 0.3), "rotate": 30.0, "translate": (5.0, -3.0)}),
        ((3, 40, 60), {"scale": (1.0, 0.2, 0.2)}),
    ],
)
def test_the_source_covers_what_is_left_of_the_divider(
    dock: OpenPanel, viewer: Any, shape: tuple[int, ...], place: dict[str, Any]
) -> None:
    """On the pixels of the image, with its looks, and directly above the restored one."""
    data = np.random.default_rng(0).normal(size=shape)
    before, _ = pair(viewer, data, **place)
    swipe = dock("Restore").swipe
    assert not swipe.isHidden()
    known = state(viewer)
    swipe.on, swipe.divider = True, 0.25
    part = viewer.layers[viewer.layers.index("survey denoised") + 1]
    np.testing.assert_array_equal(part.data, data[..., :15])
    assert placement(part) == placement(before)
    assert part.colormap.name == "magma"
    before.contrast_limits = (-1.0, 2.0)
    assert tuple(part.contrast_limits) == (-1.0, 2.0)
    assert state(viewer)[-1] == known[-1]
    swipe.divider = 0.0
    assert not part.visible
    swipe.divider = 1.0
    assert part.visible
    np.testing.assert_array_equal(part.data, data)
    swipe.on = False
    assert state(viewer) == known


@pytest.mark.slow
def test_data_in_files_stay_there(dock: OpenPanel, viewer: Any) -> None:
    data = da.random.default_rng(0).normal(size=(3, 40, 60), chunks=(1, 40, 60))
    pair(viewer, data)
    swipe = dock("Restore").swipe
    swipe.on = True
    assert isinstance(viewer.layers[-1].data, da.Array)


@pytest.mark.slow
@pytest.mark.parametrize("gone", ["survey", "survey denoised", "survey before"])
def test_nothing_is_left_when_a_layer_goes(dock: OpenPanel, viewer: Any, gone: str) -> None:
    pair(viewer, np.ones((40, 60)))
    swipe = dock("Restore").swipe
    swipe.on = True
    viewer.layers.remove(gone)
    assert not swipe.on
    assert not swipe.box.isChecked()
    assert {layer.name for layer in viewer.layers} == {"survey", "survey denoised"} - {gone}
    assert swipe.isHidden() == (gone != "survey before")


def test_nothing_is_left_when_the_panel_is_closed(dock: OpenPanel, viewer: Any) -> None:
    """And what was hidden is hidden again."""
    _, after = pair(viewer, np.ones((40, 60)))
    after.visible = False
    known = state(viewer)
    panel = dock("Restore")
    panel.swipe.on = True
    assert after.visible
    viewer.window.remove_dock_widget(panel)
    assert state(viewer) == known


@pytest.mark.slow
def test_panels_do_not_offer_the_part(dock: OpenPanel, viewer: Any) -> None:
    pair(viewer, np.ones((40, 60)))
    restore = dock("Restore")
    restore.swipe.on = True
    for name in ("Restore", "Localize", "Measure", "Start"):
        panel = dock(name)
        panel.reset_choices()
        panel.take_newest()
        assert "survey before" not in {layer.name for layer in panel._image.choices}
        assert "before" not in panel.image.name


def test_without_a_restored_image_there_is_nothing_to_compare(dock: OpenPanel, viewer: Any) -> None:
    viewer.add_image(np.ones((40, 60)))
    swipe = dock("Restore").swipe
    assert swipe.isHidden()
    swipe.on = True
    assert not swipe.on
    assert len(viewer.layers) == 1
