"""The panels on measured images, for the README and the pages of the steps; needs a screen.

    python docs/scripts/draw.py screenshots panels si110_adf_512.png 0.0977
    python docs/scripts/draw.py screenshots training nanoparticle_adf_1182.png 0.0726

Both images are test images of AtomSegNet (https://github.com/xinhuolin/AtomSegNet, MIT licence),
opened at so many Å per pixel.

`training` learns from a part of the particle, at half its pixels, with the columns that
`localize` finds there: the training is cancelled, resumed and finished, and its network finds the
columns of the whole particle. It stays among the models of NAPARI_ATOMSEG_CACHE, which the picture
of the Models panel shows.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from napari.viewer import Viewer
from window import open_viewer, settle, take

import napari_atomseg as atomseg
from napari_atomseg._napari.layers import image_layer, points_layer, sampled
from napari_atomseg.io import read_image

MARKED = slice(50, 306), slice(30, 286)
"""Rows and columns of the particle that are learned from."""


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


def columns(viewer: Viewer, folder: Path) -> None:
    """Colour the columns, correct some of them, and select others in a plot."""
    viewer.layers["Si [110] columns"].visible = True
    dock, panel = viewer.window.add_plugin_dock_widget("napari-atomseg", "Columns")
    panel.columns = "Si [110] columns"
    panel.colour_by = "volume"
    layer = panel.columns
    layer.add(layer.data[len(layer.data) // 2] + [3.0, 3.0])
    volume = layer.features["volume"].dropna()
    panel.select("volume", *np.percentile(volume, (90, 100)))
    take(viewer, folder / "columns.png")
    viewer.window.remove_dock_widget(dock)
    layer.visible = False


def library(viewer: Viewer, folder: Path) -> None:
    """Generate a small library, search it and show a sample."""
    dock, panel = viewer.window.add_plugin_dock_widget("napari-atomseg", "Library")
    with tempfile.TemporaryDirectory() as home:
        generate = panel.generate
        generate.folder, generate.count = str(Path(home) / "temimagenet"), 60
        generate.run().result()
        panel.browse.job.result()
        panel.browse.field_of_view = (10.0, 30.0)
        panel.browse.form.sections["Search"].expand()
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


def training(image: str, sampling: float, folder: Path) -> None:
    """Train on a part of an image: cancel, resume, finish, use; then show the models."""
    viewer = open_viewer()
    whole, place = halved(read_image(image).data), sampled(2 * sampling)
    there = place | {"translate": [2 * sampling * side.start for side in MARKED]}
    made = {"action": "read", "source": Path(image).name}
    marked = atomseg.localize(whole[MARKED], sampling=2 * sampling)
    viewer.add_layer(image_layer(whole[MARKED], "part", there, made))
    viewer.add_layer(points_layer(marked, "columns of the part", there, made))
    learn(viewer, folder)
    viewer.layers.clear()
    viewer.add_layer(image_layer(whole, "particle", place, made))
    dock, localize = viewer.window.add_plugin_dock_widget("napari-atomseg", "Localize")
    localize.image, localize.model = "particle", "particle"
    found = localize.run().result()
    compare(
        pd.DataFrame(found.data, columns=["y", "x"]), atomseg.localize(whole, sampling=2 * sampling)
    )
    (top, bottom), (left, right) = ((side.start, side.stop) for side in MARKED)
    frame = [(top, left), (top, right), (bottom, right), (bottom, left)]
    looks = {"edge_color": "orange", "edge_width": 2, "face_color": "transparent"}
    viewer.add_shapes([frame], name="learned from", **place, **looks)
    take(viewer, folder / "localize-trained.png")
    viewer.window.remove_dock_widget(dock)
    models(viewer, folder)
    viewer.close()


def learn(viewer: Viewer, folder: Path) -> None:
    """Train the model "particle" from the layers, with a break."""
    dock, panel = viewer.window.add_plugin_dock_widget("napari-atomseg", "Train")
    training = panel.training
    training.name, training.source, training.resume = "particle", "annotated", True
    training.pairs = [("part", ["columns of the part"])]
    training.tasks = ("column_map", "column_mask")
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
    job.result()
    settle()
    viewer.window.remove_dock_widget(dock)


def halved(image: Any) -> Any:
    """An image (2 H, 2 W) of half its pixels (H, W): means of two by two."""
    height, width = (size // 2 for size in image.shape)
    whole = np.asarray(image, np.float32)[: 2 * height, : 2 * width]
    return whole.reshape(height, 2, width, 2).mean(axis=(1, 3))


def compare(found: pd.DataFrame, known: pd.DataFrame) -> None:
    """Print how the columns found agree with those of the shipped model."""
    (top, bottom), (left, right) = ((side.start, side.stop) for side in MARKED)

    def inside(table: pd.DataFrame) -> pd.Series[bool]:
        return table.y.between(top, bottom - 1) & table.x.between(left, right - 1)

    for name, mine, others in (
        ("in the part", found[inside(found)], known[inside(known)]),
        ("in the rest", found[~inside(found)], known[~inside(known)]),
    ):
        scores = atomseg.analyze.scores(mine, others, radius=4.0)
        sys.stdout.write(f"{name}: {len(mine)} columns, stem-hr {len(others)}: {scores}\n")


def models(viewer: Viewer, folder: Path) -> None:
    """Show the models and a card."""
    dock, panel = viewer.window.add_plugin_dock_widget("napari-atomseg", "Models")
    panel.selected = "stem-hr"
    take(viewer, folder / "models.png")
    viewer.window.remove_dock_widget(dock)


def panels(image: str, sampling: float, folder: Path) -> None:
    """Take the pictures of the other panels."""
    viewer = open_viewer()
    viewer.canvas.overlays.scale_bar.visible = True
    simulate(viewer, folder)
    library(viewer, folder)
    data = read_image(image).data
    made = {"action": "read", "source": Path(image).name}
    viewer.add_layer(image_layer(data, "Si [110]", sampled(sampling), made))
    apply(viewer, folder, "Restore")
    apply(viewer, folder, "Scan")
    apply(viewer, folder, "Segment", contour=2, opacity=0.9)
    apply(viewer, folder, "Localize")
    columns(viewer, folder)
    train(viewer, folder)
    viewer.close()


def arguments(parser: argparse.ArgumentParser) -> None:
    """Which pictures, and the image that they show."""
    parser.add_argument("what", choices=("panels", "training"))
    parser.add_argument("image")
    parser.add_argument("sampling", type=float, help="Å per pixel")


def draw(folder: Path, what: str, image: str, sampling: float) -> None:
    """Take the pictures."""
    pictures = {"panels": panels, "training": training}[what]
    pictures(image, sampling, folder)
