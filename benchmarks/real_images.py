"""Columns of real images, counted and drawn.

    python benchmarks/real_images.py DATA_FOLDER
    python benchmarks/real_images.py DATA_FOLDER --output overlays --refine joint

The folder holds, where it has them, the StatSTEM example `ptir_particle_0.1211A.tif` and the
AtomSegNet images `si110_adf_512.png`, `dysco3_adf_1024.png` and `nanoparticle_adf_1182.png`.
Vacuum is where the image, smoothed over a column spacing, is in the darkest tenth of its range. One
picture an image shows it with its columns, restored, and its column map. Reference columns are
compared by `napari-atomseg evaluate --data IMAGE,COLUMNS.csv`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy import ndimage
from skimage.io import imread

import napari_atomseg as atomseg
from napari_atomseg.inference import estimate_spacing, predict

PARTICLE = "ptir_particle_0.1211A.tif"
IMAGES = (PARTICLE, "si110_adf_512.png", "dysco3_adf_1024.png", "nanoparticle_adf_1182.png")

Image = NDArray[np.float32]


def vacuum(image: Image, spacing: float) -> NDArray[np.bool_]:
    """(H, W) where there is no specimen."""
    low, high = np.percentile(ndimage.gaussian_filter(image, 0.15 * spacing), [1, 99])
    return ndimage.gaussian_filter(image, spacing) < low + 0.1 * (high - low)


def vacuum_line(image: Image, table: pd.DataFrame, spacing: float) -> None:
    """Print how much vacuum there is and how many columns lie in it."""
    dark = vacuum(image, spacing)
    place = table[["y", "x"]].to_numpy().round().astype(int).clip(0)
    rows, cols = np.minimum(place, np.array(image.shape) - 1).T
    print(
        f"  vacuum {100 * dark.mean():.0f} % of the image, {dark[rows, cols].sum()} columns in it"
    )


def draw(
    path: Path, image: Image, table: pd.DataFrame, maps: dict[str, Image], spacing: float
) -> None:
    """Raw with columns, restored, column map."""
    figure = Figure(figsize=(24, 8.4), layout="constrained")
    panels = figure.subplots(1, 3)
    low, high = np.percentile(image, [0.5, 99.8])
    panels[0].imshow(image, cmap="gray", vmin=low, vmax=high)
    size = (0.3 * spacing * 560 / image.shape[1]) ** 2
    measured = table["y_err"].notna()
    for some, colour in ((measured, "#ff3b30"), (~measured, "#ffd60a")):
        panels[0].scatter(
            table["x"][some], table["y"][some], s=size, facecolors="none", edgecolors=colour, lw=0.7
        )
    panels[0].set_title(f"{path.stem}: {len(table)} columns (yellow: not measured)")
    panels[1].imshow(maps["denoise"], cmap="gray")
    panels[1].set_title("restored")
    panels[2].imshow(maps["column_map"], cmap="magma", vmin=0, vmax=1)
    panels[2].set_title("column map")
    for panel in panels:
        panel.set_axis_off()
        panel.set(xlim=(-0.5, image.shape[1] - 0.5), ylim=(image.shape[0] - 0.5, -0.5))
    figure.savefig(path, dpi=100)


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--output", type=Path, default=Path("overlays"))
    parser.add_argument("--refine", default="gaussian")
    parser.add_argument("--model", default=None)
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    for name in IMAGES:
        path = options.folder / name
        if not path.exists():
            print(f"{name}: not in the folder")
            continue
        image = imread(path).astype(np.float32)
        sampling = 0.1211 if name == PARTICLE else None
        spacing = estimate_spacing(image, sampling)
        chosen = {"model": options.model, "sampling": sampling}
        table = atomseg.localize(image, refine=options.refine, **chosen)
        maps = predict(image, ("denoise", "column_map"), **chosen).maps
        fitted = int(table["y_err"].notna().sum())
        print(f"{name}: {len(table)} columns, {fitted} measured, spacing about {spacing:.1f} px")
        vacuum_line(image, table, spacing)
        draw(options.output / f"{path.stem}.png", image, table, maps, spacing)


if __name__ == "__main__":
    main()
