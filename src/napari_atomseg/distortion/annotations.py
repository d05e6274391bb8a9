"""Annotations that programs and users put on images: scale bars, arrows, frames, circles (r_em)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any, ClassVar, Literal

import numpy as np
from torch import Generator, Tensor

from napari_atomseg._shared.types import Array
from napari_atomseg.distortion.base import (
    CountRange,
    Distortion,
    Drawn,
    NonNegativeRange,
    Values,
    View,
    deviation,
    mean,
)
from napari_atomseg.ranges import uniform
from napari_atomseg.settings import setting

GLYPHS = {
    "0": "111101101101111",
    "1": "010110010010111",
    "2": "111001111100111",
    "3": "111001111001111",
    "4": "101101111001001",
    "5": "111100111001111",
    "6": "111100111101111",
    "7": "111001001001001",
    "8": "111101111101111",
    "9": "111101111001111",
    ".": "000000000000010",
    "n": "000110101101101",
    "m": "000111111101101",
    " ": "000000000000000",
}
"""Letters of a scale bar, three pixels wide and five high, row by row."""


def text(words: str, scale: int) -> Array:
    """(5 scale, 4 scale per letter) picture of digits and units, 1 where there is ink."""
    letters = [np.array([int(bit) for bit in GLYPHS[c]]).reshape(5, 3) for c in words]
    spaced = np.concatenate([np.pad(letter, ((0, 0), (0, 1))) for letter in letters], axis=1)
    return np.kron(spaced, np.ones((scale, scale)))


def stroke(shape: tuple[int, int], ends: Array, thickness: float) -> Array:
    """(H, W) cover, 0 to 1, of lines of a thickness in pixels.

    Parameters
    ----------
    ends : (N, 4) y and x of one end, y and x of the other, in pixels.
    """
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float64)
    cover = np.zeros(shape)
    for y0, x0, y1, x1 in ends:
        dy, dx = y1 - y0, x1 - x0
        along = ((y - y0) * dy + (x - x0) * dx) / max(dy**2 + dx**2, 1e-12)
        along = np.clip(along, 0.0, 1.0)
        distance = np.hypot(y - y0 - along * dy, x - x0 - along * dx)
        cover = np.maximum(cover, np.clip(0.5 * thickness + 0.5 - distance, 0.0, 1.0))
    return cover


def scale_bar(rng: np.random.Generator, view: View) -> Array:
    """Cover of a bar of a round length, in a corner, with its length in nm above it."""
    height, width = view.shape
    aim = 0.02 * width * view.sampling * rng.uniform(0.8, 1.8)
    power = 10.0 ** math.floor(math.log10(aim))
    length = max(step * power for step in (1.0, 2.0, 5.0) if step * power <= aim)
    size = max(1, round(height / 128))
    label = text(f"{length:g} nm", size)
    bar = 10.0 * length / view.sampling
    left = 0.05 * width if rng.random() < 0.5 else 0.95 * width - bar
    bottom = round(0.93 * height)
    ends = np.array([[bottom, left, bottom, left + bar]])
    cover = stroke(view.shape, ends, 2.0 * size)
    top, first = bottom - 3 * size - label.shape[0], max(0, round(left))
    rows, columns = cover[max(top, 0) :, first:].shape
    label = label[:rows, :columns]
    cover[max(top, 0) :, first:][: label.shape[0], : label.shape[1]] += label
    return np.clip(cover, 0.0, 1.0)


def arrow(rng: np.random.Generator, view: View) -> Array:
    """Cover of an arrow anywhere, in any direction."""
    size = np.array(view.shape)
    tip, angle = rng.uniform(0.1, 0.9, 2) * size, rng.uniform(0.0, 2 * math.pi)
    length = rng.uniform(0.08, 0.3) * size.min()

    def line(turn: float, share: float) -> Array:
        way = np.array([math.sin(angle + turn), math.cos(angle + turn)])
        return np.concatenate([tip, tip - share * length * way])

    ends = np.stack([line(0.0, 1.0), line(0.45, 0.3), line(-0.45, 0.3)])
    return stroke(view.shape, ends, _thickness(rng, view))


def frame(rng: np.random.Generator, view: View) -> Array:
    """Cover of the outline of a rectangle."""
    (y0, x0), size = rng.uniform(0.05, 0.6, 2), rng.uniform(0.1, 0.35, 2)
    height, width = view.shape
    top, left = y0 * height, x0 * width
    bottom, right = top + size[0] * height, left + size[1] * width
    corners = [(top, left), (top, right), (bottom, right), (bottom, left), (top, left)]
    ends = np.array([(*a, *b) for a, b in pairwise(corners)])
    return stroke(view.shape, ends, _thickness(rng, view))


def circle(rng: np.random.Generator, view: View) -> Array:
    """Cover of the outline of a circle."""
    size = np.array(view.shape)
    centre, radius = rng.uniform(0.1, 0.9, 2) * size, rng.uniform(0.03, 0.2) * size.min()
    y, x = np.mgrid[: view.shape[0], : view.shape[1]]
    distance = np.abs(np.hypot(y - centre[0], x - centre[1]) - radius)
    cover: Array = np.clip(0.5 * _thickness(rng, view) + 0.5 - distance, 0.0, 1.0)
    return cover


def _thickness(rng: np.random.Generator, view: View) -> float:
    return float(rng.uniform(1.0, max(1.5, min(view.shape) / 60)))


MARKS: tuple[Callable[[np.random.Generator, View], Array], ...] = (scale_bar, arrow, frame, circle)


def annotate(image: Tensor, cover: Tensor, shade: Tensor) -> Tensor:
    """Lay marks over all channels of the images.

    Parameters
    ----------
    image : (B, C, H, W).
    cover : (B, h, w), 0 to 1, of the middle of the image.
    shade : (B,) what the marks show: deviations of the first channel above its mean.
    """
    level = mean(image[:, 0]) + shade * deviation(image[:, 0])
    top, left = (image.shape[2] - cover.shape[1]) // 2, (image.shape[3] - cover.shape[2]) // 2
    result = image.clone()
    middle = result[:, :, top : top + cover.shape[1], left : left + cover.shape[2]]
    middle += cover[:, None] * (level[:, None, None, None] - middle)
    return result


class Annotations(Distortion):
    """Scale bars with their length, arrows, frames and circles, alike in image and truth (r_em)."""

    kind: Literal["annotations"] = "annotations"
    equation: ClassVar[str] = "scale bars with their length, arrows, frames and circles"
    example: ClassVar[Mapping[str, Any]] = {"count": (3, 3), "shade": (4, 4)}
    shared: ClassVar[bool] = True
    count: CountRange = setting((1, 4), "Marks", "Number of marks.")
    shade: NonNegativeRange = setting(
        (2.0, 6.0),
        "Contrast",
        "Difference between a mark and the mean of the image, in standard deviations of the image.",
    )

    def draw(self, rng: np.random.Generator, view: View) -> Drawn:
        """`cover` (H, W) of all marks and their `shade`."""
        cover = np.zeros(view.shape)
        for _ in range(rng.integers(self.count[0], self.count[1] + 1)):
            cover = np.maximum(cover, MARKS[rng.integers(len(MARKS))](rng, view))
        return {"cover": cover, "shade": uniform(rng, self.shade) * rng.choice([-1.0, 1.0])}

    def apply(self, image: Tensor, values: Values, generators: Sequence[Generator]) -> Tensor:
        """Lay the marks over all channels."""
        return annotate(image, values["cover"], values["shade"])
