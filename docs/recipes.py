"""Draw two samples of each shipped recipe.

    python docs/recipes.py [FILE]

FILE is docs/images/recipes.png unless given.
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np

from napari_atomseg.simulation import recipes, sample

mpl.use("Agg")
from matplotlib import pyplot as plt

FIRST = {"temimagenet": 3, "lr-tem": 4, "lr-sem": 2, "hr-sem": 7, "hr-tem": 11}
"""Number of the first sample shown, where it is not 0: recipes that share specimens show others."""


def main() -> None:
    """Write the figure."""
    names = recipes()
    figure, axes = plt.subplots(
        4, len(names), figsize=(1.9 * len(names), 7.9), layout="constrained"
    )
    for column, name in zip(axes.T, names, strict=True):
        column[0].set_title(name, fontsize=9)
        for number in range(2):
            made = sample(name, FIRST.get(name, 0) + number)
            for axis, image in zip(column[2 * number :], (made.image, made.ideal), strict=False):
                low, high = np.percentile(image, (0.5, 99.7))
                axis.imshow(image, cmap="gray", vmin=low, vmax=high)
    for axis in axes.flat:
        axis.set_axis_off()
    target = Path(sys.argv[1] if len(sys.argv) > 1 else "docs/images/recipes.png")
    figure.savefig(target, dpi=70)


if __name__ == "__main__":
    main()
