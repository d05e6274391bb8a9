"""What programs wrote into an image: bands, boxes, scale bars and words, and constant borders."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_atomseg._shared.types import Image, Labels, Mask

Box = tuple[slice, slice]
NEIGHBOURS = np.ones((3, 3), dtype=bool)

FLAT = 0.04
"""Deviation of pixels from the level of their area over the range of the image, at most; JPEG
compression leaves about as much."""
QUIET = 0.25
"""The same over the usual range of three by three pixels: noise must exceed that of the marks."""
BLOCKS = (3, 11)
"""Sides of the solid squares that areas consist of; among many pixels of one level, as in images
of few counts, only large ones are no chance."""
LEVELS = 8
"""Levels that are examined, the most frequent ones in flat areas."""
SMALLEST = 60
"""Pixels of a bar, at least."""
LONG = 3.0
"""Length over width of a bar; areas that are not as long are boxes."""
BOX = 250
"""Pixels of a box, at least."""
LETTERED = 0.03
"""Part of a box that its words fill, at least; plateaus of wide columns may be nearly square."""
LEAST = 0.1
"""Part of its bounding box that an area fills, at least."""
MOST = 0.5
"""Part of the image that an area fills, and of an area that ink fills, at most."""
FULL = 0.92
"""Part of its bounding box that a band, box or bar fills, holes of ink filled."""
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
STRIP = (2, 4)
"""Distances (pixels) between which the surroundings of an area are compared with it; between it
and them edges may be smooth."""
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
SOFT = 2
"""Pixels by which marks are grown: smooth edges, and the blur of a resampling."""


@dataclass(frozen=True)
class Marks:
    """Pixels (H, W) of what is no image: `written` by a program, and constant at the `border`."""

    written: Mask
    border: Mask

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
        return Marks(none, none)
    border = _constant_lines(frame)
    inner = frame[_inside(border)]
    if min(inner.shape, default=0) < 16 or not np.ptp(inner) > 0:
        return Marks(none, border)
    search = _Search.of(frame, inner)
    written, padding = search.areas()
    border |= padding
    written |= search.words(written | border)
    # A band at the border with words in it is one mark.
    written = _with_bands(_grown(written), border)
    return Marks(written, border & ~written)


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


@dataclass(frozen=True)
class _Search:
    """Search of one frame for marks."""

    image: Image
    local: Image
    span: float
    tolerance: float

    @classmethod
    def of(cls, image: Image, inner: Image) -> _Search:
        """A search with the tolerance that the noise within the borders admits."""
        low, high = (float(v) for v in np.quantile(inner, (0.01, 0.99)))
        local = _local_range(inner)
        span = max(high - low, 1e-3 * float(np.ptp(inner)))
        tolerance = min(FLAT * span, QUIET * float(np.median(local)))
        return cls(image, _local_range(image), span, tolerance)

    def near(self, level: float, tolerance: float) -> Mask:
        """Pixels of a level."""
        result: Mask = np.abs(self.image - level) <= tolerance
        return result

    def levels(self) -> list[float]:
        """Levels of flat areas, the most frequent ones first."""
        flat = self.image[self.local <= self.tolerance]
        found: list[float] = []
        for _ in range(LEVELS):
            if len(flat) < SMALLEST // 6:
                break
            values, counts = np.unique(flat, return_counts=True)
            level = float(values[counts.argmax()])
            found.append(level)
            flat = flat[np.abs(flat - level) > self.tolerance]
        return found

    def areas(self) -> tuple[Mask, Mask]:
        """Pixels of bands, boxes and bars with all that is in them, and of constant borders."""
        marks = np.zeros(self.image.shape, dtype=bool)
        borders = marks.copy()
        for level in self.levels():
            for tolerance in (EXACT * self.tolerance, self.tolerance):
                exact = replace(self, tolerance=tolerance)
                for box, inked in exact.bands(level):
                    (marks if inked else borders)[box] = True
                exact.add_areas(level, marks, borders)
            marks = _joined(marks)
        return marks, borders & ~marks

    def add_areas(self, level: float, marks: Mask, borders: Mask) -> None:
        """Add the areas of a level to the marks and to the borders."""
        alike = self.near(level, self.tolerance)
        for side in BLOCKS:
            for box, area in _components(_opened(alike & ~marks, side)):
                if not LEAST * area.size <= area.sum() <= MOST * self.image.size:
                    continue
                whole = ndimage.binary_fill_holes(area)
                ink = float((whole & ~area).sum()) / float(whole.sum())
                if whole.sum() > MOST * self.image.size or ink > MOST:
                    continue
                straight = self._rectangle(box, whole, ink)
                if not straight and not self._padding(box, area, alike):
                    continue
                if not self._distinct(box, whole, level):
                    continue
                if straight:
                    target = marks if ink > INKED or not self._borders(box) else borders
                    target[box] |= whole
                else:
                    borders[box] |= whole

    def bands(self, level: float) -> Iterator[tuple[Box, bool]]:
        """Bands of a level along the sides of the image, and whether there is ink in them.

        The lines of a band have more of its level than lines of the image, though ink covers most
        of some; the first and last are clean, and the image begins at once.
        """
        off = ~self.near(level, self.tolerance)
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
                if (not inked or together.mean() > TOGETHER) and self._distinct(
                    box, np.ones_like(ink), level
                ):
                    yield box, inked

    def _borders(self, box: Box) -> bool:
        """Whether a box reaches along a whole side of the image."""
        height, width = self.image.shape
        rows, cols = box
        wide = cols.start == 0 and cols.stop == width and (rows.start == 0 or rows.stop == height)
        high = rows.start == 0 and rows.stop == height and (cols.start == 0 or cols.stop == width)
        return bool(wide or high)

    def _rectangle(self, box: Box, area: Mask, ink: float) -> bool:
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
        corners = (area[rows, cols].any() for rows in ENDS for cols in ENDS)
        if min(edge.mean() for edge in edges) < STRAIGHT or not all(corners):
            return False
        long = max(height, width) >= LONG * min(height, width)
        return long or (count >= BOX and ink > LETTERED) or self._borders(box)

    def _padding(self, box: Box, area: Mask, alike: Mask) -> bool:
        """Whether an area of another shape is what an alignment leaves empty at the border."""
        rows, cols = box
        height, width = self.image.shape
        at_border = (
            (rows.start == 0 and area[0].sum() > 0.1 * width)
            or (rows.stop == height and area[-1].sum() > 0.1 * width)
            or (cols.start == 0 and area[:, 0].sum() > 0.1 * height)
            or (cols.stop == width and area[:, -1].sum() > 0.1 * height)
        )
        count = int(area.sum())
        corner = (rows.start == 0 or rows.stop == height) and (
            cols.start == 0 or cols.stop == width
        )
        alone = count >= 0.9 * int(alike.sum())
        return bool(at_border and corner and alone and count >= PADDING * self.image.size)

    def _distinct(self, box: Box, area: Mask, level: float) -> bool:
        """Whether the image begins at once around an area, on all sides of it."""
        near = self._strip(box, area, STRIP)
        far = np.abs(self._strip(box, area, BEYOND) - level)
        if len(near) < 8:
            return False
        off = np.abs(near - level)
        if (off <= self.tolerance).mean() > ALIKE or off.mean() < STEP * self.span:
            return False
        smooth = np.median(self._strip(box, area, STRIP, self.local)) < SMOOTH * off.mean()
        if smooth and len(far) and off.mean() < AT_ONCE * far.mean():
            return False
        sides = (np.abs(side - level) <= self.tolerance for side in self._sides(box))
        return all(side.mean() < OPEN for side in sides)

    def _sides(self, box: Box) -> Iterator[Image]:
        """The parts of the image beside a box, at the distances `STRIP`, where there are any."""
        rows, cols = box
        low, high = STRIP
        height, width = self.image.shape
        if rows.start >= high:
            yield self.image[rows.start - high : rows.start - low + 1, cols]
        if rows.stop + high <= height:
            yield self.image[rows.stop + low - 1 : rows.stop + high, cols]
        if cols.start >= high:
            yield self.image[rows, cols.start - high : cols.start - low + 1]
        if cols.stop + high <= width:
            yield self.image[rows, cols.stop + low - 1 : cols.stop + high]

    def _strip(
        self, box: Box, area: Mask, distances: tuple[int, int], image: Image | None = None
    ) -> NDArray[np.floating[Any]]:
        """Values of an image around an area, between two distances from it."""
        image = self.image if image is None else image
        pad = distances[1] + 1
        rows, cols = (
            slice(max(0, part.start - pad), min(length, part.stop + pad))
            for part, length in zip(box, self.image.shape, strict=True)
        )
        there = np.zeros((rows.stop - rows.start, cols.stop - cols.start), dtype=bool)
        top, left = box[0].start - rows.start, box[1].start - cols.start
        there[top : top + area.shape[0], left : left + area.shape[1]] = area
        near = ndimage.binary_dilation(there, NEIGHBOURS, distances[0] - 1)
        far = ndimage.binary_dilation(there, NEIGHBOURS, distances[1])
        values: NDArray[np.floating[Any]] = image[rows, cols][far & ~near]
        return values

    def words(self, known: Mask) -> Mask:
        """Pixels of strokes on the image, of bars that are thin, and what lies between them."""
        found = np.zeros(self.image.shape, dtype=bool)
        low, high = float(self.image.min()), float(self.image.max())
        for level in dict.fromkeys([high, low, *self.levels()]):
            ink = self.near(level, max(INK * (high - low), self.tolerance)) & ~known
            exact = self.near(level, self.tolerance) & ~known
            if not LETTER <= ink.sum() <= RARE * ink.size or not exact.any():
                continue
            found |= self._text(ink, level, high - low)
        return found

    def _text(self, ink: Mask, level: float, whole: float) -> Mask:
        """Pixels of the words of one level of ink."""
        labels, count = _labelled(ink)
        boxes = _boxes(labels)
        strokes = np.zeros(count + 1, dtype=bool)
        sizes = np.bincount(labels.ravel(), minlength=count + 1)
        for number in (np.flatnonzero(sizes[1:] >= LETTER) + 1).tolist():
            box = boxes[number - 1]
            strokes[number] = self._stroke(box, labels[box] == number, level, whole)
        none = np.zeros_like(ink)
        if not strokes.any():
            return none
        rows = [boxes[each - 1][0] for each in np.flatnonzero(strokes)]
        height = float(np.median([part.stop - part.start for part in rows]))
        reach = max(2, round(GAP * min(height, TALLEST * len(ink))))
        near = ndimage.binary_dilation(strokes[labels], NEIGHBOURS, reach)
        words, found = _labelled(near)
        places = _boxes(words)
        kept = [n for n in range(1, found + 1) if self._word(labels, strokes, words, n)]
        extent = sum([_size(places[n - 1]) for n in kept])
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
                result[_boxes((place & ink).astype(np.int32))[0]] = True
        return result

    def _stroke(self, box: Box, letter: Mask, level: float, whole: float) -> bool:
        """Whether a piece of ink is one or more strokes, and no disc, with sharp edges."""
        radius = float(ndimage.distance_transform_edt(np.pad(letter, 1)).max()) - 0.5
        if letter.sum() < STROKE * np.pi * radius**2:
            return False
        around = np.abs(self._strip(box, letter, STRIP) - level)
        return len(around) > 0 and float(np.median(around)) > CONTRAST * whole

    def _word(self, labels: Labels, strokes: Mask, words: Labels, number: int) -> bool:
        """Whether a place has two letters in a line, or a bar."""
        there = np.where((words == number) & strokes[labels], labels, 0)
        boxes = _boxes(there.astype(np.int32))
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


def _local_range(image: Image) -> Image:
    """Highest less lowest value of three by three pixels about each."""
    return ndimage.maximum_filter(image, 3) - ndimage.minimum_filter(image, 3)


def _opened(mask: Mask, side: int) -> Mask:
    """Pixels that solid squares of a side cover."""
    solid = ndimage.minimum_filter(mask.view(np.uint8), side, mode="nearest")
    opened: Mask = ndimage.maximum_filter(solid, side, mode="constant").astype(bool)
    return opened


def _components(mask: Mask) -> Iterator[tuple[Box, Mask]]:
    """Bounding box and pixels in it of each connected area that may be a mark."""
    labels = np.asarray(ndimage.label(mask)[0], dtype=np.int32)
    sizes = np.bincount(labels.ravel())
    for number, box in enumerate(_boxes(labels), start=1):
        if sizes[number] >= SMALLEST:
            area: Mask = labels[box] == number
            yield box, area


def _labelled(mask: Mask) -> tuple[Labels, int]:
    """Pixels that touch, at corners too, numbered from 1, and the last number."""
    labels, count = ndimage.label(mask, NEIGHBOURS)
    return np.asarray(labels, dtype=np.int32), int(count)


def _boxes(labels: Labels) -> list[Box]:
    """Bounding boxes of the numbers that there are."""
    return [(box[0], box[1]) for box in ndimage.find_objects(labels) if box is not None]


def _joined(marks: Mask) -> Mask:
    """Marks, and what lies between parts of one band, which ink has cut."""
    boxes = _boxes(_labelled(marks)[0])
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


def _size(box: Box) -> int:
    return int(np.prod([part.stop - part.start for part in box]))


def _grown(marks: Mask) -> Mask:
    """Marks with their smooth edges."""
    if not marks.any():
        return marks
    grown: Mask = ndimage.binary_dilation(marks, NEIGHBOURS, SOFT)
    return grown


def share(mask: Mask) -> str:
    """The part of an image that a mask covers, in words."""
    percent = 100.0 * float(np.mean(mask))
    return f"{percent:.0f} %" if percent >= 1 else f"{percent:.1g} %"
