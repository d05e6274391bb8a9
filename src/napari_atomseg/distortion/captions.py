"""What programs and users put on images: scale bars, arrows, frames and circles (r_em), and the
bars, words and bands of exported images, which hide the columns beneath from the truth, too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor

from napari_atomseg._shared.types import Array
from napari_atomseg.distortion.base import (
    CountRange,
    Distortion,
    Drawn,
    Fraction,
    NonNegativeRange,
    Values,
    View,
    deviation,
    mean,
    within,
)
from napari_atomseg.ranges import Probability, Range, uniform
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


Rng = np.random.Generator
HIDDEN = 0.5
"""Share of a pixel that must be covered for a column to be hidden there."""


def letter(rng: Rng, height: int) -> Array:
    """(height, width) of ink, 0 to 1: a sign of no alphabet, of two to four strokes."""
    width = max(3, round(0.65 * height))
    thickness = max(1.0, height * rng.uniform(0.1, 0.2))
    rows = np.linspace(0.5 * thickness, height - 1 - 0.5 * thickness, 3)
    cols = np.linspace(0.5 * thickness, width - 1 - 0.5 * thickness, 3)
    corners = np.stack([rows[rng.integers(3, size=(5,))], cols[rng.integers(3, size=(5,))]], axis=1)
    strokes = int(rng.integers(2, 5))
    ends = np.concatenate([corners[:strokes], corners[1 : strokes + 1]], axis=1)
    return stroke((height, width), ends, thickness)


def words(rng: Rng, height: int, letters: int) -> Array:
    """(height, W) a line of so many signs, a seventh of them gaps."""
    gap = max(1, height // 6)
    signs = [letter(rng, height) * (rng.random() > 1 / 7) for _ in range(letters)]
    return np.concatenate([np.pad(sign, ((0, 0), (0, gap))) for sign in signs], axis=1)


def paste(cover: Array, mark: Array, top: int, left: int) -> None:
    """Lay a mark on a cover, cut off at its borders."""
    height, width = cover.shape
    first = max(-top, 0), max(-left, 0)
    mark = mark[first[0] : max(height - top, 0), first[1] : max(width - left, 0)]
    top, left = max(top, 0), max(left, 0)
    part = cover[top : top + mark.shape[0], left : left + mark.shape[1]]
    np.maximum(part, mark, out=part)


class Caption(Distortion):
    """Bars and words that a program wrote into the image, on a band, in a box or on the image.

    The truth shows them alike; the columns that they hide are not in it.
    """

    kind: Literal["caption"] = "caption"
    equation: ClassVar[str] = (
        "bars and words at the ends of the image's range, on a band, in a box or on the image; "
        "they hide the columns beneath from the truth, too"
    )
    example: ClassVar[Mapping[str, Any]] = {"band": 1.0, "lines": (1, 1), "size": (0.08, 0.08)}
    shared: ClassVar[bool] = True
    band: Probability = setting(
        0.35, "Band", "Probability of a band at the lower or upper border.", limits=(0.0, 1.0)
    )
    box: Probability = setting(
        0.25, "Box", "Probability of a box anywhere, where there is no band.", limits=(0.0, 1.0)
    )
    size: Fraction = setting(
        (0.025, 0.1), "Size", "Height of letters and boxes, as a fraction of the image's height."
    )
    lines: CountRange = setting((0, 3), "Lines", "Number of lines of words.")
    level: Annotated[Range, within(-1.0, 2.0)] = setting(
        (-0.3, 1.3),
        "Grey levels",
        "Levels of band, box and ink: 0 is the image's darkest pixel and 1 its brightest.",
    )

    def draw(self, rng: Rng, view: View) -> Drawn:
        """`ground` and `ink` (H, W), 0 to 1, and their levels `dark` and `bright`."""
        height, width = view.shape
        ground, ink = np.zeros(view.shape), np.zeros(view.shape)
        size = max(5, round(uniform(rng, self.size) * height))
        chance = rng.random()
        top, left = (int(rng.integers(0, max(n - size, 1))) for n in view.shape)
        if chance < self.band:
            deep = round(size * rng.uniform(1.3, 2.5))
            top, left = (height - deep if rng.random() < 0.7 else 0), 0
            ground[top : top + deep] = 1.0
        elif chance < self.band + self.box:
            deep, wide = round(size * rng.uniform(1.5, 4.0)), round(size * rng.uniform(3.0, 9.0))
            ground[top : top + deep, left : left + wide] = 1.0
        thick = max(1, round(size * rng.uniform(0.1, 0.6)))
        bar = np.ones((thick, round(width * rng.uniform(0.08, 0.4))))
        paste(ink, bar, top + size // 2, left + size // 2)
        for _ in range(rng.integers(self.lines[0], self.lines[1] + 1)):
            text = words(rng, size, int(rng.integers(2, 12)))
            if ground.any() and rng.random() < 0.7:
                place = top + size // 4, left + int(rng.integers(0, width))
            else:
                place = int(rng.integers(0, height)), int(rng.integers(-size, width))
            paste(ink, text, *place)
        dark, bright = self.level
        if rng.random() < 0.5:
            dark, bright = bright, dark
        # Most programs write in black and white, which are the ends of the image's range.
        plain = rng.random() < 0.6
        levels = np.clip([dark, bright], 0.0, 1.0) if plain else rng.uniform(*self.level, 2)
        # Exact in single precision, too, so that both sides of HIDDEN are the same everywhere.
        ink = np.round(ink * 256.0) / 256.0
        return {"ground": ground, "ink": ink, "dark": levels[0], "bright": levels[1]}

    def apply(self, image: Tensor, values: Values, generators: Sequence[Generator]) -> Tensor:
        """Lay ground and ink over all channels, in levels of the first one."""
        low, high = image[:, :1].amin(dim=(2, 3)), image[:, :1].amax(dim=(2, 3))
        result = image.clone()
        middle = _middle(result, values["ink"])
        for cover, share in (("ground", "dark"), ("ink", "bright")):
            level = (low + values[share][:, None] * (high - low))[..., None, None]
            middle += values[cover][:, None] * (level - middle)
        return result

    def apply_labels(self, labels: Tensor, values: Values) -> Tensor:
        """Nothing is labelled beneath ground and ink."""
        result = labels.clone()
        covered = torch.maximum(values["ground"], values["ink"])[:, None] > HIDDEN
        middle = _middle(result, values["ink"])
        middle.masked_fill_(covered, 0.0)
        return result

    def keeps(self, values: Mapping[str, float | Array], y: Array, x: Array) -> NDArray[np.bool_]:
        """Positions that are neither beneath ground nor ink, or outside the image."""
        covered = np.maximum(values["ground"], values["ink"]) > HIDDEN
        rows, cols = (np.round(np.asarray(place)).astype(np.int64) for place in (y, x))
        height, width = covered.shape
        inside = (rows >= 0) & (rows < height) & (cols >= 0) & (cols < width)
        kept = np.ones(np.shape(rows), dtype=bool)
        kept[inside] = ~covered[rows[inside], cols[inside]]
        return kept


def _middle(image: Tensor, cover: Tensor) -> Tensor:
    """The part of images (B, C, H, W) that a cover (B, h, w) lies over, about their middle."""
    top, left = (image.shape[2] - cover.shape[1]) // 2, (image.shape[3] - cover.shape[2]) // 2
    return image[:, :, top : top + cover.shape[1], left : left + cover.shape[2]]
