"""Panels in the docks of the window."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from npe2 import PluginManifest
from qtpy.QtWidgets import QDockWidget, QMainWindow

from napari_atomseg._napari.dock import Docked
from napari_atomseg._napari.layers import unwrapped

OpenPanel = Callable[[str], Any]

pytestmark = pytest.mark.usefixtures("qtbot")

WIDGETS = [
    each.display_name
    for each in PluginManifest.from_distribution("napari-atomseg").contributions.widgets or ()
    if each.display_name != "Tour"  # which stands below the image
]


@pytest.fixture
def window(viewer: Any, qtbot: Any) -> Iterator[QMainWindow]:
    """The window of the viewer, on the screen."""
    window = unwrapped(unwrapped(viewer).window)._qt_window
    window.resize(1366, 740)
    with qtbot.waitExposed(window):
        window.show()
    yield window
    window.hide()


def dock_of(panel: Docked) -> QDockWidget:
    parent = panel.parentWidget()
    while not isinstance(parent, QDockWidget):
        parent = parent.parentWidget()
    return parent


def test_panels_are_tabs_of_one_dock(window: QMainWindow, dock: OpenPanel, qtbot: Any) -> None:
    """The window does not grow, however many are open, and the last one is on top."""
    first = dock(WIDGETS[0])
    qtbot.waitUntil(first.isVisible, timeout=2000)
    height = window.height()
    for name in WIDGETS[1:]:
        last = dock(name)
        qtbot.waitUntil(last.isVisible, timeout=2000)
    assert len(window.tabifiedDockWidgets(dock_of(first))) == len(WIDGETS) - 1
    assert window.height() == height
    qtbot.waitUntil(lambda: not last.visibleRegion().isEmpty(), timeout=2000)
    assert first.visibleRegion().isEmpty()
    assert dock_of(last).windowTitle() == WIDGETS[-1]


@pytest.mark.parametrize("name", WIDGETS)
def test_any_panel_fits_below_300_pixels(viewer: Any, dock: OpenPanel, name: str) -> None:
    assert dock(name).minimumSizeHint().height() <= 300


def test_a_dock_that_was_dragged_away_keeps_its_place(
    window: QMainWindow, dock: OpenPanel, qtbot: Any
) -> None:
    away = dock("Restore")
    dock_of(away).setFloating(True)
    beside = dock("Localize")
    qtbot.wait(10)
    assert window.tabifiedDockWidgets(dock_of(beside)) == []
    assert dock_of(away).isFloating()
