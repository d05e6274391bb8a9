"""Sheets of paper: sizes, type and lines as journals ask for them, and how they are saved."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import metadata as installed
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from napari_atomseg._shared.files import whole_file
from napari_atomseg._shared.provenance import plain

CATEGORIES = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#D55E00",
    "#56B4E9",
    "#CC79A7",
    "#F0E442",
    "#000000",
)
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
SEQUENTIAL = "cividis"
SIGNED = "RdBu_r"
CYCLIC = "twilight"
NOTHING = "0.8"
"""Where nothing was measured."""


WIDTH = 89.0
"""mm; one column of most journals."""
FORMATS = (".png", ".svg", ".pdf")

STYLE: Mapping[str, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["Arial", "Helvetica", "DejaVu Sans"],
    "font.size": 7,
    "axes.titlesize": 8,
    "axes.labelsize": 7,
    "axes.linewidth": 0.6,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "legend.fontsize": 6.5,
    "legend.frameon": False,
    "lines.linewidth": 1.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    # Text stays text that a journal can set anew, in fonts that a PDF carries with it.
    "pdf.fonttype": 42,
    "svg.fonttype": "none",
    "svg.hashsalt": "napari-atomseg",
}
"""Settings of matplotlib under which figures are made and saved; the user's own stay untouched."""

_MM = 1 / 25.4
_ONE_AT_A_TIME = threading.RLock()


@contextmanager
def style() -> Iterator[None]:
    """Settings of matplotlib under which figures are drawn, and no longer.

    Matplotlib has one set of them for all threads: of two that draw, one waits for the other, or
    the user's own would not come back.
    """
    settings: dict[Any, Any] = dict(STYLE)
    with _ONE_AT_A_TIME, rc_context(settings):
        yield


def sheet(width: float, aspect: float) -> Figure:
    """An empty figure, to be drawn on inside of `style`.

    Parameters
    ----------
    width : mm.
    aspect : height over width.

    Raises
    ------
    ValueError
        `width` is not positive.
    """
    if not width > 0:
        raise ValueError(f"width={width!r}; give the width of the figure in mm, such as 89 or 183")
    figure = Figure(figsize=(width * _MM, width * aspect * _MM), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save(
    figure: Figure,
    path: str | Path,
    *,
    dpi: float = 300,
    metadata: Mapping[str, Any] | None = None,
) -> None:
    """Write a figure as PNG, SVG or PDF, by the suffix of `path`.

    Figures of the same call have the same bytes: no date is written.

    Parameters
    ----------
    dpi : resolution of PNG, and of images inside SVG and PDF, dots per inch.
    metadata : provenance, as JSON in the file's description (PNG, SVG) or subject (PDF).

    Raises
    ------
    ValueError
        Another suffix, or a `dpi` that is not positive.
    OSError
        The file cannot be written; an existing one stays as it was.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        raise ValueError(f"{path}: figures are written as {', '.join(FORMATS)}, not {suffix!r}")
    if not dpi > 0:
        raise ValueError(f"dpi={dpi!r} must be positive")
    with style(), whole_file(path) as partial:
        about = _about(suffix, metadata)
        figure.savefig(partial, dpi=dpi, format=suffix[1:], metadata=about)


def _about(suffix: str, metadata: Mapping[str, Any] | None) -> dict[str, Any]:
    record = json.dumps(plain(metadata)) if metadata else None
    program = f"napari-atomseg {installed.version('napari-atomseg')}"
    if suffix == ".pdf":
        about: dict[str, Any] = {"Creator": program, "Subject": record, "CreationDate": None}
        return about
    name = "Software" if suffix == ".png" else "Creator"
    about = {name: program, "Description": record}
    if suffix == ".svg":
        about["Date"] = None
    return {key: value for key, value in about.items() if key == "Date" or value is not None}
