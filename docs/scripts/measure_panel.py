"""The Measure panel, for docs/measure.md; needs a screen.

The crystal is planted: a perovskite of 3.9 Å whose weaker columns are displaced by 30 pm, up in one
half and down in the other, and which is stretched by up to 2 % along a band.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from window import open_viewer, take

from napari_atomseg._napari.layers import image_layer, points_layer, sampled

CELL, SAMPLING, SIZE, SIGMA = 26.0, 0.15, 400, 4.0
POLAR = 2.0
"""Pixels of displacement: 30 pm."""


def planted() -> pd.DataFrame:
    """Columns with their positions (px), errors and volumes."""
    rng = np.random.default_rng(0)
    cells = np.arange(0.6, SIZE / CELL - 0.4)
    corners = CELL * np.stack(np.meshgrid(cells, cells, indexing="ij"), axis=-1).reshape(-1, 2)
    middles = corners + 0.5 * CELL
    middles = middles[(middles < SIZE - 10).all(axis=1)]
    middles[:, 0] += np.where(middles[:, 1] < SIZE / 2, -POLAR, POLAR)
    places = np.concatenate([corners, middles])
    band = 30.0
    places[:, 0] += 0.02 * band * np.tanh((places[:, 0] - SIZE / 2) / band)
    places += rng.normal(0.0, 0.1, places.shape)
    volume = np.repeat([1.0, 0.5], [len(corners), len(middles)])
    volume *= rng.normal(1.0, 0.02, len(places))
    return pd.DataFrame(
        {"y": places[:, 0], "x": places[:, 1], "y_err": 0.1, "x_err": 0.1, "volume": volume}
    )


def picture(columns: pd.DataFrame) -> np.ndarray:
    """(H, W) Gaussians at the columns, with noise."""
    y, x = np.indices((SIZE, SIZE))
    image = np.random.default_rng(1).normal(0.0, 0.05, y.shape)
    for row in columns.itertuples():
        image += row.volume * np.exp(-((y - row.y) ** 2 + (x - row.x) ** 2) / (2 * SIGMA**2))
    return image.astype(np.float32)


def draw(folder: Path) -> None:
    """Measure, and take a picture of each."""
    viewer = open_viewer()
    columns, place = planted(), sampled(SAMPLING)
    viewer.add_layer(image_layer(picture(columns), "perovskite", place, {}))
    made = {"source": "perovskite"}
    viewer.add_layer(points_layer(columns, "perovskite columns", place, made, colour_by="volume"))
    _, panel = viewer.window.add_plugin_dock_widget("napari-atomseg", "Measure")
    panel.measure = "lattice"
    panel.run().result()
    take(viewer, folder / "measure-lattice.png")
    panel.measure, panel.charge, panel.volume = "displacements", 7.1, 60.0
    panel.run().result()
    take(viewer, folder / "measure-displacements.png")
    panel.measure = "strain"
    panel.run().result()
    panel.component = "eps_yy"
    take(viewer, folder / "measure-strain.png")
    viewer.close()
