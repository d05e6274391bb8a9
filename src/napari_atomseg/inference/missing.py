"""Pixels that were never measured and are written as exact zeros."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy import ndimage

from napari_atomseg._shared.types import Array, Image, Mask
from napari_atomseg.progress import checkpoint

PLENTY = 0.01
"""Share of the pixels from which on exact zeros may be missing pixels."""
REACH = 2
"""Half the side of the window about a pixel that its level is told from."""
LEAST_KNOWN = 0.3
"""Share of that window that must not be zero."""
SOLID = 5
"""Zeros that fill squares of this side are an area of the image or a border, and not single."""
LEVELS = 8
"""Parts of the image by their level, each of which is judged by itself."""
COUNTS = 6.0
"""Counts by which a level lies above zero where zeros are missing: the quarter of Poisson's counts
that is lowest ends at 6 where their mean is 8, of which 0.03 % are zero."""
DEVIATIONS = 2.5
"""Deviations of the noise by which it does: of normal noise 0.1 % lies below zero."""
MOST = 0.5
"""Part of the pixels of a level that are missing, at most. Of pulses of single electrons more than
that may be zero although all others are of about one height."""
OUTNUMBER = 5.0
"""How often zeros outnumber the values between them and a part of the level."""
BETWEEN = 0.35
"""That part."""
EVEN = 1.25
"""Missing pixels do not depend on the level: elsewhere zeros are missing, too, where there are at
most so many times as many of them."""
SAMPLE = 50_000
"""Pixels, zero and not, from which the levels are told."""
CHUNK = 100_000
"""Pixels whose windows are sorted at once."""


def find_missing(frame: Image) -> Mask:
    """Find the pixels of a frame that are exact zeros because they were not measured.

    A sparse scan, dead pixels that a program has set to zero, and lines that were lost leave zeros
    in plenty, far below all that is about them. Counts of few electrons are full of zeros, too, and
    so are images that were cut off at zero; but these are the low end of a distribution. So the
    image is divided by the level about each pixel, the lower quartile of what is not zero there.
    Zeros of a level are missing pixels where it lies many counts above zero and many deviations
    of the noise, and where hardly any other pixel lies in between. Zeros of darker places are
    missing where they are no more frequent.

    Parameters
    ----------
    frame : (H, W) real numbers; those that are not finite do not count.

    Returns
    -------
    (H, W) bool; nothing where zeros are few or belong to the image. Areas of zeros are not among
    them, nor are zeros beside such areas.
    """
    none = np.zeros(frame.shape, dtype=bool)
    zero = frame == 0
    if min(frame.shape) <= 2 * REACH + 1 or not PLENTY <= zero.mean() < 1.0:
        return none
    solid = ndimage.binary_opening(zero, np.ones((SOLID, SOLID), dtype=bool))
    near = ndimage.binary_dilation(solid, iterations=REACH)
    single, other = zero & ~near, np.isfinite(frame) & ~zero & ~near
    if single.mean() < PLENTY or not other.any():
        return none
    edges, missing = _judge(frame, zero, np.argwhere(single), np.argwhere(other))
    if not missing.any():
        return none
    if missing.all():
        return np.asarray(single)
    places = np.argwhere(single)
    level = _quartile(frame, zero, places, REACH, 0.25)
    here = missing[np.searchsorted(edges, level)] & np.isfinite(level)
    result = none.copy()
    result[tuple(places[here].T)] = True
    return result if result.mean() >= PLENTY else none


def _judge(
    frame: Image, zero: Mask, zeros: NDArray[np.intp], others: NDArray[np.intp]
) -> tuple[Array, Mask]:
    """Levels (L - 1,) that divide the image, and in which (L,) of its parts zeros are missing.

    Parameters
    ----------
    zeros, others : (N, 2) pixels that are zero, and those that are not.
    """
    some, rest = _thinned(zeros), _thinned(others)
    low = _quartile(frame, zero, some, REACH, 0.25)
    high = _quartile(frame, zero, rest, REACH, 0.25)
    beside = _quartile(frame, zero, rest, 1, 0.5)
    known = np.isfinite(high) & np.isfinite(beside)
    level, value = high[known], frame[tuple(rest[known].T)].astype(np.float64)
    rise = value - beside[known]
    if len(level) < 100 * LEVELS:
        return np.zeros(0), np.zeros(1, dtype=bool)
    edges = np.quantile(level, np.arange(1, LEVELS) / LEVELS)
    part_of_zeros = np.searchsorted(edges, low[np.isfinite(low)])
    part = np.searchsorted(edges, level)
    # So many pixels of the image stand behind each that was looked at.
    each_zero, each_other = len(zeros) / len(some), len(others) / len(rest)
    quantum = _quantum(value)
    share, sure = np.zeros(LEVELS), np.zeros(LEVELS, dtype=bool)
    for number in range(LEVELS):
        mine = part == number
        count = each_zero * np.count_nonzero(part_of_zeros == number)
        total = count + each_other * np.count_nonzero(mine)
        if not mine.any() or not total:
            continue
        height, least = float(np.median(level[mine])), float(level[mine].min())
        below, above = np.quantile(rise[mine], (0.16, 0.84))
        between = each_other * np.count_nonzero(value[mine] < BETWEEN * height)
        share[number] = count / total
        sure[number] = (
            PLENTY <= share[number] <= MOST
            and least >= COUNTS * quantum
            and height >= DEVIATIONS * 0.5 * float(above - below)
            and count >= OUTNUMBER * between
        )
    if not sure.any():
        return edges, sure
    usual = float(np.median(share[sure]))
    return edges, sure | (share <= EVEN * usual)


def _thinned(places: NDArray[np.intp]) -> NDArray[np.intp]:
    """At most `SAMPLE` of some pixels, evenly spread."""
    return places[:: max(1, len(places) // SAMPLE)]


def _quartile(frame: Image, zero: Mask, places: NDArray[np.intp], reach: int, part: float) -> Array:
    """(N,) quantile of what is finite and not zero about each pixel (N, 2), itself left out; NaN
    where that is little.
    """
    side = 2 * reach + 1
    hidden = np.where(zero | ~np.isfinite(frame), np.inf, frame)
    windows = sliding_window_view(np.pad(hidden, reach, constant_values=np.inf), (side, side))
    found = np.full(len(places), np.nan)
    for start in range(0, len(places), CHUNK):
        checkpoint()
        rows, cols = places[start : start + CHUNK].T
        values = windows[rows, cols].reshape(len(rows), -1).astype(np.float64)
        values[:, side * side // 2] = np.inf
        values.sort(axis=1)
        count = np.isfinite(values).sum(axis=1)
        enough = count >= LEAST_KNOWN * (side * side - 1)
        index = (part * np.maximum(count - 1, 0)).astype(np.intp)
        told = np.take_along_axis(values, index[:, None], axis=1)[:, 0]
        found[start : start + CHUNK] = np.where(enough, told, np.nan)
    return found


def _quantum(values: Array) -> float:
    """Typical step between different values: a single count, or next to nothing."""
    steps = np.diff(np.unique(values))
    steps = steps[steps > 1e-6 * float(np.abs(values).max())]
    return float(np.median(steps)) if len(steps) else float(np.abs(values).max())
