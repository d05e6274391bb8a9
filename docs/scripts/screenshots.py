"""All pictures of the window, for the README and the pages of the steps; needs a screen.

    python docs/scripts/draw.py screenshots FOLDER
    python docs/scripts/draw.py screenshots FOLDER --only panels

FOLDER has the images of Si [110] and of a nanoparticle that are test images of AtomSegNet
(https://github.com/xinhuolin/AtomSegNet, MIT licence), as `si110….png` and `nanoparticle….png`;
where they are not there, `training` and most of `panels` cannot be taken. The other pictures are of
simulated images. After a change of panels all of them are taken anew, and looked at.

`training` learns from a part of the particle, at half its pixels, with the columns that
`localize` finds there: the training is cancelled, resumed and finished, and its network finds the
columns of the whole particle. It stays among the models of NAPARI_ATOMSEG_CACHE, which the picture
of the Models panel shows.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import examples
import measure_panel
import numpy as np
import pandas as pd
import tour
from napari.viewer import Viewer
from window import open_viewer, settle, take

import napari_atomseg as atomseg
from napari_atomseg._napari.layers import image_layer, points_layer, sampled
from napari_atomseg.io import provenance, read_image, write_image
from napari_atomseg.workflow import Workflow

SILICON, PARTICLE = ("si110*.png", 0.0977), ("nanoparticle*.png", 0.0726)
"""Names of the images, and Å per pixel."""
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


def training(image: Path, sampling: float, folder: Path) -> None:
    """Train on a part of an image: cancel, resume, finish, use; then show the models."""
    viewer = open_viewer()
    whole, place = halved(read_image(image).data), sampled(2 * sampling)
    there = place | {"translate": [2 * sampling * side.start for side in MARKED]}
    made = provenance("read", image.name, {})
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


def panels(image: Path, sampling: float, folder: Path) -> None:
    """Take the pictures of the other panels."""
    viewer = open_viewer()
    viewer.canvas.overlays.scale_bar.visible = True
    simulate(viewer, folder)
    library(viewer, folder)
    align(viewer, folder)
    batch(viewer, folder)
    made = provenance("read", image.name, {})
    viewer.add_layer(image_layer(read_image(image).data, "Si [110]", sampled(sampling), made))
    opened(viewer, folder, "Start")
    apply(viewer, folder, "Restore")
    apply(viewer, folder, "Scan")
    apply(viewer, folder, "Segment", contour=2, opacity=0.9)
    apply(viewer, folder, "Localize")
    viewer.layers.selection.active = viewer.layers["Si [110] columns"]
    viewer.layers["Si [110] columns"].visible = True
    opened(viewer, folder, "History")
    columns(viewer, folder)
    train(viewer, folder)
    viewer.close()


def opened(viewer: Viewer, folder: Path, name: str) -> None:
    """A panel as it opens."""
    dock, _ = viewer.window.add_plugin_dock_widget("napari-atomseg", name)
    settle(1.0)
    take(viewer, folder / f"{name.lower()}.png")
    viewer.window.remove_dock_widget(dock)


def align(viewer: Viewer, folder: Path) -> None:
    """Average the frames of a particle that drifts, by so many Å."""
    drift = [(0.0, 0.0), (0.3, -0.2), (0.5, -0.7), (1.1, -0.9), (1.3, -1.6), (1.9, -2.1)]
    common = {"rotation": 17.0, "shape_kind": "particle"}
    frames = [
        atomseg.simulate("Pt", (1, 1, 0), (224, 224), 0.15, 2e3, 1, offset=offset, **common).image
        for offset in drift
    ]
    units = ("pixel", "angstrom", "angstrom")
    viewer.add_image(np.stack(frames), name="frames", scale=(1, 0.15, 0.15), units=units)
    dock, panel = viewer.window.add_plugin_dock_widget("napari-atomseg", "Align")
    panel.image = "frames"
    panel.run().result()
    settle(1.0)
    take(viewer, folder / "align.png")
    viewer.window.remove_dock_widget(dock)
    viewer.layers.clear()


def batch(viewer: Viewer, folder: Path) -> None:
    """Repeat a workflow on a folder of which one file is broken."""
    with tempfile.TemporaryDirectory() as home, contextlib.chdir(home):
        images = Path("surveys")
        images.mkdir()
        for seed in range(4):
            scene = atomseg.simulate("SrTiO3", (0, 0, 1), (128, 128), 0.15, 2e4, seed)
            write_image(images / f"survey-{seed + 1}.tif", scene.image, scene.sampling)
        (images / "survey-5.tif").write_bytes(b"II*broken")
        steps = Path("lattice.yaml")
        Workflow.of(
            [
                {"name": "columns", "action": "localize"},
                {"name": "lattice", "action": "measure lattice", "of": "columns"},
            ]
        ).save(steps)
        dock, panel = viewer.window.add_plugin_dock_widget("napari-atomseg", "Batch")
        panel.workflow, panel.folder = str(steps), images
        panel.run().result()
        settle(1.0)
        take(viewer, folder / "batch.png")
        viewer.window.remove_dock_widget(dock)
    viewer.layers.clear()


def arguments(parser: argparse.ArgumentParser) -> None:
    """Where the recorded images are, and which pictures are taken."""
    parser.add_argument("images", type=Path, help="folder of the recorded images")
    every = ("panels", "measure", "tour", "examples", "training")
    parser.add_argument("--only", nargs="+", choices=every, default=every)


def draw(folder: Path, images: Path, only: Sequence[str]) -> None:
    """Take the pictures."""

    def recorded(name: str, sampling: float) -> tuple[Path, float]:
        found = next(images.rglob(name), None)
        if found is None:
            sys.exit(f"{images} has no {name}")
        return found, sampling

    pictures = {
        "panels": lambda: panels(*recorded(*SILICON), folder),
        "measure": lambda: measure_panel.draw(folder),
        "tour": lambda: tour.draw(folder),
        "examples": lambda: examples.draw(folder, None),
        "training": lambda: training(*recorded(*PARTICLE), folder),
    }
    for name in only:
        pictures[name]()
