"""Reports: what a measurement gives back, as plain data that a window, a file or a script takes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from ase import Atoms

    from napari_atomseg.analysis import Lattice

NO_SAMPLING = "The sampling is not known: lengths are in pixels."
RED, YELLOW, GREEN, BLUE, WHITE = "#ff4040", "#ffff00", "#40ff40", "#40c0ff", "#ffffff"
SIGNED = "RdBu_r"
"""Colour map from blue over white at zero to red."""


@dataclass(frozen=True)
class Scale:
    """Colours by a number.

    Attributes
    ----------
    feature : that has the numbers.
    colormap : by name.
    limits : numbers at its ends.
    title, unit : for a key; by default the feature in words.
    directions : the numbers are angles, in degrees counter-clockwise from x.
    """

    feature: str
    colormap: str
    limits: tuple[float, float]
    title: str = ""
    unit: str = ""
    directions: bool = False


@dataclass(frozen=True)
class PointMarks:
    """Symbols at places.

    Attributes
    ----------
    name : added to the name of the columns.
    places : (N, 2) y, x in px, or (N, 3) with the frame in front.
    size : px.
    symbol : "cross", "disc" or another symbol of napari.
    colour : of all of them.
    table : a row a symbol, with its measurements.
    """

    name: str
    places: NDArray[Any]
    size: float
    symbol: str = "cross"
    colour: str = RED
    table: pd.DataFrame | None = None


@dataclass(frozen=True)
class VectorMarks:
    """Arrows, or lines without heads.

    Attributes
    ----------
    name : added to the name of the columns.
    starts, steps : (N, 2) y, x in px, or (N, 3) with the frame in front.
    width : px.
    colour : of all, of each, or by a number in `table`.
    factor : times which arrows are drawn longer than they are.
    arrows : whether they have heads.
    table : a row a vector.
    """

    name: str
    starts: NDArray[Any]
    steps: NDArray[Any]
    width: float
    colour: str | tuple[str, ...] | Scale = YELLOW
    factor: float = 1.0
    arrows: bool = True
    table: pd.DataFrame | None = None


@dataclass(frozen=True)
class PolygonMarks:
    """Polygons, or open lines.

    Attributes
    ----------
    name : added to the name of the columns.
    corners : of each, (M, 2) y, x in px.
    width : of the edges, px.
    edge : colour of the edges.
    faces : colours of the polygons; empty: see-through.
    opacity : 0 to 1.
    closed : polygons, or lines from corner to corner.
    table : a row a polygon.
    legend, legend_title : colour of each kind of polygon, and what the kinds are.
    scale : what the colours of the polygons mean where they are numbers.
    """

    name: str
    corners: Any
    width: float
    edge: str = WHITE
    faces: tuple[str, ...] = ()
    opacity: float = 0.8
    closed: bool = True
    table: pd.DataFrame | None = None
    legend: Mapping[str, str] = field(default_factory=dict)
    legend_title: str = ""
    scale: Scale | None = None


@dataclass(frozen=True)
class ImageMarks:
    """A quantity at every pixel; signed, so that zero is white, or an image in grey.

    Attributes
    ----------
    name : of the quantity, such as "eps_xx".
    values : (H, W); NaN where nothing was measured.
    limit : absolute value at which the colours end.
    unit, factor : the values times the factor are in this unit, as they are drawn.
    label : what the quantity is called in a list.
    prefix : how it was measured, before its name, such as "GPA ".
    on_image : whether the pixels are those of the image, or those that the columns count in.
    signed : colours from -limit over white to +limit, or grey from 0 to the limit.
    title : of the colours' key; by default the name.
    """

    name: str
    values: NDArray[np.float64]
    limit: float
    unit: str = ""
    factor: float = 1.0
    label: str = ""
    prefix: str = ""
    on_image: bool = False
    signed: bool = True
    title: str = ""


@dataclass(frozen=True)
class TrackMarks:
    """Tracks: (N, 4) track, frame, y and x (px), and the number of frames that tails are long."""

    name: str
    data: NDArray[np.float64]
    tail: int


Mark = PointMarks | VectorMarks | PolygonMarks | ImageMarks | TrackMarks


@dataclass(frozen=True)
class Plot:
    """Lines over x, or a histogram of each set of values.

    Attributes
    ----------
    values : of each name, (N,) numbers, or (x, y) of a line.
    x_label, y_label : at the axes.
    marked : x of a vertical line.
    density : table of a two-dimensional density of vectors, drawn beside them, and its unit.
    """

    values: Mapping[str, Any]
    x_label: str
    y_label: str
    marked: float | None = None
    density: pd.DataFrame | None = None
    unit: str = "Å"


@dataclass(frozen=True)
class Report:
    """What was measured.

    Attributes
    ----------
    lines : summary, behind the headline.
    tables : results by title.
    marks : what is drawn on the image, the last on top.
    caption : how it is drawn; beside the summary where the marks are shown.
    columns : the columns that were measured, in their order, with their features.
    features : names of the new ones in `columns`, joined to the columns' layer.
    colour_by : the feature that colours the columns.
    result : title of the table that is the result; empty: `columns`.
    plot : shown beside the summary.
    lattice : used by later measurements of the same columns.
    sublattices : a row a sublattice: ``sublattice``, ``species``, ``columns``, ``intensity``.
    atoms : a model in three dimensions.
    record : plain values that are saved with the result, beside the settings.
    headline : the result in one line. Digits in brackets are the standard error of the last
        digits, see `concise`.
    basis : what the headline rests on: of how many columns, and what ± means where it has that.
    """

    lines: tuple[str, ...]
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    marks: tuple[Mark, ...] = ()
    caption: tuple[str, ...] = ()
    columns: pd.DataFrame | None = None
    features: tuple[str, ...] = ()
    colour_by: str | None = None
    result: str = ""
    plot: Plot | None = None
    lattice: Lattice | None = None
    sublattices: pd.DataFrame | None = None
    atoms: Atoms | None = None
    record: Mapping[str, Any] = field(default_factory=dict)
    headline: str = ""
    basis: str = ""

    @property
    def table(self) -> pd.DataFrame | None:
        """The result: one of the tables, or the columns; None where it is images."""
        return self.tables[self.result] if self.result else self.columns

    @property
    def summary(self) -> tuple[str, ...]:
        """The headline, what it rests on, and the lines."""
        if not self.headline:
            return self.lines
        return (self.headline, *filter(None, [self.footnote]), "", *self.lines)

    @property
    def footnote(self) -> str:
        """What the headline rests on, and what its brackets mean where it has any."""
        brackets = BRACKETS if _IN_BRACKETS.search(self.headline + self.basis) else ""
        return "; ".join(filter(None, [self.basis, brackets]))

    def __str__(self) -> str:
        return "\n".join(self.summary)


FINEST = 6
"""Decimals of an error that are written, at most."""
BRACKETS = "in brackets, the standard error of the last digits"
_IN_BRACKETS = re.compile(r"\d\([\d.]+\)")


def concise(value: float, error: float = float("nan"), unit: str = "") -> str:
    """A number with its standard error in brackets, in units of the last digits: "3.905(2) Å".

    The error has one digit, or two where these are 10 to 19 and one would be rounded by half of it.
    An error of more than the unit has its point: "23.4(1.4)". Without an error, four digits; errors
    below any measurement's, as of a perfect fit, are not written.
    """
    if not np.isfinite(value):
        return "not known"
    behind = f" {unit}" if unit and unit != "°" else unit
    if not np.isfinite(error) or error <= 0:
        return f"{value:.4g}{behind}"
    power = int(f"{error:.1e}".partition("e")[2])
    power -= f"{error:.1e}".startswith("1")
    if power < -FINEST:
        return f"{value:.{FINEST + 1}g}{behind}"
    digits = max(0, -power)
    error, value = round(error, -power), round(value, -power)
    last = f"{error * 10**digits:.0f}" if error < 1 else f"{error:.{digits}f}"
    return f"{value:.{digits}f}({last}){behind}"


def towards(y: float, x: float) -> str:
    """A direction in the image in words, y pointing down: "towards the right (+x)"."""
    names = {
        0: "the right (+x)",
        1: "the lower right",
        2: "the bottom (+y)",
        3: "the lower left",
        4: "the left (-x)",
        5: "the upper left",
        6: "the top (-y)",
        7: "the upper right",
    }
    return f"towards {names[round(np.degrees(np.arctan2(y, x)) / 45.0) % 8]}"


def number(value: float, error: float = float("nan"), unit: str = "") -> str:
    """A number with its standard error, both to two digits of the error: "3.905 ± 0.012 Å"."""
    if not np.isfinite(value):
        return "not known"
    behind = f" {unit}" if unit and unit != "°" else unit
    if not np.isfinite(error) or error <= 0:
        return f"{value:.4g}{behind}"
    digits = min(6, max(0, 1 - int(np.floor(np.log10(error)))))
    text = f"{value:.{digits}f} ± {error:.{digits}f}"
    return f"({text}){unit}" if unit == "°" else f"{text}{behind}"


def plural(count: int, noun: str) -> str:
    """As "1 hop", "2 hops" or "3 vacancies"."""
    many = noun[:-1] + "ies" if noun.endswith("y") else f"{noun}s"
    return f"{count} {noun if count == 1 else many}"


def place(row: Any, *, known: bool) -> str:
    """The place of a row in words: in Å where the sampling is known, else in pixels."""
    if known:
        return f"y {row.y_angstrom:.1f}, x {row.x_angstrom:.1f} Å"
    return f"y {row.y:.1f}, x {row.x:.1f} px"


def vacancy_line(count: int, share: str, area: float) -> str:
    """As "27 vacancies (0.6 %), 0.04 /nm²"; the area is in Å², NaN where it is not known."""
    density = f", {100.0 * count / area:.2g} /nm²" if area > 0 else ""
    return f"{plural(count, 'vacancy')} ({share}){density}"


def rows(table: pd.DataFrame) -> Iterator[Any]:
    """The rows of a table, each with its columns as attributes."""
    return table.itertuples()


def mean(values: ArrayLike) -> tuple[float, float]:
    """Mean of finite values and its standard error; NaN where they do not show it."""
    known = np.asarray(values, dtype=np.float64)
    known = known[np.isfinite(known)]
    if len(known) == 0:
        return float("nan"), float("nan")
    error = known.std(ddof=1) / np.sqrt(len(known)) if len(known) > 1 else np.nan
    return float(known.mean()), float(error)
