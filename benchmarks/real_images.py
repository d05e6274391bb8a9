"""Columns of real images, counted and drawn.

    python benchmarks/real_images.py DATA_FOLDER
    python benchmarks/real_images.py DATA_FOLDER --output overlays --refine joint

The folder holds, where it has them: `ptir_particle_0.1211A.tif` with
`ptir_particle_reference_columns.csv` (row, col, ...: the StatSTEM example), and the AtomSegNet
images `si110_adf_512.png`, `dysco3_adf_1024.png` and `nanoparticle_adf_1182.png`. Positions of the
particle are matched to the reference within 3 px, beside those of a blob detection
(`skimage.feature.blob_log`) in the same run. Vacuum is
where the image, smoothed over a column spacing, is in the darkest tenth of its range. One picture
an image shows it with its columns, restored, and its column map.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy import ndimage
from skimage.feature import blob_log
from skimage.io import imread

import napari_atomseg as atomseg
from napari_atomseg.inference import estimate_spacing, predict

PARTICLE = "ptir_particle_0.1211A.tif"
REFERENCE = "ptir_particle_reference_columns.csv"
COUNTED = ("si110_adf_512.png", "dysco3_adf_1024.png", "nanoparticle_adf_1182.png")
RADIUS = 3.0

Image = NDArray[np.float32]


def score_line(name: str, found: object, truth: NDArray[np.float64]) -> None:
    """Print how well positions agree with known ones."""
    s = atomseg.analyze.scores(found, truth, RADIUS)
    print(
        f"  {name:28s} {s.found:4d} found, {s.truth} known: F1 {s.f1:.3f}, precision "
        f"{s.precision:.3f}, recall {s.recall:.3f}, median distance {s.median:.3f} px"
    )


def blobs(image: Image, spacing: float) -> NDArray[np.float64]:
    """Positions by the Laplacian of Gaussian at a few scales about the columns'."""
    unit = (image - image.min()) / np.ptp(image)
    found = blob_log(
        unit, min_sigma=0.12 * spacing, max_sigma=0.3 * spacing, num_sigma=5, threshold=0.02
    )
    return found[:, :2]


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
    for name in (PARTICLE, *COUNTED):
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
        if name == PARTICLE:
            truth = np.loadtxt(options.folder / REFERENCE, delimiter=",")[:, :2]
            score_line(f"network, {options.refine}", table, truth)
            peaks = atomseg.localize(
                image, sampling=sampling, detector="peaks", refine=options.refine
            )
            score_line(f"peaks, {options.refine}", peaks, truth)
            score_line("blob_log", blobs(image, spacing), truth)
        else:
            vacuum_line(image, table, spacing)
        draw(options.output / f"{path.stem}.png", image, table, maps, spacing)


if __name__ == "__main__":
    main()
