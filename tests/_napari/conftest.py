from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from napari.utils.notifications import Notification, notification_manager
from npe2 import PluginManifest

from napari_atomseg.simulation import Simulation, simulate


@pytest.fixture
def plugin(npe2pm: Any, plugin_settings: None) -> Any:
    """napari's own plugin and this one, with preferences of this test's own."""
    for name in ("napari", "napari-atomseg"):
        npe2pm.register(PluginManifest.from_distribution(name))
    return npe2pm


@pytest.fixture
def viewer(make_napari_viewer_proxy: Any, plugin: Any) -> Any:
    return make_napari_viewer_proxy()


@pytest.fixture
def dock(viewer: Any) -> Callable[[str], Any]:
    """Opens a panel as a user's script does."""

    def open_panel(name: str) -> Any:
        return viewer.window.add_plugin_dock_widget("napari-atomseg", name)[1]

    return open_panel


@pytest.fixture
def notices() -> list[Notification]:
    """What the user was told since the test began."""
    notification_manager.records.clear()
    return notification_manager.records  # type: ignore[no-any-return]


@pytest.fixture(scope="session")
def scene() -> Simulation:
    return simulate("SrTiO3", shape=(128, 160), sampling=0.15, dose=2e4, seed=3)


@pytest.fixture
def image_layer(viewer: Any, scene: Simulation) -> Any:
    """An image that is not only scaled: shifted and turned too."""
    return viewer.add_image(
        scene.image,
        name="scene",
        scale=(0.015, 0.015),
        translate=(3.0, -2.0),
        rotate=20.0,
        units=("nm", "nm"),
        axis_labels=("slow", "fast"),
    )


def placement(layer: Any) -> dict[str, Any]:
    return {
        "scale": tuple(np.round(layer.scale, 9)),
        "translate": tuple(np.round(layer.translate, 9)),
        "rotate": np.round(layer.rotate, 9).tolist(),
        "units": tuple(map(str, layer.units)),
        "axis_labels": tuple(layer.axis_labels),
    }
