"""Panels in the docks of the window."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from npe2 import PluginManifest
from qtpy.QtWidgets import QMainWindow

from napari_atomseg._napari.dock import dock_of

OpenPanel = Callable[[str], Any]

pytestmark = pytest.mark.usefixtures("qtbot")

WIDGETS = [
    each.display_name
    for each in PluginManifest.from_distribution("napari-atomseg").contributions.widgets or ()
    if each.display_name != "Tour"  # which stands below the image
]


@pytest.mark.slow
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


def test_panels_opened_in_one_breath_leave_the_window_as_it_is(
    window: QMainWindow, dock: OpenPanel, qtbot: Any
) -> None:
    """As a script does, which gives the window no time between two of them."""
    height = window.height()
    panels = [dock(name) for name in ("Restore", "Localize", "Columns", "Measure", "Segment")]
    last = dock_of(panels[-1])
    qtbot.waitUntil(lambda: len(window.tabifiedDockWidgets(last)) == 4, timeout=5000)
    qtbot.waitUntil(lambda: window.height() == height, timeout=5000)
    qtbot.wait(50)
    assert window.height() == height


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
