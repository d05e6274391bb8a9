"""The window of which `screenshots` and `measure_panel` take pictures."""

from __future__ import annotations

import time
from pathlib import Path

from napari.viewer import Viewer
from PIL import Image
from qtpy.QtWidgets import QApplication

WIDTH, HEIGHT = 1366, 768
"""Pixels: a small laptop's."""


def open_viewer() -> Viewer:
    """An empty window."""
    viewer = Viewer(title="napari AtomSeg")
    viewer.window.resize(WIDTH, HEIGHT)
    return viewer


def settle(seconds: float = 0.5) -> None:
    """Let the window draw."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        QApplication.processEvents()
        time.sleep(0.01)


def take(viewer: Viewer, path: Path) -> None:
    """Save a picture of the window in 256 colours, which keeps it small."""
    viewer.reset_view()
    settle()
    viewer.window.screenshot(path, canvas_only=False, flash=False)
    with Image.open(path) as picture:
        few = picture.convert("RGB").quantize(256)
    few.save(path, optimize=True)
