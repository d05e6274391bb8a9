"""Take the pictures of the panels.

    python docs/screenshots.py IMAGE SAMPLING [FOLDER]
    python docs/screenshots.py IMAGE SAMPLING FOLDER COLUMNS

IMAGE is opened at SAMPLING (Å per pixel); the pictures go to FOLDER (docs/images). With COLUMNS, a
CSV file of rows and columns in pixels, a network learns from the image and these columns: its
training is cancelled, resumed and finished, and finds the columns of the image; it stays among the
models of NAPARI_ATOMSEG_CACHE. Needs a screen of
at least 1366 x 768 pixels, or ``xvfb-run -a -s "-screen 0 1366x768x24"`` before the command.
The pictures in the documentation show the Si [110] test image of AtomSegNet
(https://github.com/xinhuolin/AtomSegNet, MIT licence; field of view 5 nm, 0.0977 Å per pixel) and
the Pt-Ir particle that is an example of StatSTEM (0.1211 Å per pixel).
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from napari.viewer import Viewer
from PIL import Image
from qtpy.QtWidgets import QApplication

import napari_atomseg as atomseg
from napari_atomseg._napari.layers import image_layer, points_layer, sampled
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


def annotated(image: str, sampling: float, folder: Path, columns: str) -> None:
    """Train on an annotated image: cancel, resume, finish, use."""
    viewer = Viewer(title="napari AtomSeg")
    viewer.window.resize(WIDTH, HEIGHT)
    table = np.loadtxt(columns, delimiter=",", comments="#")[:, :2]
    marked = pd.DataFrame(table, columns=["y", "x"])
    made = {"action": "read", "source": Path(image).name}
    viewer.add_layer(image_layer(read_image(image).data, "particle", sampled(sampling), made))
    viewer.add_layer(points_layer(marked, "columns", sampled(sampling), made))
    dock, panel = viewer.window.add_plugin_dock_widget("napari-atomseg", "Train")
    training = panel.training
    training.name, training.source, training.resume = "particle", "annotated", True
    training.pairs, training.tasks = [("particle", ["columns"])], ("column_map", "column_mask")
    training.steps, training.batch, training.crop, training.warm_up = 160, 8, 96, 10
    training.validate_every, training.validation, training.rate = 10, 16, 3e-3
    job = training.run()
    while len(training.watch.log) < 6 and not job.done:
        settle()
    job.cancel()
    job.wait()
    job = training.run()
    while len(training.watch.log) < 12 and not job.done:
        settle()
    take(viewer, folder / "train-annotated.png")
    job.wait()
    settle()
    viewer.window.remove_dock_widget(dock)
    viewer.layers["columns"].visible = False
    _, localize = viewer.window.add_plugin_dock_widget("napari-atomseg", "Localize")
    localize.image, localize.model = "particle", "particle"
    found = localize.run().result()
    scores = atomseg.analyze.scores(
        pd.DataFrame(np.asarray(found.data), columns=["y", "x"]), marked, radius=4.0
    )
    sys.stdout.write(f"{len(found.data)} columns found of {len(marked)}: {scores}\n")
    take(viewer, folder / "localize-trained.png")
    viewer.close()


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
    pictures = Path(sys.argv[3]) if len(sys.argv) > 3 else Path(__file__).parent / "images"
    if len(sys.argv) > 4:
        annotated(sys.argv[1], float(sys.argv[2]), pictures, sys.argv[4])
    else:
        main(sys.argv[1], float(sys.argv[2]), pictures)
