"""Figures for journals: sizes, type and line widths, colours, and files."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from napari_atomseg._shared.files import package_version, plain, whole_file

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
"""Grey of places without a measurement."""


WIDTH = 89.0
"""Width of one column of most journals, mm."""
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
    # Text stays editable, with its fonts embedded in PDF.
    "pdf.fonttype": 42,
    "svg.fonttype": "none",
    "svg.hashsalt": "napari-atomseg",
}
"""Matplotlib settings for making and saving figures; those of the user are not changed."""

_MM = 1 / 25.4
_ONE_AT_A_TIME = threading.RLock()


@contextmanager
def style() -> Iterator[None]:
    """Apply the settings `STYLE` while a figure is drawn.

    Matplotlib has one set of settings for all threads, so two threads draw one after the other;
    otherwise the user's settings would not be restored.
    """
    settings: dict[Any, Any] = dict(STYLE)
    with _ONE_AT_A_TIME, rc_context(settings):
        yield


def sheet(width: float, aspect: float) -> Figure:
    """An empty figure, to be drawn within `style`.

    Parameters
    ----------
    width : width in mm.
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

    The same figure gives the same bytes: no date is written.

    Parameters
    ----------
    dpi : resolution of PNG, and of images in SVG and PDF, dots per inch.
    metadata : provenance, as JSON in the file's description (PNG, SVG) or subject (PDF).

    Raises
    ------
    ValueError
        The suffix is not among `FORMATS`, or `dpi` is not positive.
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
        details = _file_metadata(suffix, metadata)
        figure.savefig(partial, dpi=dpi, format=suffix[1:], metadata=details)


def _file_metadata(suffix: str, metadata: Mapping[str, Any] | None) -> dict[str, Any]:
    record = json.dumps(plain(metadata)) if metadata else None
    program = f"napari-atomseg {package_version()}"
    if suffix == ".pdf":
        details: dict[str, Any] = {"Creator": program, "Subject": record, "CreationDate": None}
        return details
    name = "Software" if suffix == ".png" else "Creator"
    details = {name: program, "Description": record}
    if suffix == ".svg":
        details["Date"] = None
    return {key: value for key, value in details.items() if key == "Date" or value is not None}
