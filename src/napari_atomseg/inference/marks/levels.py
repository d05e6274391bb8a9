"""An image, and the levels in it that hardly vary: what marks of programs consist of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

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
LEVELS = 8
"""Levels that are examined, the most frequent ones in flat areas."""
SMALLEST = 60
"""Pixels of a bar, at least."""
LONG = 3.0
"""Length over width of a bar; areas that are not as long are boxes."""
FULL = 0.92
"""Part of its bounding box that a band, box or bar fills, holes of ink filled."""
STRIP = (2, 4)
"""Distances (pixels) between which the surroundings of an area are compared with it; between it
and them edges may be smooth."""


@dataclass(frozen=True)
class Levels:
    """An image in search of marks.

    Attributes
    ----------
    image, local : (H, W) frame, and its highest less lowest value of three by three pixels.
    span : usual range of the image.
    tolerance : deviation of the pixels of an area from its level, at most.
    """

    image: Image
    local: Image
    span: float
    tolerance: float

    @classmethod
    def of(cls, image: Image, inner: Image) -> Levels:
        """The levels, with the tolerance that the noise within the borders admits."""
        low, high = (float(v) for v in np.quantile(inner, (0.01, 0.99)))
        whole = local_range(image)
        local = whole if inner.shape == image.shape else local_range(inner)
        span = max(high - low, 1e-3 * float(np.ptp(inner)))
        tolerance = min(FLAT * span, QUIET * float(np.median(local)))
        return cls(image, whole, span, tolerance)

    def near(self, level: float, tolerance: float) -> Mask:
        """Pixels of a level."""
        result: Mask = np.abs(self.image - level) <= tolerance
        return result

    def found(self) -> list[float]:
        """Levels of flat areas, the most frequent ones first."""
        flat = self.image[self.local <= self.tolerance]
        levels: list[float] = []
        for _ in range(LEVELS):
            if len(flat) < SMALLEST // 6:
                break
            values, counts = np.unique(flat, return_counts=True)
            level = float(values[counts.argmax()])
            levels.append(level)
            flat = flat[np.abs(flat - level) > self.tolerance]
        return levels

    def around(
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
        near, far = grown(there, distances[0] - 1), grown(there, distances[1])
        values: NDArray[np.floating[Any]] = image[rows, cols][far & ~near]
        return values


def local_range(image: Image) -> Image:
    """Highest less lowest value of three by three pixels about each."""
    highest, lowest = (in_squares(image, 1, each, "edge") for each in (np.maximum, np.minimum))
    result: Image = highest - lowest
    return result


def grown(mask: Mask, radius: int) -> Mask:
    """Pixels that are up to so many away from those of a mask, along either axis."""
    return in_squares(mask, radius, np.logical_or, "constant")


def in_squares(
    image: NDArray[Any], radius: int, joined: np.ufunc, mode: Literal["edge", "constant"]
) -> NDArray[Any]:
    """All, any, or an extreme of the squares of a radius about each pixel.

    Lines of twice the length are two lines, so that a few steps join all of their pixels.

    Parameters
    ----------
    joined : of two pixels.
    mode : what is beyond the border: the nearest pixel, or 0.
    """
    side = 2 * radius + 1
    squares = np.pad(image, radius, mode)
    for _ in range(2):
        length = 1
        while length < side:
            step = min(length, side - length)
            squares = joined(squares[:-step], squares[step:])
            length += step
        squares = squares.T
    return squares


def labelled(mask: Mask) -> tuple[Labels, int]:
    """Pixels that touch, at corners too, numbered from 1, and the last number."""
    labels, count = ndimage.label(mask, NEIGHBOURS)
    return np.asarray(labels, dtype=np.int32), int(count)


def boxes_of(labels: Labels) -> list[Box]:
    """Bounding boxes of the numbers that there are."""
    return [(box[0], box[1]) for box in ndimage.find_objects(labels) if box is not None]
