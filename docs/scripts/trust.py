"""A restoration that is right, and one that fills vacancies, for docs/trust.md."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

import napari_atomseg as atomseg

ARGUMENTS = {"shape": (192, 192), "sampling": 0.14, "thickness": 2.5, "seed": 8}
DIFFERENCE = LinearSegmentedColormap.from_list(
    "difference", [(0.2, 0.6, 1.0), (0, 0, 0), (0, 0, 0), (0, 0, 0), (1.0, 0.5, 0.0)]
)


def draw(folder: Path) -> None:
    """Simulate, restore, forge, test, draw."""
    axis = (0, 1, 1)
    whole = atomseg.simulate("Pt", axis, dose=3e3, **ARGUMENTS)
    holes = atomseg.simulate("Pt", axis, dose=3e3, vacancies=0.1, **ARGUMENTS)
    restored = atomseg.restore(holes.image, sampling=holes.sampling)
    filled = restored + whole.ideal - holes.ideal
    noise = np.random.default_rng(1).poisson(2.0, holes.image.shape)
    rows = (
        ("a layer of Pt with vacancies", holes.image, restored, "restored"),
        ("the same", holes.image, filled, "restored, then every vacancy filled"),
        ("noise alone", noise, atomseg.restore(noise), "restored"),
    )
    figure = Figure(figsize=(9, 9.4), layout="constrained")
    axes = figure.subplots(3, 3)
    for line, (name, raw, made, title) in zip(axes, rows, strict=True):
        test = atomseg.consistency(raw, made)
        limits = np.percentile(raw, (0.5, 99.5))
        line[0].imshow(raw, cmap="gray", vmin=limits[0], vmax=limits[1])
        line[1].imshow(made, cmap="gray", vmin=limits[0], vmax=limits[1])
        shown = line[2].imshow(test.z, cmap=DIFFERENCE, vmin=-6, vmax=6)
        for axis_, text in zip(line, (name, title, "consistency z"), strict=True):
            axis_.set_title(text, fontsize=10)
            axis_.axis("off")
        figure.colorbar(shown, ax=line[2], shrink=0.8)
    figure.savefig(folder / "trust.png", dpi=90)
