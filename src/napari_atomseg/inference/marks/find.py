"""What programs wrote into an image: bands, boxes, scale bars and words, and constant borders."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from napari_atomseg._shared.types import Image, Mask
from napari_atomseg.inference.marks.areas import ALIKE, find_areas
from napari_atomseg.inference.marks.levels import Box, Levels, grown
from napari_atomseg.inference.marks.words import find_words
from napari_atomseg.progress import checkpoint

SOFT = 2
"""Pixels by which marks are grown: smooth edges, and the blur of a resampling."""


@dataclass(frozen=True)
class Marks:
    """Pixels (H, W) of what is no image: `written` by a program, and constant at the `border`.

    `edges` are those of the written ones that were added around them, as edges may be smooth.
    """

    written: Mask
    border: Mask
    edges: Mask

    @property
    def all(self) -> Mask:
        """(H, W) pixels of both kinds."""
        both: Mask = self.written | self.border
        return both


def find_marks(frame: Image) -> Marks:
    """Find bands, boxes, bars and words in one frame, and constant borders.

    All of them have a level that does not vary, with an edge about them beyond which the image
    begins at once, noise included. Columns that saturate are discs, and fall off slowly; areas
    without counts pass into the image slowly, as does the background of an image without noise.

    Parameters
    ----------
    frame : (H, W) finite.
    """
    none = np.zeros(frame.shape, dtype=bool)
    low, high = (float(v) for v in np.quantile(frame, (0.005, 0.995)))
    if min(frame.shape) < 16 or not high > low:
        return Marks(none, none, none)
    border = _constant_lines(frame)
    inner = frame[_inside(border)]
    if min(inner.shape, default=0) < 16 or not np.ptp(inner) > 0:
        return Marks(none, border, none)
    checkpoint()
    levels = Levels.of(frame, inner)
    checkpoint()
    written, padding = find_areas(levels)
    border |= padding
    checkpoint()
    written |= find_words(levels, written | border)
    # A band at the border with words in it is one mark.
    core = written | border
    written = _with_bands(_grown(written), border)
    return Marks(written, border & ~written, written & ~core)


def _with_bands(written: Mask, border: Mask) -> Mask:
    """Marks, and the lines of the border that continue a band of them."""
    labels, _ = ndimage.label(written | border)
    both = np.unique(labels[written])
    touching: Mask = np.isin(labels, both[both > 0])
    return touching


def _constant_lines(frame: Image) -> Mask:
    """Pixels of lines at the border, one after the other, of one value each side throughout."""
    top, bottom, left, right = 0, frame.shape[0], 0, frame.shape[1]
    going = True
    while going and bottom - top > 1 and right - left > 1:
        going = False
        part = frame[top:bottom, left:right]
        for side, line in enumerate((part[0], part[-1], part[:, 0], part[:, -1])):
            if np.ptp(line) == 0:
                going = True
                top, bottom = top + (side == 0), bottom - (side == 1)
                left, right = left + (side == 2), right - (side == 3)
                break
    border = np.ones(frame.shape, dtype=bool)
    border[top:bottom, left:right] = False
    # Lines of a dark frame without counts are no border unless the next ones are brighter at once.
    inner = frame[top:bottom, left:right]
    if border.any() and inner.size:
        edge = np.concatenate([inner[:3].ravel(), inner[-3:].ravel()])
        sides = np.concatenate([edge, inner[:, :3].ravel(), inner[:, -3:].ravel()])
        level = float(np.median(frame[border]))
        if np.mean(sides == level) > ALIKE:
            border[:] = False
    return border


def _inside(border: Mask) -> Box:
    """The rectangle within a border."""
    rows, cols = np.flatnonzero(~border.all(axis=1)), np.flatnonzero(~border.all(axis=0))
    if not len(rows):
        return slice(0, 0), slice(0, 0)
    return slice(rows[0], rows[-1] + 1), slice(cols[0], cols[-1] + 1)


def _grown(marks: Mask) -> Mask:
    """Marks with their smooth edges."""
    if not marks.any():
        return marks
    return grown(marks, SOFT)


def share(mask: Mask) -> str:
    """The part of an image that a mask covers, in words."""
    percent = 100.0 * float(np.mean(mask))
    return f"{percent:.0f} %" if percent >= 1 else f"{percent:.1g} %"
