"""Every kind of distortion on one image, for docs/distortions.md."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from napari_atomseg.distortion import KINDS, Distortion, View

VIEW = View(sampling=0.16, width=0.5, shape=(96, 96))
COLUMNS = 7

PARTS = tuple(kind(**kind.example) for kind in KINDS.values())


def lattice() -> torch.Tensor:
    """Columns like those of SrTiO3 [001], brightest 1, on a little background: (1, H, W)."""
    y, x = np.mgrid[: VIEW.shape[0], : VIEW.shape[1]] * VIEW.sampling
    image = np.full(VIEW.shape, 0.08)
    for cell in np.ndindex(6, 6):
        for height, place in ((0.92, (0.0, 0.0)), (0.45, (0.5, 0.5))):
            row, column = 3.905 * (np.array(cell) + place - 1.0)
            image += height * np.exp(-((y - row) ** 2 + (x - column) ** 2) / (2 * VIEW.width**2))
    return torch.from_numpy(image[None].astype(np.float32))


def distorted(part: Distortion, image: torch.Tensor, seed: int) -> NDArray[np.float32]:
    """The image after one distortion: (H, W)."""
    drawn = part.draw(np.random.default_rng(seed), VIEW)
    values: Mapping[str, torch.Tensor] = {
        name: torch.from_numpy(np.asarray(value, dtype=np.float32)[None])
        for name, value in drawn.items()
    }
    generators = [torch.Generator().manual_seed(seed)]
    if part.shared:
        return part.apply(image[:, None], values, generators)[0, 0].numpy()
    return part.apply(image, values, generators)[0].numpy()


def draw(folder: Path) -> None:
    """Save one panel a kind."""
    image = lattice()
    panels = {"ideal": image[0].numpy()}
    panels |= {part.kind: distorted(part, image, seed=3) for part in PARTS}
    rows = -(-len(panels) // COLUMNS)
    figure = Figure(figsize=(1.35 * COLUMNS, 1.55 * rows))
    axes = figure.subplots(rows, COLUMNS)
    for axis in axes.flat:
        axis.axis("off")
    for axis, (name, panel) in zip(axes.flat, panels.items(), strict=False):
        axis.imshow(panel, cmap="gray", vmin=0.0, vmax=1.2)
        axis.set_title(name, fontsize=8, pad=3)
    figure.subplots_adjust(left=0.01, right=0.99, bottom=0.01, top=0.96, wspace=0.05, hspace=0.16)
    path = folder / "distortions.png"
    figure.savefig(path, dpi=130)
    Image.open(path).convert("L").save(path, optimize=True)
