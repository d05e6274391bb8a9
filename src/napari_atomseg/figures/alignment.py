"""The shifts of the frames of a stack, drawn frame by frame."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from napari_atomseg.figures.canvas import CATEGORIES, STYLE, WIDTH, sheet, style

AXES = ("y", "x")


def frame_shifts(shifts: pd.DataFrame, *, title: str = "", width: float = WIDTH) -> Figure:
    """Draw the shift of each frame along y and x with its error; frames left out are crosses.

    Parameters
    ----------
    shifts : table of `align`.
    width : width of the figure, mm.
    """
    unit = "pm" if "shift_y_pm" in shifts else "px"
    ending = "_pm" if unit == "pm" else ""
    frame = shifts["frame"].to_numpy()
    kept = shifts["kept"].to_numpy(dtype=bool)
    with style():
        figure = sheet(width, 0.6)
        panel = figure.subplots()
        for axis, colour in zip(AXES, CATEGORIES, strict=False):
            shift = shifts[f"shift_{axis}{ending}"].to_numpy(float)
            error = np.nan_to_num(shifts[f"shift_{axis}_err{ending}"].to_numpy(float))
            panel.errorbar(
                frame[kept], shift[kept], error[kept], color=colour, lw=0.8, marker="o", ms=2.5,
                label=f"along {axis}",
            )  # fmt: skip
            panel.plot(frame[~kept], shift[~kept], "x", color=colour, ms=4)
        panel.set(xlabel="frame", ylabel=f"shift ({unit})")
        panel.xaxis.set_major_locator(MaxNLocator(integer=True))
        panel.legend()
        if title:
            figure.suptitle(title, fontsize=STYLE["axes.titlesize"])
    return figure
