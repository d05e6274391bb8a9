"""Bands, boxes and bars with all that is in them, and constant areas at the border."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from scipy import ndimage

from napari_atomseg._shared.types import Image, Mask
from napari_atomseg.inference.marks.levels import (
    FULL,
    LONG,
    SMALLEST,
    STRIP,
    Box,
    Levels,
    boxes_of,
    grown,
    in_squares,
    labelled,
)

BLOCKS = (3, 11)
"""Sides of the solid squares that areas consist of; among many pixels of one level, as in images
of few counts, only large ones are no chance."""
BOX = 250
"""Pixels of a box, at least."""
LETTERED = 0.03
"""Part of a box that its words fill, at least; plateaus of wide columns may be nearly square."""
LEAST = 0.1
"""Part of its bounding box that an area fills, at least."""
MOST = 0.5
"""Part of the image that an area fills, and of an area that ink fills, at most."""
PADDING = 0.005
"""Part of the image that an area of another shape at the border fills, at least."""
DEEP = 6
"""Lines of a band, at least."""
CLEAN = 0.97
"""Part of a line of a band without words that has the level of the band."""
COVERED = 0.35
"""The same of any line of a band, at least."""
RISE = 0.12
"""The same above that of lines of the image, at least."""
TOGETHER = 0.8
"""Part of the pixels of ink that have others of it beside them, at least; counts are single."""
INKED = 0.002
"""Part of an area that ink fills, at least."""
EXACT = 0.25
"""Tolerance of the first search, over that which compression and resampling need."""
ENDS = (slice(None, 2), slice(-2, None))
"""Where corners must be; the squares within a disc have none."""
BEYOND = (8, 11)
"""Distances at which there is image in any case."""
AT_ONCE = 0.6
"""Difference of the surroundings and an area over that of the image beyond, at least; columns that
saturate, and backgrounds without noise, pass into the image slowly."""
SMOOTH = 0.5
"""Range of three by three pixels around an area over the difference from it, at most, where the
image is smooth; in noise one cannot tell."""
ALIKE = 0.5
"""Part of the surroundings with the level of the area itself, at most. There is more about empty
areas of an image of few counts."""
OPEN = 0.6
"""The same on one side of it."""
STRAIGHT = 0.7
"""Part of each side of its bounding box that a band, box or bar reaches, at least."""
STEP = 0.05
"""Difference of surroundings and area over the range of the image, at least."""


def find_areas(levels: Levels) -> tuple[Mask, Mask]:
    """Pixels of bands, boxes and bars with all that is in them, and those of constant borders."""
    marks = np.zeros(levels.image.shape, dtype=bool)
    borders = marks.copy()
    for level in levels.found():
        for tolerance in (EXACT * levels.tolerance, levels.tolerance):
            exact = replace(levels, tolerance=tolerance)
            alike = exact.near(level, tolerance)
            for box, inked in _bands(exact, level, alike):
                (marks if inked else borders)[box] = True
            _add_areas(exact, level, alike, marks, borders)
        marks = _joined(marks)
    return marks, borders & ~marks


def _add_areas(levels: Levels, level: float, alike: Mask, marks: Mask, borders: Mask) -> None:
    """Add the areas of a level to the marks and to the borders."""
    for side in BLOCKS:
        for box, area in _components(_opened(alike & ~marks, side)):
            if not LEAST * area.size <= area.sum() <= MOST * levels.image.size:
                continue
            padding = _padding(levels, box, area, alike)
            if not padding and not _cornered(area):
                continue
            whole = ndimage.binary_fill_holes(area)
            ink = float((whole & ~area).sum()) / float(whole.sum())
            if whole.sum() > MOST * levels.image.size or ink > MOST:
                continue
            straight = _rectangle(levels, box, whole, ink)
            if not straight and not padding:
                continue
            if not _distinct(levels, box, whole, level):
                continue
            if straight:
                target = marks if ink > INKED or not _along_border(levels, box) else borders
                target[box] |= whole
            else:
                borders[box] |= whole


def _bands(levels: Levels, level: float, alike: Mask) -> Iterator[tuple[Box, bool]]:
    """Bands of a level along the sides of the image, and whether there is ink in them.

    The lines of a band have more of its level than lines of the image, though ink covers most
    of some; the first and last are clean, and the image begins at once.
    """
    off = ~alike
    for axis in (0, 1):
        free = 1.0 - off.mean(axis=1 - axis)
        least = max(COVERED, float(np.median(free)) + RISE)
        for lines in (free, free[::-1]):
            clean = np.flatnonzero(lines[: int((lines < least).argmax())] >= CLEAN)
            deep = int(clean.max(initial=-1)) + 1
            if not DEEP <= deep <= MOST * len(free):
                continue
            first = 0 if lines is free else len(free) - deep
            part = slice(first, first + deep)
            box = (part, slice(0, off.shape[1])) if axis == 0 else (slice(0, len(off)), part)
            ink = off[box]
            together = ndimage.uniform_filter(ink.astype(float), 3)[ink] > 0.3
            inked = bool(ink.mean() > INKED)
            if (not inked or together.mean() > TOGETHER) and _distinct(
                levels, box, np.ones_like(ink), level
            ):
                yield box, inked


def _along_border(levels: Levels, box: Box) -> bool:
    """Whether a box reaches along a whole side of the image."""
    height, width = levels.image.shape
    rows, cols = box
    wide = cols.start == 0 and cols.stop == width and (rows.start == 0 or rows.stop == height)
    high = rows.start == 0 and rows.stop == height and (cols.start == 0 or cols.stop == width)
    return bool(wide or high)


def _rectangle(levels: Levels, box: Box, area: Mask, ink: float) -> bool:
    """Whether an area is a band, box or bar: straight, closed on all sides, and no block of
    eight by eight pixels that a compression has left without contrast.
    """
    height, width = area.shape
    count = int(area.sum())
    if count < SMALLEST or count < FULL * area.size:
        return False
    if all(end % 8 == 0 for part in box for end in (part.start, part.stop)):
        return False
    edges = (area[:2].any(0), area[-2:].any(0), area[:, :2].any(1), area[:, -2:].any(1))
    if min(edge.mean() for edge in edges) < STRAIGHT or not _cornered(area):
        return False
    long = max(height, width) >= LONG * min(height, width)
    return long or (count >= BOX and ink > LETTERED) or _along_border(levels, box)


def _cornered(area: Mask) -> bool:
    """Whether an area reaches into all corners of its bounding box, whatever its holes."""
    return all(area[rows, cols].any() for rows in ENDS for cols in ENDS)


def _padding(levels: Levels, box: Box, area: Mask, alike: Mask) -> bool:
    """Whether an area of another shape is what an alignment leaves empty at the border."""
    rows, cols = box
    height, width = levels.image.shape
    at_border = (
        (rows.start == 0 and area[0].sum() > 0.1 * width)
        or (rows.stop == height and area[-1].sum() > 0.1 * width)
        or (cols.start == 0 and area[:, 0].sum() > 0.1 * height)
        or (cols.stop == width and area[:, -1].sum() > 0.1 * height)
    )
    count = int(area.sum())
    corner = (rows.start == 0 or rows.stop == height) and (cols.start == 0 or cols.stop == width)
    alone = count >= 0.9 * int(alike.sum())
    return bool(at_border and corner and alone and count >= PADDING * levels.image.size)


def _distinct(levels: Levels, box: Box, area: Mask, level: float) -> bool:
    """Whether the image begins at once around an area, on all sides of it."""
    near = levels.around(box, area, STRIP)
    far = np.abs(levels.around(box, area, BEYOND) - level)
    if len(near) < 8:
        return False
    off = np.abs(near - level)
    if (off <= levels.tolerance).mean() > ALIKE or off.mean() < STEP * levels.span:
        return False
    smooth = np.median(levels.around(box, area, STRIP, levels.local)) < SMOOTH * off.mean()
    if smooth and len(far) and off.mean() < AT_ONCE * far.mean():
        return False
    sides = (np.abs(side - level) <= levels.tolerance for side in _sides(levels, box))
    return all(side.mean() < OPEN for side in sides)


def _sides(levels: Levels, box: Box) -> Iterator[Image]:
    """The parts of the image beside a box, at the distances `STRIP`, where there are any."""
    rows, cols = box
    low, high = STRIP
    height, width = levels.image.shape
    if rows.start >= high:
        yield levels.image[rows.start - high : rows.start - low + 1, cols]
    if rows.stop + high <= height:
        yield levels.image[rows.stop + low - 1 : rows.stop + high, cols]
    if cols.start >= high:
        yield levels.image[rows, cols.start - high : cols.start - low + 1]
    if cols.stop + high <= width:
        yield levels.image[rows, cols.stop + low - 1 : cols.stop + high]


def _opened(mask: Mask, side: int) -> Mask:
    """Pixels that solid squares of a side, an odd number, cover."""
    solid = in_squares(mask, side // 2, np.logical_and, mode="edge")
    return grown(solid, side // 2) if solid.any() else solid


def _components(mask: Mask) -> Iterator[tuple[Box, Mask]]:
    """Bounding box and pixels in it of each connected area that may be a mark."""
    if mask.sum() < SMALLEST:
        return
    labels = np.asarray(ndimage.label(mask)[0], dtype=np.int32)
    sizes = np.bincount(labels.ravel())
    boxes = boxes_of(labels)
    for number in (np.flatnonzero(sizes[1:] >= SMALLEST) + 1).tolist():
        area: Mask = labels[boxes[number - 1]] == number
        yield boxes[number - 1], area


def _joined(marks: Mask) -> Mask:
    """Marks, and what lies between parts of one band, which ink has cut."""
    boxes = boxes_of(labelled(marks)[0])
    count = len(boxes)
    result = marks.copy()
    for first in range(count):
        for second in range(first + 1, count):
            for axis in (0, 1):
                one, other = boxes[first][axis], boxes[second][axis]
                if abs(one.start - other.start) <= 2 and abs(one.stop - other.stop) <= 2:
                    whole = _around(boxes[first], boxes[second])
                    if marks[whole].mean() >= 0.5:
                        result[whole] = True
    return result


def _around(one: Box, other: Box) -> Box:
    """The bounding box of two boxes."""
    rows, cols = (
        slice(min(a.start, b.start), max(a.stop, b.stop)) for a, b in zip(one, other, strict=True)
    )
    return rows, cols
