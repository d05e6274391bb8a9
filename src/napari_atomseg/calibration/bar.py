"""The scale bar that a program drew into an image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import ndimage

from napari_atomseg._shared.objects import takes_images
from napari_atomseg._shared.types import Mask
from napari_atomseg.inference.frames import as_frames
from napari_atomseg.inference.marks import find_marks

NEAR = 0.2
"""Part of the range of a mark's levels within which pixels have one level."""
FULL = 0.92
"""Part of its rectangle that a bar fills."""
SLENDER = 3.0
"""Length over height of a bar, at least."""
SHORTEST, LONGEST = 12, 0.95
"""Pixels of a bar, at least, and part of the image's width, at most."""


@dataclass(frozen=True)
class ScaleBar:
    """A scale bar.

    Attributes
    ----------
    length, error : pixels from its first to its last one, and by how much its ends are uncertain.
    box : (y0, x0, y1, x1) first and last pixels.
    """

    length: float
    error: float
    box: tuple[int, int, int, int]


@takes_images("image")
def find_scale_bar(image: Any) -> ScaleBar:
    """Find the scale bar among what programs wrote into an image (H, W).

    It is the longest slender rectangle of one level among these marks. Its ends lie on whole
    pixels, unless the image was resampled later: the error of its length is a pixel.

    Raises
    ------
    ValueError
        There is none.
    """
    frames, _ = as_frames(image)
    frame = frames[0]
    written = find_marks(frame).written
    best: ScaleBar | None = None
    if written.any():
        low, high = float(frame[written].min()), float(frame[written].max())
        for level in (low, high):
            alike = written & (np.abs(frame - level) <= NEAR * max(high - low, 1e-300))
            for found in _rectangles(alike):
                if best is None or found.length > best.length:
                    best = found
    if best is None:
        raise ValueError("there is no burnt-in scale bar that can be told from the image")
    return best


def _rectangles(alike: Mask) -> list[ScaleBar]:
    """Slender rectangles among pixels of one level."""
    labels, _ = ndimage.label(alike)
    found = []
    for number, box in enumerate(ndimage.find_objects(labels), 1):
        own = labels[box] == number
        # Smooth edges: rows and columns that are mostly filled count.
        rows, cols = own.mean(axis=1) > 0.5, own.mean(axis=0) > 0.5
        height, width = int(rows.sum()), int(cols.sum())
        if not (height and SHORTEST <= width <= LONGEST * alike.shape[1]):
            continue
        if width < SLENDER * height or own[np.ix_(rows, cols)].mean() < FULL:
            continue
        y, x = box[0].start + np.flatnonzero(rows), box[1].start + np.flatnonzero(cols)
        found.append(ScaleBar(float(width), 1.0, (int(y[0]), int(x[0]), int(y[-1]), int(x[-1]))))
    return found
