"""What the benchmarks of detection share: what `localize` finds, how it is counted and drawn."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import fill
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

import napari_atomseg as atomseg
from benchmarks import options as shared
from napari_atomseg._shared.geometry import median_spacing
from napari_atomseg._shared.types import Sampling
from napari_atomseg.evaluation.case import EDGE, NEAR, NEAREST
from napari_atomseg.trust.judge import OUTSIDE

Image = NDArray[Any]
Array = NDArray[np.float64]

NOTHING = np.zeros((0, 2))
"""Places of no columns."""
TITLE = 90
"""Letters in a line of a picture's title."""


@dataclass(frozen=True)
class Found:
    """Columns of one image, and what is said about them.

    Attributes
    ----------
    table : as from `localize`.
    verdict : on the training range.
    notes : on the image itself.
    seconds : wall time.
    """

    table: pd.DataFrame
    verdict: str = ""
    notes: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def points(self) -> Array:
        """(N, 2) y and x, pixels."""
        return self.table[["y", "x"]].to_numpy(float)

    @property
    def flagged(self) -> bool:
        """Whether nothing was found, or the image is said to be outside the training range."""
        return len(self.table) == 0 or self.verdict.startswith(OUTSIDE)

    def frames(self) -> Iterator[Found]:
        """Each frame of a stack; an image is its own."""
        if "frame" not in self.table:
            yield self
            return
        for number in range(int(self.table.attrs["frames"])):
            part = self.table[self.table["frame"] == number].reset_index(drop=True)
            yield Found(part, self.verdict, self.notes, self.seconds)


def localized(image: Image, sampling: Sampling | None = None, **chosen: Any) -> Found:
    """What `localize` finds."""
    start = time.perf_counter()
    table = atomseg.localize(image, sampling=sampling, **chosen)
    seconds = time.perf_counter() - start
    table.attrs["frames"] = int(np.prod(image.shape[:-2]))
    notes = tuple(table.attrs.get("notes", ()))
    return Found(table, str(table.attrs.get("training_range", "")), notes, seconds)


@dataclass(frozen=True)
class Counts:
    """How many columns are true, right, and false; those of several images add up.

    A false one lies on no true column. Nothing is counted near the border, where centres may lie
    beyond it.
    """

    true: int = 0
    right: int = 0
    false: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.true + other.true, self.right + other.right, self.false + other.false)

    @property
    def recall(self) -> float:
        """Share of the true ones that was found; NaN where there are none."""
        return self.right / self.true if self.true else float("nan")

    @property
    def precision(self) -> float:
        """Share of those found that is right; NaN where nothing was found."""
        found = self.right + self.false
        return self.right / found if found else float("nan")

    @property
    def f1(self) -> float:
        """Harmonic mean of both."""
        whole = self.true + self.right + self.false
        return 2 * self.right / whole if whole else float("nan")


@dataclass(frozen=True)
class Truth:
    """True columns of an image.

    Attributes
    ----------
    points : (N, 2) y and x, pixels; those beyond the border may be among them.
    shape : (H, W) of the image.
    kind : (N,) of each column, such as its sublattice.
    radius : pixels within which a column counts as found: a fifth of the distance of neighbours,
        and 1.5 at least.
    border : pixels from the border within which nothing is counted.
    """

    points: Array
    shape: tuple[int, ...]
    kind: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    radius: float = NEAREST
    border: float = 0.0

    @classmethod
    def of(
        cls,
        points: Array,
        shape: tuple[int, ...],
        kind: NDArray[np.int64] | None = None,
        *,
        edges: bool = False,
    ) -> Truth:
        """The truth with the radius of its own spacing.

        Parameters
        ----------
        edges : count columns at the border, too; else none within half a spacing of it.
        """
        spacing = median_spacing(points) if len(points) > 1 else float("nan")
        radius = float(np.fmax(NEAREST, NEAR * spacing))
        border = 0.0 if edges or not len(points) else float(np.fmax(NEAREST, EDGE * spacing))
        kinds = np.zeros(len(points), np.int64) if kind is None else kind
        return cls(points, shape, kinds, radius, border)

    def inner(self, points: Array) -> NDArray[np.bool_]:
        """(N,) which places are counted."""
        if not self.border:
            return np.ones(len(points), bool)
        far = np.array(self.shape) - 1 - points
        return np.minimum(points, far).min(axis=1, initial=np.inf) >= self.border

    def matched(self, points: Array) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """(N,) which places found are right, and (M,) which true columns were found."""
        right, known = np.zeros(len(points), bool), np.zeros(len(self.points), bool)
        i, j = atomseg.analyze.match(points, self.points, self.radius)
        right[i] = known[j] = True
        return right, known

    def counts(self, points: Array, kind: int | None = None) -> Counts:
        """What was found of one kind of columns, or of all; false ones have no kind."""
        right, known = self.matched(points)
        these = self.inner(self.points)
        if kind is not None:
            these &= self.kind == kind
        false = ~right & self.inner(points)
        return Counts(int(these.sum()), int((known & these).sum()), int(false.sum()))


def reached(good: bool | np.bool_ | None) -> str:
    """Cell of a table: whether an aim is reached; empty where there is none."""
    return "" if good is None else ("yes" if good else "no")


def percent(share: float) -> str:
    """Cell of a table: a share; empty where it is not known."""
    return "" if np.isnan(share) else f"{100 * share:.1f}"


def draw(path: Path, image: Image, found: Array, truth: Truth | None, title: str) -> None:
    """The image, what was found right (green circles) and wrong (red crosses), and what was missed
    (blue rings); without a truth, what was found (orange).
    """
    figure = Figure(figsize=(6.0, 6.3), layout="constrained")
    axis = figure.subplots()
    low, high = np.nanpercentile(image, [0.5, 99.8])
    axis.imshow(image, cmap="gray", vmin=low, vmax=max(high, low + 1e-30))
    if truth is None:
        axis.plot(*found.T[::-1], "o", mfc="none", color="orange", ms=4, mew=0.8)
    else:
        right, known = truth.matched(found)
        missed = truth.points[~known]
        axis.plot(*missed.T[::-1], "o", mfc="none", color="deepskyblue", ms=7, mew=0.8)
        axis.plot(*found[right].T[::-1], "o", mfc="none", color="lime", ms=4, mew=0.8)
        axis.plot(*found[~right].T[::-1], "x", color="red", ms=5, mew=0.9)
    axis.set(xlim=(-0.5, image.shape[1] - 0.5), ylim=(image.shape[0] - 0.5, -0.5))
    axis.set_title("\n".join(fill(line, TITLE) for line in title.split("\n")), fontsize=9)
    axis.set_axis_off()
    figure.savefig(path, dpi=90)


def arguments(parser: argparse.ArgumentParser) -> None:
    """`options.model`, `pictures` and `threads`, which all have."""
    parser.add_argument("--model", help="name or weights file [the default of localize]")
    shared.pictures(parser)
    shared.threads(parser)
