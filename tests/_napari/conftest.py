from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from app_model import Application
from napari import Viewer
from napari._app_model._app import NapariApplication, _napari_names
from napari._qt._qapp_model.qactions import init_qactions
from napari._qt.qt_viewer import QtViewer
from napari.plugins import _initialize_plugins
from napari.settings import get_settings
from napari.utils._proxies import PublicOnlyProxy
from napari.utils.notifications import Notification, notification_manager
from npe2 import PluginManager, PluginManifest
from npe2._pytest_plugin import TestPluginManager
from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QApplication, QMainWindow

from napari_atomseg._napari.layers import unwrapped
from napari_atomseg.simulation import Simulation, simulate


@pytest.fixture(scope="session")
def manifests() -> list[PluginManifest]:
    """The manifests of napari's own plugin and of this one."""
    return [PluginManifest.from_distribution(name) for name in ("napari", "napari-atomseg")]


@pytest.fixture
def plugin(npe2pm: Any, plugin_settings: None, manifests: list[PluginManifest]) -> Any:
    """napari's own plugin and this one, with preferences of this test's own."""
    for manifest in manifests:
        npe2pm.register(manifest)
    return npe2pm


@pytest.fixture(scope="module")
def shared_viewer(qapp: Any, manifests: list[PluginManifest]) -> Iterator[Viewer]:
    """One viewer for the tests of a file: opening and closing one takes a second.

    It is opened as napari's `make_napari_viewer` does, which is there for single tests only.
    """
    plugins, application = TestPluginManager(), NapariApplication("shared_viewer")
    application.injection_store.namespace = _napari_names
    for manifest in manifests:
        plugins.register(manifest)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PluginManager, "instance", lambda: plugins)
        patch.setattr(NapariApplication, "get_app_model", lambda: application)
        patch.setattr("napari._qt.threads.status_checker.StatusChecker.start", lambda _: None)
        patch.setattr("napari._qt.qt_main_window.SHOW_QT_WARNING", False)
        for cached in (_initialize_plugins, init_qactions):
            cached.cache_clear()
        viewer = Viewer(show=False, show_welcome_screen=False)
        # A viewer that `make_napari_viewer` opens beside this one is to be the only one it knows.
        QtViewer._instances.discard(viewer.window._qt_viewer)
        gc.collect()
        gc.freeze()
        yield viewer
        window = viewer.window._qt_window
        patch.setattr(window, "_save_current_window_settings", lambda: None)
        viewer.close()
        for cached in (_initialize_plugins, init_qactions):
            cached.cache_clear()
        Application.destroy("shared_viewer")
    gc.unfreeze()
    gc.collect()
    gc.freeze()


@pytest.fixture
def viewer(
    request: pytest.FixtureRequest, plugin: Any, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Any]:
    """An empty viewer; one that may be shown, resized and closed with the mark `own_viewer`."""
    if request.node.get_closest_marker("own_viewer"):
        yield request.getfixturevalue("make_napari_viewer_proxy")()
        return
    monkeypatch.setenv("NAPARI_ENSURE_PLUGIN_MAIN_THREAD", "True")
    viewer = request.getfixturevalue("shared_viewer")
    get_settings().reset()
    before = viewer.theme, viewer.dims.axis_labels
    yield PublicOnlyProxy(viewer)
    for dock in list(viewer.window._wrapped_dock_widgets.values()):
        panel = dock.inner_widget()
        viewer.window.remove_dock_widget(dock)
        panel.deleteLater()
    viewer.layers.clear()
    viewer.theme, viewer.dims.axis_labels = before
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    # What is left of a panel would still follow the layers of the next test.
    gc.collect()


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
def window(viewer: Any, qtbot: Any) -> Iterator[QMainWindow]:
    """The window of the viewer, on the screen."""
    window = unwrapped(unwrapped(viewer).window)._qt_window
    window.resize(1366, 740)
    with qtbot.waitExposed(window):
        window.show()
    yield window
    window.hide()


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
