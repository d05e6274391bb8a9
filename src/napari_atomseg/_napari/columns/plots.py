"""A histogram and a scatter plot whose selection is that of the columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.backends.backend_qtagg import FigureCanvasQTAgg
from matplotlib.figure import Figure
from matplotlib.path import Path
from matplotlib.widgets import LassoSelector, RectangleSelector, SpanSelector
from numpy.typing import ArrayLike, NDArray
from qtpy.QtCore import QSize, Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QComboBox, QFormLayout, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_atomseg._napari.forms.choices import NameOrFile
from napari_atomseg._napari.forms.form import form_rows, make_narrow
from napari_atomseg.figures.histogram import number_of_bins
from napari_atomseg.figures.tables import is_category, label

MOST_BINS = 60
FEWEST_BINS = 30
"""Bars of histograms with enough columns, so that kinds of columns show as separate peaks."""
_PREFERRED = (("volume", "amplitude"), ("sigma", "x_err", "x"), ("volume", "amplitude"))
"""Features that the histogram and the two axes of the scatter plot show at first, if present."""
_SMALL = 7
"""Points of type."""


@dataclass(frozen=True)
class _Values:
    """Values of a feature as numbers, and the words that they stand for."""

    numbers: NDArray[np.float64]
    words: tuple[str, ...] = ()

    @classmethod
    def of(cls, values: pd.Series) -> _Values:
        if values.dtype.kind in "iuf":
            return cls(values.to_numpy(dtype=float))
        known = values.notna().to_numpy(dtype=bool)
        words, numbers = np.unique(values.astype(str).to_numpy(str), return_inverse=True)
        names = tuple(str(word) for word in words)
        return cls(np.where(known, numbers.astype(float), np.nan), names)


class _Canvas(FigureCanvasQTAgg):
    """A canvas of modest size, which leaves room for the image."""

    def sizeHint(self) -> QSize:
        """Return a size that suits a panel."""
        return QSize(270, 330)

    def minimumSizeHint(self) -> QSize:
        """Return the size below which nothing can be read."""
        return QSize(200, 200)


class Plots(QWidget):
    """Plots of a table of columns.

    `selected` has the rows (N,) that were chosen in a plot: with a range in the histogram, with a
    rectangle or a lasso in the scatter plot.
    """

    selected = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.table = pd.DataFrame()
        self.rows: NDArray[np.intp] = np.zeros(0, dtype=np.intp)
        self._colours: NDArray[np.float64] = np.zeros((0, 4))
        self._background, self._text, self._selected_colour = "black", "white", "#ffff00"
        self.figure = Figure()
        self.canvas = _Canvas(self.figure)
        self.canvas.mpl_connect("draw_event", lambda _event: self._freeze_layout())
        self.canvas.mpl_connect("resize_event", lambda _event: self._arrange_axes())
        self.histogram, self.scatter = self.figure.subplots(2, 1, height_ratios=(2, 3))
        self._marks: list[Any] = []
        self._selectors: list[Any] = []
        self._quiet = False
        self._lay_out()

    def _lay_out(self) -> None:
        self.of, self.across, self.along = (NameOrFile({"": "nothing"}) for _ in range(3))
        self.of.setToolTip("The measurement whose histogram is drawn")
        self.across.setToolTip("The measurement along the horizontal axis")
        self.along.setToolTip("The measurement along the vertical axis")
        self.tool = QComboBox()
        self.tool.addItems(["rectangle", "lasso"])
        self.tool.setToolTip("How columns are selected in the scatter plot")
        make_narrow(self.tool)
        self.clear_button = QPushButton("None")
        self.clear_button.setToolTip("Select no columns")
        how = QHBoxLayout()
        how.addWidget(self.tool, 1)
        how.addWidget(self.clear_button)
        rows: QFormLayout = form_rows()
        rows.addRow("Histogram", self.of)
        rows.addRow("Scatter y", self.along)
        rows.addRow("Scatter x", self.across)
        rows.addRow("Select with", how)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(2, 4, 2, 2)
        layout.setSpacing(4)
        layout.addLayout(rows)
        layout.addWidget(self.canvas, 1)
        for box in (self.of, self.across, self.along):
            box.changed.connect(lambda _name: self.draw())
        self.tool.currentIndexChanged.connect(lambda _index: self._take_tool())
        self.clear_button.clicked.connect(lambda _on: self.selected.emit(np.zeros(0, np.intp)))

    def show_table(self, table: pd.DataFrame, colours: ArrayLike, rows: ArrayLike = ()) -> None:
        """Plot a table of columns with a colour (N, 4) each; `rows` are selected."""
        unused = set(self.table.columns) <= {"y", "x", "frame"}
        self.table, self._colours = table, np.asarray(colours, dtype=float)
        self.rows = np.asarray(rows, dtype=np.intp)
        names = {str(name): label(str(name)) for name in table.columns}
        varying = [name for name in names if table[name].nunique() > 1]
        self._quiet = True
        boxes: list[tuple[NameOrFile, tuple[str, ...]]] = list(
            zip((self.of, self.across, self.along), _PREFERRED, strict=True)
        )
        for box, preferred in boxes:
            before = box.value
            box.offer(names or {"": "nothing"})
            first = next((name for name in preferred if name in varying), None)
            if first is not None and (unused or before not in names):
                box.value = first
        self._quiet = False
        self.draw()

    def set_colours(self, background: str, text: str, selected: str) -> None:
        """Draw with other colours of the background, of text and of selected columns."""
        self._background, self._text, self._selected_colour = background, text, selected
        self.draw()

    def draw(self) -> None:
        """Draw both plots again."""
        if self._quiet:
            return
        self._arrange_axes()
        self.figure.set_facecolor(self._background)
        for axes in (self.histogram, self.scatter):
            axes.clear()
            axes.set_facecolor(self._background)
            axes.tick_params(colors=self._text, labelsize=_SMALL)
            for spine in axes.spines.values():
                spine.set(color=self._text, visible=True)
        self._marks = []
        if len(self.table):
            self._draw_histogram()
            self._draw_scatter()
        else:
            for axes in (self.histogram, self.scatter):
                axes.set(xticks=[], yticks=[])
            self.histogram.set_title("no columns to plot", color=self._text, fontsize=_SMALL + 1)
        for axes in (self.histogram, self.scatter):
            # Selectors draw too, and must not rescale the axes.
            axes.set(xlim=axes.get_xlim(), ylim=axes.get_ylim())
        self._take_tool()
        self.mark(self.rows)

    def select_range(self, low: float, high: float) -> NDArray[np.intp]:
        """Select the columns whose value in the histogram lies between two; return their rows."""
        numbers = self._values(self.of).numbers
        return self._select((numbers >= low) & (numbers <= high))

    def select_box(self, x: tuple[float, float], y: tuple[float, float]) -> NDArray[np.intp]:
        """Select the columns in a rectangle of the scatter plot; return their rows."""
        across, along = self._values(self.across).numbers, self._values(self.along).numbers
        inside = (across >= min(x)) & (across <= max(x)) & (along >= min(y)) & (along <= max(y))
        return self._select(inside)

    def select_lasso(self, corners: ArrayLike) -> NDArray[np.intp]:
        """Select the columns in a polygon (K, 2) of x, y in the scatter plot; return their rows."""
        path = np.asarray(corners, dtype=float)
        if path.ndim != 2 or path.shape[1] != 2 or len(path) < 3:
            raise ValueError(f"corners of shape {path.shape}; (K, 2) x and y of 3 or more needed")
        points = np.stack(
            [self._values(self.across).numbers, self._values(self.along).numbers], axis=1
        )
        return self._select(Path(path).contains_points(points))

    def mark(self, rows: ArrayLike) -> None:
        """Highlight the selected rows."""
        self.rows = np.asarray(rows, dtype=np.intp)
        self.rows = self.rows[self.rows < len(self.table)]
        for mark in self._marks:
            mark.remove()
        self._marks = []
        if len(self.rows):
            x, y = self._values(self.across).numbers, self._values(self.along).numbers
            self._marks.append(
                self.scatter.scatter(
                    x[self.rows],
                    y[self.rows],
                    s=26,
                    facecolors="none",
                    edgecolors=self._selected_colour,
                    linewidths=1.0,
                    zorder=3,
                )
            )
            numbers = self._values(self.of).numbers[self.rows]
            numbers = numbers[np.isfinite(numbers)]
            if len(numbers):
                counts, _ = np.histogram(numbers, self._edges)
                bars = self.histogram.stairs(
                    counts, self._edges, color=self._selected_colour, fill=True
                )
                self._marks.append(bars)
        self.canvas.draw_idle()

    def _arrange_axes(self) -> None:
        """Make room for the labels when the figure is drawn next."""
        self.figure.set_layout_engine("constrained")

    def _freeze_layout(self) -> None:
        """Keep the axes where they are: the selection may change often, labels do not."""
        self.figure.set_layout_engine("none")

    def _draw_histogram(self) -> None:
        values = self._values(self.of)
        known = values.numbers[np.isfinite(values.numbers)]
        self._edges = _edges(known, values.words, is_category(self.table[self.of.value]))
        if len(known):
            counts, _ = np.histogram(known, self._edges)
            self.histogram.stairs(counts, self._edges, color="#009ade", alpha=0.8, fill=True)
        self._describe(self.histogram, "x", self.of, values)
        self.histogram.set_ylabel("columns", color=self._text, fontsize=_SMALL)
        which = frames_in_words(self.table)
        self.histogram.set_title(which, color=self._text, fontsize=_SMALL)

    def _draw_scatter(self) -> None:
        x, y = self._values(self.across), self._values(self.along)
        colours = self._colours if len(self._colours) == len(self.table) else None
        self.scatter.scatter(x.numbers, y.numbers, s=6, c=colours, linewidths=0)
        self._describe(self.scatter, "x", self.across, x)
        self._describe(self.scatter, "y", self.along, y)

    def _describe(self, axes: Any, which: str, box: NameOrFile, values: _Values) -> None:
        text = {"color": self._text, "fontsize": _SMALL}
        axis = axes.xaxis if which == "x" else axes.yaxis
        axis.set_label_text(label(str(box.value)), **text)
        axis.get_offset_text().set(**text)
        if values.words:
            axis.set_ticks(range(len(values.words)), values.words)
        if which == "y" and box.value == "y":
            axes.invert_yaxis()

    def _values(self, box: NameOrFile) -> _Values:
        return _Values.of(self.table[box.value])

    def _select(self, inside: NDArray[np.bool_]) -> NDArray[np.intp]:
        rows = np.flatnonzero(inside)
        self.selected.emit(rows)
        return rows

    def _take_tool(self) -> None:
        for selector in self._selectors:
            selector.disconnect_events()
        area = {"alpha": 0.3, "facecolor": self._selected_colour}
        span = SpanSelector(
            self.histogram,
            lambda low, high: self._select_where(self.select_range, low, high),
            "horizontal",
            useblit=True,
            props=area,
        )
        across: Any
        if self.tool.currentIndex() == 1:
            line = {"color": self._selected_colour, "linewidth": 1.0}
            across = LassoSelector(self.scatter, self._lassoed, props=line, useblit=True)
        else:
            across = RectangleSelector(self.scatter, self._boxed, useblit=True, props=area)
        self._selectors = [span, across]

    def _boxed(self, press: Any, release: Any) -> None:
        x, y = (press.xdata, release.xdata), (press.ydata, release.ydata)
        self._select_where(self.select_box, x, y)

    def _lassoed(self, corners: list[tuple[float, float]]) -> None:
        if len(corners) >= 3:
            self._select_where(self.select_lasso, corners)

    def _select_where(self, select: Any, *where: Any) -> None:
        if len(self.table):
            select(*where)


def frames_in_words(table: pd.DataFrame) -> str:
    """Return which frames of a stack the columns of a table are of; empty for a single image."""
    if "frame" not in table or not len(table):
        return ""
    frames = np.unique(table["frame"].to_numpy(dtype=int))
    first, last = int(frames[0]), int(frames[-1])
    if first == last:
        return f"frame {first}"
    return f"{len(frames)} frames together, {first} to {last}"


def _edges(known: NDArray[np.float64], words: tuple[str, ...], whole: bool) -> NDArray[np.float64]:
    """Edges of the bars: one for each kind, otherwise after Freedman & Diaconis (1981)."""
    if words:
        return np.arange(len(words) + 1.0) - 0.5
    if not len(known):
        return np.array([0.0, 1.0])
    if whole:
        return np.arange(float(known.min()), float(known.max()) + 2.0) - 0.5
    few = min(FEWEST_BINS, 1 + len(known) // 4)
    count = int(np.clip(number_of_bins(known), few, MOST_BINS))
    return np.asarray(np.histogram_bin_edges(known, count), dtype=np.float64)
