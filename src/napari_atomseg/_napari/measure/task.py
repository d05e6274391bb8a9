"""What a measurement is given, and what it gives back: no layer, no widget, any thread."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_atomseg._napari.measure.settings import MeasureSettings
from napari_atomseg._shared.types import Sampling

if TYPE_CHECKING:
    from ase import Atoms

    from napari_atomseg.analysis import Lattice

SITE = ["i", "j", "sublattice"]


@dataclass(frozen=True)
class Task:
    """Columns to be measured.

    Attributes
    ----------
    columns : table with `y`, `x` (px) and all features; numbered from 0.
    sampling : Å per pixel, one number or (dy, dx), None where it is not known.
    settings : of the panel.
    selected : (N,) which columns are selected in napari.
    image : (H, W) or what becomes that; None without one.
    aligned : whether the image has the pixels that positions count in.
    lattice : that was found before; None if not, or of another sampling.
    """

    columns: pd.DataFrame
    sampling: Sampling | None
    settings: MeasureSettings
    selected: NDArray[np.bool_]
    image: Any = None
    aligned: bool = False
    lattice: Lattice | None = None

    @property
    def unit(self) -> str:
        """Of lengths."""
        return "px" if self.sampling is None else "Å"

    @property
    def pixel(self) -> NDArray[np.float64]:
        """(2,) Å per pixel along y and x; 1 where they are not known."""
        return np.ones(2) * (1.0 if self.sampling is None else np.asarray(self.sampling))

    @property
    def shape(self) -> tuple[int, int] | None:
        """(H, W) of the image in the pixels of the columns."""
        return tuple(self.image.shape[-2:]) if self.aligned else None

    @property
    def spacing(self) -> float:
        """Median distance of nearest neighbours in a frame, px."""
        from napari_atomseg.figures.tables import spacing

        table = self.columns
        if "frame" in table:
            table = table[table["frame"] == table["frame"].iloc[0]]
        found = spacing(table)
        return found if np.isfinite(found) and found > 0 else 10.0


@dataclass(frozen=True)
class Drawing:
    """A layer to be made.

    Attributes
    ----------
    kind : "image", "points", "shapes", "vectors" or "tracks".
    name : what is added to the name of the columns.
    data : in pixels (y, x); tracks have (track, frame, y, x).
    looks : keyword arguments of the layer.
    features : a row an item.
    on : whose pixels they are, of the "columns" or of the "image".
    says : what the layer's metadata hold of it.
    """

    kind: str
    name: str
    data: Any
    looks: Mapping[str, Any] = field(default_factory=dict)
    features: pd.DataFrame | None = None
    on: str = "columns"
    says: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Plot:
    """Lines over x, or a histogram of each set of values.

    Attributes
    ----------
    values : of each name, (N,) numbers, or (x, y) of a line.
    across, along : what stands at the axes.
    mark : x of a vertical line.
    """

    values: Mapping[str, Any]
    across: str
    along: str
    mark: float | None = None


@dataclass(frozen=True)
class Outcome:
    """What was measured.

    Attributes
    ----------
    lines : of the summary.
    features : a row a column of the task, in its order.
    colour_by : the feature that colours the columns.
    drawings : layers, the last on top.
    tables : further results, by title.
    plot : to be shown beside the summary.
    lattice : that later measurements take.
    kinds : a row a sublattice: ``sublattice``, ``columns``, ``species`` and what tells them apart.
    atoms : a model in three dimensions.
    colours : of a drawing, by the kind that each stands for.
    coloured : what those kinds are.
    """

    lines: tuple[str, ...]
    features: pd.DataFrame | None = None
    colour_by: str | None = None
    drawings: tuple[Drawing, ...] = ()
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    plot: Plot | None = None
    lattice: Lattice | None = None
    kinds: pd.DataFrame | None = None
    atoms: Atoms | None = None
    colours: Mapping[str, str] = field(default_factory=dict)
    coloured: str = ""


NO_SAMPLING = "The sampling is not known: lengths are in pixels."


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


def plural(count: int, word: str) -> str:
    """As "1 hop", "2 hops" or "3 vacancies"."""
    many = word[:-1] + "ies" if word.endswith("y") else f"{word}s"
    return f"{count} {word if count == 1 else many}"


def rows(table: pd.DataFrame) -> Iterator[Any]:
    """The rows of a table, each with its columns as attributes."""
    return table.itertuples()
