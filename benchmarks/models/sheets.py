"""One picture of what models make of an image, for `recorded`.

Left, from above: part of the raw image, the whole of it with that part marked, and the whole as the
first model restored it. Then, a column a model: the same part restored (of a model that does not
restore, its column map); where that differs from the raw image by more than noise, in σ, red where
light is missing and blue where light was added; and the columns found, on the raw image (yellow:
found but not measured). Grey values run from the 0.5th to the 99.8th percentile of the raw image,
so that every panel has the same scale.
"""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba_array
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray
from PIL import Image as Pictures

Image = NDArray[np.float32]
Part = tuple[slice, slice]

DPI = 100
RAMPS = {"gray": 48, "RdBu_r": 64, "magma": 64}
"""Shades of each colour map in the file: noise in more of them only makes it large."""
ACCENTS = {"ring": "#ff3b30", "doubt": "#ffd60a"}
STRONGEST = 5.0
"""Difference, in σ, that has the full colour."""


@dataclass(frozen=True)
class Outcome:
    """What a model made of an image.

    Attributes
    ----------
    model : its name.
    task : what `made` (H, W) is: "denoise" or "column_map".
    difference : (H, W) raw against restored in σ; None where nothing was restored.
    columns : table of the columns found.
    """

    model: str
    task: str
    made: Image
    difference: Image | None
    columns: pd.DataFrame


def draw_sheet(
    path: Path, name: str, raw: Image, part: Part, outcomes: list[Outcome], panel: float
) -> None:
    """Draw the picture of one image into a PNG file, with panels of so many inches."""
    width = 1 + len(outcomes)
    figure = Figure(figsize=(panel * width, 3.25 * panel), layout="constrained")
    axes = figure.subplots(3, width, squeeze=False)
    grey = grey_scale(raw)
    side = raw[part].shape[1]
    show(axes[0, 0], raw[part], f"{name}, {side} px of it", **grey)
    show(axes[1, 0], raw, "whole", **grey)
    rows, cols = part
    corner, size = (cols.start, rows.start), (cols.stop - cols.start, rows.stop - rows.start)
    axes[1, 0].add_patch(Rectangle(corner, *size, fill=False, ec=ACCENTS["doubt"], lw=0.9))
    restored = next((each for each in outcomes if each.task == "denoise"), None)
    if restored is None:
        axes[2, 0].set_axis_off()
    else:
        show(axes[2, 0], restored.made, f"whole, {restored.model}", **grey)
    for panels, each in zip(axes.T[1:], outcomes, strict=True):
        draw_model(panels, each, raw, part, grey)
    save(figure, path)


def draw_model(
    panels: NDArray[Any], each: Outcome, raw: Image, part: Part, grey: dict[str, Any]
) -> None:
    """The three panels of a model."""
    top, middle, bottom = panels
    if each.difference is None:
        show(top, each.made[part], f"{each.model}: column map", cmap="magma", vmin=0, vmax=1)
        middle.set_axis_off()
    else:
        show(top, each.made[part], each.model, **grey)
        limit = {"cmap": "RdBu_r", "vmin": -STRONGEST, "vmax": STRONGEST}
        show(middle, each.difference[part], f"raw - restored, ±{STRONGEST:g} σ", **limit)
    rows, cols = part
    y, x = each.columns["y"] - rows.start, each.columns["x"] - cols.start
    height, width = raw[part].shape
    inside = (y > -0.5) & (y < height - 0.5) & (x > -0.5) & (x < width - 0.5)
    measured = each.columns["y_err"].notna()
    show(bottom, raw[part], f"{inside.sum()} of {len(inside)} columns", **grey)
    for some, colour in ((measured, ACCENTS["ring"]), (~measured, ACCENTS["doubt"])):
        shown = inside & some
        bottom.scatter(x[shown], y[shown], s=7, marker="o", fc="none", ec=colour, lw=0.8)
    bottom.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))


def grey_scale(image: Image) -> dict[str, Any]:
    """How an image and its restorations are shown."""
    low, high = np.percentile(image, [0.5, 99.8])
    return {"cmap": "gray", "vmin": low, "vmax": high}


def show(axis: Axes, image: Image, title: str, **style: Any) -> None:
    """One panel."""
    axis.imshow(image, interpolation="antialiased", **style)
    axis.set_title(title, fontsize=9)
    axis.set_axis_off()


def save(figure: Figure, path: Path) -> None:
    """Write a PNG file of few colours."""
    whole = BytesIO()
    figure.savefig(whole, dpi=DPI, format="png")
    picture = Pictures.open(whole).convert("RGB")
    picture.quantize(palette=palette(), dither=Pictures.Dither.NONE).save(path, optimize=True)


def palette() -> Pictures.Image:
    """A picture that has the colours of the file."""
    ramps = [colormaps[name](np.linspace(0, 1, shades)) for name, shades in RAMPS.items()]
    shades = np.concatenate([*ramps, to_rgba_array(list(ACCENTS.values()))])[:, :3]
    picture = Pictures.new("P", (1, 1))
    picture.putpalette(np.rint(255 * shades).astype(int).ravel().tolist())
    return picture
