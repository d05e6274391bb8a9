"""Two samples of each shipped recipe but those by multislice, for docs/recipes.md."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from napari_atomseg.simulation import recipes, sample

FIRST = {"temimagenet": 3, "lr-tem": 4, "lr-sem": 2, "hr-sem": 7, "hr-tem": 11}
"""Number of the first sample shown, where it is not 0: recipes that share specimens show others."""


def draw(folder: Path) -> None:
    """Write the figure."""
    names = [name for name in recipes() if not name.endswith("-multislice")]
    figure = Figure(figsize=(1.9 * len(names), 7.9), layout="constrained")
    axes = figure.subplots(4, len(names))
    for column, name in zip(axes.T, names, strict=True):
        column[0].set_title(name, fontsize=9)
        for number in range(2):
            made = sample(name, FIRST.get(name, 0) + number)
            for axis, image in zip(column[2 * number :], (made.image, made.ideal), strict=False):
                low, high = np.percentile(image, (0.5, 99.7))
                axis.imshow(image, cmap="gray", vmin=low, vmax=high)
    for axis in axes.flat:
        axis.set_axis_off()
    figure.savefig(folder / "recipes.png", dpi=70)
