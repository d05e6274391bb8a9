"""Images too large for one piece are localized and segmented in windows, which are then joined.

Every window is seen as the whole image is: its contrast, magnification and level are those of the
image, and its share of the false columns that may be expected is by its area. A column belongs to
the window in whose core it lies; those at the seams, which two windows found, count once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from napari_atomseg._shared.types import Array, Labels, Sampling
from napari_atomseg._shared.units import mean_sampling, pixel_size
from napari_atomseg.inference.frames import Examined, examine
from napari_atomseg.inference.scale import estimate_spacing, leaning
from napari_atomseg.inference.stacks import StackView, is_lazy
from napari_atomseg.inference.windows import Window, cut, read, sample, windows
from napari_atomseg.inference.workers import current_client, spread
from napari_atomseg.localization.model import Model
from napari_atomseg.localization.settings import LocalizeSettings
from napari_atomseg.localization.stacks import attrs_of
from napari_atomseg.localization.table import in_angstrom
from napari_atomseg.progress import CancelToken, Progress, one_of, report, telling

AROUND = 4.0
"""Spacings of the columns that a window sees around its core."""
LEAST, MOST = 64, 256
"""The same in pixels, at least and at most; multiples of half the alignment of tiles."""
SLACK = 1.0
"""Pixels by which two windows may place one column differently."""

Frame = Callable[..., tuple[pd.DataFrame, int]]
"""Localizes what was examined: the table, and the last number of a label."""


@dataclass(frozen=True)
class Seen:
    """How the windows of an image (H, W) are seen.

    Attributes
    ----------
    view : contrast, magnifications and level of the image.
    spacing : of the columns, pixels.
    """

    view: StackView
    spacing: float

    def windows(self, shape: tuple[int, int], side: int) -> list[Window]:
        """Windows of at most `side` pixels, with room around their cores."""
        around = int(np.clip(16 * np.ceil(AROUND * self.spacing / 16), LEAST, min(MOST, side // 4)))
        return windows(shape, side, 2 * around)


def seen_by(
    plane: Any,
    sampling: Sampling | None,
    chosen: LocalizeSettings,
    tasks: Callable[[Model], Sequence[str]],
    wanted: Sequence[str] = (),
) -> Seen:
    """How the windows of an image (H, W) are seen, by some of its pieces.

    Parameters
    ----------
    tasks : maps that are needed of the model, which has those `wanted`.
    """
    pieces = sample(plane)
    part = pieces[1]
    if chosen.detector != "peaks" or chosen.on != "raw":
        using = Model.of(part, chosen.model, wanted)
        view = using.large_view(pieces, tasks(using), sampling, chosen)
        return Seen(view, 0.0 if view.magnifications is None else view.magnifications.spacing)
    shown = part.frames[0]
    mean = None if sampling is None else mean_sampling(sampling)
    spacing = estimate_spacing(shown, mean)
    contrast: str = chosen.contrast
    if contrast == "auto":
        contrast = "bright" if leaning(shown, spacing, sampling=mean) > 0 else "dark"
    return Seen(StackView(contrast), spacing)


def divisible(chosen: LocalizeSettings) -> bool:
    """Whether columns can be localized window by window: not where scan lines are corrected, which
    cross all windows, or one fit joins all columns.
    """
    return chosen.scan == "none" and chosen.refine != "joint"


def share_of(window: Window, shape: tuple[int, int], chosen: LocalizeSettings) -> LocalizeSettings:
    """Settings of a window: of the false columns of an image it has the share of its area."""
    tile = window.seen
    part = (tile.bottom - tile.top) * (tile.right - tile.left) / (shape[0] * shape[1])
    return chosen.updated(sensitivity=chosen.sensitivity * min(1.0, part))


def localized(
    plane: Any,
    seen: Seen,
    side: int,
    sampling: Sampling | None,
    chosen: LocalizeSettings,
    limits: Any,
    frame: Frame,
    progress: Progress | None,
    cancel: CancelToken | None,
) -> pd.DataFrame:
    """Columns of an image (H, W), window by window; see `localize`.

    Parameters
    ----------
    limits : what is known of the pixels; ``limits.within(tile)`` is that of a window.
    frame : localizes one window.
    """
    shape = (plane.shape[-2], plane.shape[-1])
    every = seen.windows(shape, side)
    known = [
        (sampling, share_of(window, shape, chosen), limits.within(window.seen), seen.view)
        for window in every
    ]
    tables: list[pd.DataFrame] = []
    last = 0
    client = current_client() if is_lazy(plane) else None
    made: Iterator[tuple[pd.DataFrame, int]]
    if client is None:
        made = (
            frame(_examined(plane, window, hook), *some, hook, cancel)
            for number, (window, some) in enumerate(zip(every, known, strict=True))
            for hook in [one_of(progress, cancel, number, len(every), "window")]
        )
    else:
        parts = [
            (frame, cut(plane, window.seen), *some)
            for window, some in zip(every, known, strict=True)
        ]
        made = spread(client, _on_worker, parts, cancel)
    for window, (table, count) in zip(every, made, strict=True):
        tables.append(_placed(table, window, sampling, last))
        last += count
        if client is not None:
            report(progress, cancel, len(tables), len(every), "Localizing windows on workers")
    return _joined(tables, every, chosen)


def _on_worker(frame: Frame, part: Any, *known: Any) -> tuple[pd.DataFrame, int]:
    """Columns of one window, on a worker of a cluster."""
    return frame(examine(part), *known, None, None)


def segmented(
    plane: Any,
    seen: Seen,
    side: int,
    sampling: Sampling | None,
    chosen: LocalizeSettings,
    frame: Callable[..., tuple[Labels, int]],
    progress: Progress | None,
    cancel: CancelToken | None,
) -> Labels:
    """Labels of an image (H, W), window by window; see `segment`."""
    shape = (plane.shape[-2], plane.shape[-1])
    every = seen.windows(shape, side)
    whole = np.zeros(shape, np.int32)
    last = 0
    for number, window in enumerate(every):
        hook = one_of(progress, cancel, number, len(every), "window")
        labels, count = frame(
            _examined(plane, window, hook),
            sampling,
            share_of(window, shape, chosen),
            seen.view,
            hook,
            cancel,
        )
        tile = window.seen
        there = whole[tile.top : tile.bottom, tile.left : tile.right]
        _add_labels(there, labels.reshape(there.shape), window, last)
        last += count
    return whole


def _examined(plane: Any, window: Window, hook: Progress) -> Examined:
    with telling(partial(hook, 0, 1)):
        return examine(read(cut(plane, window.seen)))


def _placed(
    table: pd.DataFrame, window: Window, sampling: Sampling | None, last: int
) -> pd.DataFrame:
    """The table of a window in pixels of the image, with labels that go on behind the last one."""
    pixel = pixel_size(sampling)
    first = {"y": window.seen.top, "x": window.seen.left}
    moved = {
        name: table[name] + first[name[0]]
        for name in ("y", "x", "y_restored", "x_restored")
        if name in table
    }
    placed = table.assign(**moved, label=table["label"] + last)
    return placed if pixel is None else in_angstrom(placed, pixel)


def _joined(
    tables: list[pd.DataFrame], every: list[Window], chosen: LocalizeSettings
) -> pd.DataFrame:
    """One table of all windows, each column once."""
    attrs = attrs_of(tables, "window")
    attrs["sensitivity"] = chosen.sensitivity
    kept = []
    for number, (table, window) in enumerate(zip(tables, every, strict=True)):
        own = window.owns(table["y"].to_numpy(), table["x"].to_numpy(), SLACK)
        kept.append(table[own].assign(_window=number))
    filled = [table for table in kept if len(table)] or kept[:1]
    whole: pd.DataFrame = pd.concat(filled, ignore_index=True)
    again = _again(whole[["y", "x"]].to_numpy(), whole["_window"].to_numpy())
    whole = whole.loc[~again].drop(columns="_window").reset_index(drop=True)
    whole.attrs.update(attrs)
    return whole


def _again(points: Array, window: Any) -> Any:
    """(N,) columns that an earlier window has found, too."""
    again = np.zeros(len(points), dtype=bool)
    if len(points) > 1:
        pairs = cKDTree(points).query_pairs(1.5 * SLACK, output_type="ndarray")
        pairs = pairs[window[pairs[:, 0]] != window[pairs[:, 1]]]
        again[pairs.max(axis=1)] = True
    return again


def _add_labels(whole: Labels, labels: Labels, window: Window, last: int) -> None:
    """Add the labels (h, w) of a window to those of the image there, in place.

    A region belongs to the window if its middle does; one that lies for half on pixels of others
    has been labelled by an earlier window.
    """
    numbers = labels.ravel()
    there = np.flatnonzero(numbers)
    if not len(there):
        return
    count = np.bincount(numbers[there])
    row, col = np.divmod(there, labels.shape[1])
    area = np.maximum(count, 1)
    y = np.bincount(numbers[there], row) / area + window.seen.top
    x = np.bincount(numbers[there], col) / area + window.seen.left
    taken = np.bincount(numbers[there], whole.ravel()[there] > 0) / area
    keep = window.owns(y, x, SLACK) & (count > 0) & (taken < 0.5)
    new = np.where(keep, np.arange(len(count)) + last, 0).astype(np.int32)
    whole[:] = np.where(whole == 0, new[labels], whole)
