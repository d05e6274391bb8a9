"""Take the pictures of the panels.

    python docs/screenshots.py IMAGE SAMPLING [FOLDER]

IMAGE is opened at SAMPLING (Å per pixel); the pictures go to FOLDER (docs/images). Needs a screen
of at least 1366 x 768 pixels, or ``xvfb-run -a -s "-screen 0 1366x768x24"`` before the command.
The pictures in the documentation show the Si [110] test image of AtomSegNet
(https://github.com/xinhuolin/AtomSegNet, MIT licence; field of view 5 nm, 0.0977 Å per pixel).
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from napari.viewer import Viewer
from PIL import Image
from qtpy.QtWidgets import QApplication

from napari_atomseg._napari.layers import image_layer, sampled
from napari_atomseg.io import read_image

WIDTH, HEIGHT = 1366, 768


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


def simulate(viewer: Viewer, folder: Path) -> None:
    """Simulate SrTiO3 at a low dose, with its truth."""
    dock, panel = viewer.window.add_plugin_dock_widget("napari-atomseg", "Simulate")
    panel.shape, panel.sampling, panel.dose, panel.rotation = (384, 384), 0.1, 1e4, 12.0
    panel.run().result()
    settle(2.0)  # the preview
    take(viewer, folder / "simulate.png")
    viewer.window.remove_dock_widget(dock)
    viewer.layers.clear()


def apply(viewer: Viewer, folder: Path, name: str, **settings: Any) -> None:
    """Run a panel on the image and hide its result again."""
    dock, panel = viewer.window.add_plugin_dock_widget("napari-atomseg", name)
    panel.image = "Si [110]"
    for setting, value in settings.items():
        setattr(panel, setting, value)
    result = panel.run().result()
    take(viewer, folder / f"{name.lower()}.png")
    result.visible = False
    viewer.window.remove_dock_widget(dock)


def library(viewer: Viewer, folder: Path) -> None:
    """Generate a small library, search it and show a sample."""
    dock, panel = viewer.window.add_plugin_dock_widget("napari-atomseg", "Library")
    with tempfile.TemporaryDirectory() as home:
        generate = panel.generate
        generate.folder, generate.count = str(Path(home) / "temimagenet"), 60
        generate.run().result()
        panel.browse.job.result()
        panel.browse.field_of_view = (10.0, 30.0)
        panel.browse.form.sections["Search"].button.setChecked(True)
        panel.browse.gallery.job.result()
        panel.browse.gallery.list.setCurrentRow(4)
        panel.browse.show_button.click()
        take(viewer, folder / "library.png")
    viewer.window.remove_dock_widget(dock)
    viewer.layers.clear()


def train(viewer: Viewer, folder: Path) -> None:
    """Train a network for a while."""
    dock, panel = viewer.window.add_plugin_dock_widget("napari-atomseg", "Train")
    training = panel.training
    training.name, training.recipe, training.steps = "for-oxides", "columns", 600
    training.batch, training.crop, training.validate_every = 8, 96, 20
    job = training.run()
    while len(training.watch.log) < 10 and not job.done:
        settle()
    training.watch.task_box.setCurrentIndex(training.watch.task_box.findData("column_map"))
    take(viewer, folder / "train.png")
    job.cancel()
    job.wait()
    viewer.window.remove_dock_widget(dock)


def main(image: str, sampling: float, folder: Path) -> None:
    """Take all pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    viewer = Viewer(title="napari AtomSeg")
    viewer.window.resize(WIDTH, HEIGHT)
    viewer.canvas.overlays.scale_bar.visible = True
    simulate(viewer, folder)
    library(viewer, folder)
    data = read_image(image).data
    made = {"action": "read", "source": Path(image).name}
    viewer.add_layer(image_layer(data, "Si [110]", sampled(sampling), made))
    apply(viewer, folder, "Restore")
    apply(viewer, folder, "Segment", contour=2, opacity=0.9)
    apply(viewer, folder, "Localize")
    train(viewer, folder)
    viewer.close()


if __name__ == "__main__":
    main(
        sys.argv[1],
        float(sys.argv[2]),
        Path(sys.argv[3]) if len(sys.argv) > 3 else Path(__file__).parent / "images",
    )
