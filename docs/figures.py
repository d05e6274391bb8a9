"""Draw the pictures of docs/figures.md.

    python docs/figures.py

Writes docs/images/figure-*.png.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

import napari_atomseg as atomseg
from napari_atomseg import figures

IMAGES = Path(__file__).with_name("images")
SAMPLING = 0.12
DPI = 200


def main() -> None:
    """Simulate, localize, draw."""
    simulation = atomseg.simulate(
        "SrTiO3", shape=(256, 320), sampling=SAMPLING, dose=2e4, rotation=8.0, seed=1
    )
    columns = atomseg.localize(
        simulation.image, sampling=SAMPLING, refine="joint", detector="peaks"
    )
    kinds = columns.assign(
        column=np.where(columns["volume"] > columns["volume"].median(), "Sr", "Ti")
    )
    overlay = figures.overlay(simulation.image, columns, colour_by="volume", sampling=SAMPLING)
    figures.save(overlay, IMAGES / "figure-overlay.png", dpi=DPI)
    overlay = figures.overlay(simulation.image, kinds, colour_by="column")
    figures.save(overlay, IMAGES / "figure-kinds.png", dpi=DPI)
    image, table = vortex()
    arrows = figures.vector_map(table, image, sampling=SAMPLING)
    figures.save(arrows, IMAGES / "figure-vectors.png", dpi=DPI)
    lengths = figures.vector_map(table, image, sampling=SAMPLING, colour_by="length")
    figures.save(lengths, IMAGES / "figure-lengths.png", dpi=DPI)
    rng = np.random.default_rng(0)
    spacings = {"a": rng.normal(390.5, 6, 800), "b": rng.normal(392.1, 7, 780)}
    drawn = figures.histogram(spacings, unit="pm")
    figures.save(drawn, IMAGES / "figure-spacings.png", dpi=DPI)
    counts = rng.integers(4, 9, 600)
    volumes = rng.normal(counts * 120.0, 14)
    parts = [(np.mean(counts == n), n * 120.0, 14.0) for n in range(4, 9)]
    drawn = figures.histogram(volumes, "volume", components=parts, bins=60)
    figures.save(drawn, IMAGES / "figure-counts.png", dpi=DPI)
    figures.save(
        figures.strain_map(strain_images(), sampling=SAMPLING),
        IMAGES / "figure-strain.png",
        dpi=DPI,
    )
    grid = np.mgrid[8:248:12, 8:248:12].reshape(2, -1)
    maps = strain_images()
    y, x = grid.astype(int)
    points = pd.DataFrame({"y": y + rng.normal(0, 1, y.size), "x": x + rng.normal(0, 1, y.size)})
    points = points.assign(**{name: values[y, x] for name, values in maps.items()})
    figures.save(
        figures.strain_map(points, sampling=SAMPLING, shape=(256, 256)),
        IMAGES / "figure-strain-table.png",
        dpi=DPI,
    )


def vortex():
    grid = np.mgrid[16:248:18, 16:310:18].reshape(2, -1).astype(float)
    y, x = grid
    u, v = (y - 128) / 60, (x - 160) / 60
    envelope = np.exp(-(u**2 + v**2) / 4)
    table = pd.DataFrame({"y": y, "x": x, "dy_pm": 40 * v * envelope, "dx_pm": -40 * u * envelope})
    yy, xx = np.indices((256, 320))
    image = sum(np.exp(-((yy - a) ** 2 + (xx - b) ** 2) / 18) for a, b in zip(y, x))
    return image, table


def strain_images():
    y, x = np.indices((256, 256)) / 256 - 0.5
    return {
        "eps_xx": 0.02 * np.tanh(12 * x),
        "eps_yy": -0.01 * np.tanh(12 * x),
        "eps_xy": 0.015 * np.exp(-20 * (x**2 + y**2)),
        "rotation_deg": np.where(x**2 + y**2 < 0.24, 2 * y, np.nan),
    }


if __name__ == "__main__":
    main()
