"""One picture of each kind of figure, for docs/figures.md."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

import napari_atomseg as atomseg
from napari_atomseg import figures

SAMPLING = 0.12
DPI = 200


def draw(folder: Path) -> None:
    """Simulate, localize, draw."""
    simulation = atomseg.simulate(
        "SrTiO3", shape=(256, 320), sampling=SAMPLING, dose=2e4, rotation=8.0, seed=1
    )
    columns = atomseg.localize(simulation.image, sampling=SAMPLING, detector="peaks", edge="drop")
    strong = columns["volume"] > columns["volume"].median()
    kinds = columns.assign(column=np.where(strong, "Sr", "TiO"))
    image, table = vortex()
    rng = np.random.default_rng(0)
    spacings = {"a": rng.normal(390.5, 6, 800), "b": rng.normal(392.1, 7, 780)}
    counts = rng.integers(4, 9, 600)
    parts = [(float(np.mean(counts == n)), n * 120.0, 14.0) for n in range(4, 9)]
    maps = strain_images()
    drawn = {
        "overlay": figures.overlay(simulation.image, columns, colour_by="volume"),
        "kinds": figures.overlay(simulation.image, kinds, colour_by="column"),
        "vectors": figures.vector_map(table, image, sampling=SAMPLING),
        "lengths": figures.vector_map(table, image, sampling=SAMPLING, colour_by="length"),
        "spacings": figures.histogram(spacings, unit="pm"),
        "counts": figures.histogram(
            rng.normal(counts * 120.0, 14), "volume", components=parts, bins=60
        ),
        "strain": figures.strain_map(maps, sampling=SAMPLING),
        "strain-table": figures.strain_map(
            strained(maps, rng), sampling=SAMPLING, shape=(256, 256)
        ),
    }
    for name, figure in drawn.items():
        figures.save(figure, folder / f"figure-{name}.png", dpi=DPI)


def vortex() -> tuple[NDArray[np.float64], pd.DataFrame]:
    """An image of a square lattice, and its columns with displacements around its middle."""
    y, x = np.mgrid[16:248:18, 16:310:18].reshape(2, -1).astype(float)
    u, v = (y - 128) / 60, (x - 160) / 60
    envelope = 40 * np.exp(-(u**2 + v**2) / 4)
    table = pd.DataFrame({"y": y, "x": x, "dy_pm": v * envelope, "dx_pm": -u * envelope})
    rows, cols = np.indices((256, 320))
    image = np.zeros((256, 320))
    for a, b in zip(y, x, strict=True):
        image += np.exp(-((rows - a) ** 2 + (cols - b) ** 2) / 18)
    return image, table


def strain_images() -> dict[str, NDArray[np.float64]]:
    """Strain of two halves and of a core, rotation in a disc."""
    y, x = np.indices((256, 256)) / 256 - 0.5
    return {
        "eps_xx": 0.02 * np.tanh(12 * x),
        "eps_yy": -0.01 * np.tanh(12 * x),
        "eps_xy": 0.015 * np.exp(-20 * (x**2 + y**2)),
        "rotation_deg": np.where(x**2 + y**2 < 0.24, 2 * y, np.nan),
    }


def strained(maps: dict[str, NDArray[np.float64]], rng: np.random.Generator) -> pd.DataFrame:
    """Columns that have the strain of images."""
    y, x = np.mgrid[8:248:12, 8:248:12].reshape(2, -1)
    place = {"y": y + rng.normal(0, 1, y.size), "x": x + rng.normal(0, 1, y.size)}
    return pd.DataFrame(place).assign(**{name: values[y, x] for name, values in maps.items()})
