"""Tilts of octahedra in a simulated pair of images, for docs/measure.md."""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
from ase import Atoms
from matplotlib.figure import Figure

import napari_atomseg as atomseg
from napari_atomseg import measurements
from napari_atomseg.io import write_columns

SIDE, SAMPLING = 3.95, 0.1
"""Å of the pseudocubic cell, and Å a pixel."""
TILTS = (0.0, 2.0, 4.0, 6.0, 8.0)
SHOWN = 6.0
"""Degrees of the pair that is drawn."""
PART = slice(60, 190)
"""Pixels that are drawn."""
ORDER = "alternating along a and b"


def perovskite(tilt: float) -> Atoms:
    """Four cells of SrRuO3, whose octahedra turn about the beam by `tilt` degrees in turns."""
    symbols, places = [], []
    half = 0.5 * SIDE
    step = half * np.tan(np.radians(tilt))
    for i, j in ((0, 0), (0, 1), (1, 0), (1, 1)):
        sign = 1 - 2 * ((i + j) % 2)
        symbols += ["Sr", "Ru", "O", "O", "O"]
        moves = np.array(
            [
                [half, half, half],
                [0.0, 0.0, 0.0],
                [0.0, 0.0, half],
                [half, sign * step, 0.0],
                [-sign * step, half, 0.0],
            ]
        )
        places += list(np.array([i, j, 0.0]) * SIDE + moves)
    return Atoms(symbols, places, cell=[2 * SIDE, 2 * SIDE, SIDE], pbc=True)


def pair(tilt: float) -> tuple[np.ndarray, np.ndarray]:
    """Dark field, and an image linear in the charge."""
    common = {"shape": (320, 320), "sampling": SAMPLING, "thickness": 30, "jitter": 0.0, "seed": 2}
    crystal = perovskite(tilt)
    dark = atomseg.simulate(crystal, (0, 0, 1), dose=1e5, **common)
    light = atomseg.simulate(crystal, (0, 0, 1), dose=3e5, gamma=1.0, source_size=0.6, **common)
    return dark.image, light.image


def measured(
    images: tuple[np.ndarray, np.ndarray],
) -> tuple[list[tuple[float, float]], pd.DataFrame]:
    """Mean tilt and its error with the oxygen of the second image, and of the first; the oxygen."""
    dark, light = (
        atomseg.localize(image, sampling=SAMPLING, refine="joint", edge="drop") for image in images
    )
    sites = measurements.lattice(dark, sampling=SAMPLING)
    found, oxygen = [], pd.DataFrame({"y": [], "x": []})
    with TemporaryDirectory() as folder:
        path = Path(folder) / "light.csv"
        write_columns(path, light)
        for table in (str(path), ""):
            try:
                report = measurements.octahedra(sites.columns, lattice=sites.lattice, oxygen=table)
            except ValueError as error:
                sys.stdout.write(f"{error}\n")
                found.append((np.nan, np.nan))
                continue
            row = report.tables["Order"].set_index("order").loc[ORDER]
            found.append((abs(row["tilt_deg"]), row["tilt_deg_err"]))
            if table:
                oxygen = report.tables["Oxygen"]
    return found, oxygen


def draw(folder: Path) -> None:
    """Draw octahedra.png, and print its numbers."""
    rows = []
    figure = Figure(figsize=(10.0, 3.4), layout="constrained")
    panels = figure.subplots(1, 3)
    for tilt in TILTS:
        images = pair(tilt)
        found, oxygen = measured(images)
        rows.append([tilt, *found[0], *found[1]])
        sys.stdout.write(" ".join(f"{value:.3f}" for value in rows[-1]) + "\n")
        if tilt != SHOWN:
            continue
        for panel, image, title in zip(panels, images, ("dark field", "linear"), strict=False):
            panel.imshow(image, cmap="gray", vmax=np.percentile(image, 93))
            panel.set(title=title, xlim=(PART.start, PART.stop), ylim=(PART.stop, PART.start))
            panel.set_axis_off()
        panels[1].plot(oxygen["x"], oxygen["y"], "o", mfc="none", color="#40c0ff", ms=7)
    table = np.array(rows)
    last = panels[2]
    last.plot([0, 9], [0, 9], color="0.6", lw=1)
    for k, name in ((1, "oxygen of the linear image"), (3, "oxygen of the dark field")):
        last.errorbar(table[:, 0], table[:, k], table[:, k + 1], fmt="o", ms=4, label=name)
    last.set(xlabel="tilt, planted (°)", ylabel="mean tilt, measured (°)")
    last.legend(frameon=False)
    figure.savefig(folder / "octahedra.png", dpi=100)
