"""The displacement of scan lines, drawn line by line."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from napari_atomseg.figures.canvas import CATEGORIES, STYLE, WIDTH, sheet, style

AXES = ("y", "x")


def scan_lines(
    lines: pd.DataFrame, *, frame: int | None = None, title: str = "", width: float = WIDTH
) -> Figure:
    """Draw the displacement of each scan line along y and x, with its error and the slow part.

    Parameters
    ----------
    lines : table of `correct_scan`.
    frame : of a stack, from 0.
    width : width of the figure, mm.

    Raises
    ------
    ValueError
        The table is of a stack and no frame of it is given, or it has no such frame.
    """
    if "frame" in lines:
        known = lines["frame"].unique()
        if frame not in known:
            raise ValueError(f"frame={frame!r}: this is a stack; choose one of 0 to {max(known)}")
        lines = lines[lines["frame"] == frame]
    unit = "pm" if "shift_y_pm" in lines else "px"
    ending = "_pm" if unit == "pm" else ""
    place = lines["line"].to_numpy()
    with style():
        figure = sheet(width, 0.9)
        panels = figure.subplots(2, 1, sharex=True)
        for panel, axis, colour in zip(panels, AXES, CATEGORIES, strict=False):
            shift, error, drift = (
                lines[name].to_numpy(float)
                for name in (
                    f"shift_{axis}{ending}",
                    f"shift_{axis}_err{ending}",
                    f"drift_{axis}{ending}",
                )
            )
            panel.fill_between(place, shift - error, shift + error, color=colour, alpha=0.3, lw=0)
            panel.plot(place, shift, color=colour, lw=0.6, label="jitter, put back")
            panel.plot(place, drift, color="black", lw=0.8, label="slow, left")
            rms = float(np.sqrt(np.mean(shift**2)))
            panel.set(ylabel=f"along {axis} ({unit})")
            panel.set_title(f"rms {rms:.3g} {unit}", loc="right", fontsize=STYLE["font.size"])
        panels[0].legend(loc="upper left", ncols=2)
        panels[1].set(xlabel=f"line ({lines['direction'].iloc[0]})")
        if title:
            figure.suptitle(title, fontsize=STYLE["axes.titlesize"])
    return figure
