"""Words on the image, and bars that are thin: strokes of one level of ink."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from napari_atomseg._shared.types import Labels, Mask
from napari_atomseg.inference.marks.levels import (
    FULL,
    LONG,
    NEIGHBOURS,
    SMALLEST,
    STRIP,
    Box,
    Levels,
    boxes_of,
    grown,
    labelled,
)

INK = 0.04
"""Deviation of the pixels of ink from their level over the range of the image, at most."""
CONTRAST = 0.3
"""Difference of the surroundings of ink, over the whole range of the image, at least. About
saturated columns it is less, as they fall off slowly."""
STROKE = 3.0
"""Area of a stroke over that of the largest disc in it, at least; columns are discs themselves."""
LETTER = 6
"""Pixels of a letter, at least."""
LOWEST = 5
"""Height of letters (pixels), at least."""
OWN = 0.15
"""Part of the pixels with the level of ink that are in words, at least."""
LINE = 3
"""Letters of a line of words, at least, all of which is left out."""
RARE = 0.03
"""Part of the pixels, outside of bands, that has the level of ink, at most."""
GAP = 0.75
"""Largest gap between letters over their height."""
TALLEST = 0.1
"""Height of letters over that of the image, at most."""
PLACES = 6
"""Places with words, at most; more are a pattern of the image."""
EXTENT = 0.25
"""Part of the image that the bounding boxes of words fill, at most."""


def find_words(levels: Levels, known: Mask) -> Mask:
    """Pixels of strokes on the image, of bars that are thin, and what lies between them."""
    found = np.zeros(levels.image.shape, dtype=bool)
    low, high = float(levels.image.min()), float(levels.image.max())
    for level in dict.fromkeys([high, low, *levels.found()]):
        ink = levels.near(level, max(INK * (high - low), levels.tolerance)) & ~known
        exact = levels.near(level, levels.tolerance) & ~known
        if not LETTER <= ink.sum() <= RARE * ink.size or not exact.any():
            continue
        found |= _text(levels, ink, level, high - low)
    return found


def _text(levels: Levels, ink: Mask, level: float, whole: float) -> Mask:
    """Pixels of the words of one level of ink."""
    labels, count = labelled(ink)
    boxes = boxes_of(labels)
    strokes = np.zeros(count + 1, dtype=bool)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    for number in (np.flatnonzero(sizes[1:] >= LETTER) + 1).tolist():
        box = boxes[number - 1]
        strokes[number] = _stroke(levels, box, labels[box] == number, level, whole)
    none = np.zeros_like(ink)
    if not strokes.any():
        return none
    rows = [boxes[each - 1][0] for each in np.flatnonzero(strokes)]
    height = float(np.median([part.stop - part.start for part in rows]))
    reach = max(2, round(GAP * min(height, TALLEST * len(ink))))
    words, _ = labelled(grown(strokes[labels], reach))
    places = dict(enumerate(boxes_of(words), start=1))
    kept = [
        number
        for number, box in places.items()
        if _word(np.where((words[box] == number) & strokes[labels[box]], labels[box], 0))
    ]
    extent = sum([_size(places[number]) for number in kept])
    if not kept or len(kept) > PLACES or extent > EXTENT * ink.size:
        return none
    lines = ink & np.isin(words, kept)
    if lines.sum() < OWN * ink.sum():
        return none
    # Between letters, and their smooth parts, there is no image to be measured either.
    result: Mask = ndimage.binary_closing(lines, NEIGHBOURS, max(1, reach // 2)) | lines
    for each in kept:
        place = words == each
        if len(np.unique(labels[place & strokes[labels]])) >= LINE:
            result[boxes_of((place & ink).astype(np.int32))[0]] = True
    return result


def _stroke(levels: Levels, box: Box, letter: Mask, level: float, whole: float) -> bool:
    """Whether a piece of ink is one or more strokes, and no disc, with sharp edges."""
    radius = float(ndimage.distance_transform_edt(np.pad(letter, 1)).max()) - 0.5
    if letter.sum() < STROKE * np.pi * radius**2:
        return False
    around = np.abs(levels.around(box, letter, STRIP) - level)
    return len(around) > 0 and float(np.median(around)) > CONTRAST * whole


def _word(there: Labels) -> bool:
    """Whether a place (h, w), with the numbers of its strokes, has two in a line, or a bar."""
    boxes = boxes_of(there)
    if len(boxes) > 1:
        return _in_line(boxes, 0) or _in_line(boxes, 1)
    height, width = (part.stop - part.start for part in boxes[0])
    count = int((there > 0).sum())
    long = max(height, width) >= LONG * min(height, width)
    return bool(long and count >= max(SMALLEST / 2, FULL * height * width))


def _in_line(boxes: list[Box], axis: int) -> bool:
    """Whether two boxes are as high as each other and lie on one line along the other axis."""
    parts = [box[axis] for box in boxes]
    for number, one in enumerate(parts):
        for other in parts[number + 1 :]:
            sizes = sorted((one.stop - one.start, other.stop - other.start))
            common = min(one.stop, other.stop) - max(one.start, other.start)
            if sizes[0] >= LOWEST and common >= 0.7 * sizes[1]:
                return True
    return False


def _size(box: Box) -> int:
    return int(np.prod([part.stop - part.start for part in box]))
