"""Changes of images after recording: interpolation, smoothing and crops (r_em), and JPEG
compression.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor

from napari_atomseg._shared.types import Array
from napari_atomseg.distortion.base import (
    Distortion,
    Drawn,
    Fraction,
    Values,
    View,
    per_pixel,
    within,
)
from napari_atomseg.ranges import PositiveRange, Range, uniform
from napari_atomseg.settings import setting

BLOCK = 8
"""Pixels of a block each way."""
WHITE = 255.0
STEPS = torch.tensor(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ],
    dtype=torch.float32,
)
"""Steps to which the standard's example rounds frequencies of brightness at quality 50 (ITU-T T.81,
table K.1)."""


def cosines() -> Tensor:
    """(8, 8) orthonormal discrete cosine transform, a frequency a row (ITU-T T.81, A.3.3)."""
    k = torch.arange(BLOCK, dtype=torch.float64)
    waves = torch.cos(math.pi * (2 * k + 1) * k[:, None] / (2 * BLOCK)) * math.sqrt(2 / BLOCK)
    waves[0] /= math.sqrt(2.0)
    return waves.float()


def rounding(quality: float) -> Tensor:
    """(8, 8) steps of a quality from 1 to 100, as common programs scale the table: from 1 on."""
    percent = 5000.0 // quality if quality < 50 else 200.0 - 2.0 * quality
    return ((STEPS * percent + 50.0) / 100.0).floor().clamp(1.0, WHITE)


def compress(image: Tensor, quality: Tensor) -> Tensor:
    """Images as JPEG files show them, in the grey levels of eight bits from darkest to brightest.

    Parameters
    ----------
    image : (B, H, W).
    quality : (B,) from 1 to 100.

    Returns
    -------
    (B, H, W) in the units of the image. Blocks are counted from the first pixel; borders that are
    no multiple of eight are repeated into the last blocks.
    """
    height, width = image.shape[1:]
    low, high = image.amin(dim=(1, 2), keepdim=True), image.amax(dim=(1, 2), keepdim=True)
    scale = WHITE / (high - low).clamp_min(1e-12)
    grey = ((image - low) * scale).round() - 128.0
    padded = torch.nn.functional.pad(
        grey[:, None], (0, -width % BLOCK, 0, -height % BLOCK), mode="replicate"
    )[:, 0]
    rows, cols = padded.shape[1] // BLOCK, padded.shape[2] // BLOCK
    blocks = padded.reshape(-1, rows, BLOCK, cols, BLOCK).transpose(2, 3)
    waves = cosines().to(image.device)
    steps = torch.stack([rounding(float(q)) for q in quality]).to(image.device)[:, None, None]
    # One image after the other: the order of a product's sums may depend on the batch.
    coded = torch.stack([waves @ one @ waves.T for one in blocks])
    coded = (coded / steps).round() * steps
    decoded = torch.stack([waves.T @ one @ waves for one in coded])
    joined = decoded.transpose(2, 3).flatten(3, 4).flatten(1, 2)[:, :height, :width]
    return (joined + 128.0).round().clamp(0.0, WHITE) / scale + low


class Jpeg(Distortion):
    """JPEG compression of images that were exported for the eye (ITU-T T.81)."""

    kind: Literal["jpeg"] = "jpeg"
    equation: ClassVar[str] = "eight bits, then blocks of 8 × 8 pixels with rounded frequencies"
    example: ClassVar[Mapping[str, Any]] = {"quality": (15, 15)}
    quality: Annotated[Range, within(1.0, 100.0)] = setting(
        (20.0, 95.0), "Quality", "Quality of the compression, 1 to 100."
    )

    def draw(self, rng: np.random.Generator, view: View) -> Drawn:
        """`quality`."""
        return {"quality": uniform(rng, self.quality)}

    def apply(self, image: Tensor, values: Values, generators: Sequence[Generator]) -> Tensor:
        """Compress each image and open it again."""
        return compress(image, values["quality"])


WIDEST = 1.5
"""Largest sigma of a blur, in pixels."""
REACH = 4
"""Pixels from its centre to which a blurring Gaussian is followed."""


def gaussian_blur(image: Tensor, sigma: Tensor) -> Tensor:
    """Convolve with a Gaussian of `sigma` (B,) pixels, sampled at the pixels, of sum 1.

    This is what image programs do; up to 4 pixels from the centre, borders repeated.
    """
    x = torch.arange(-REACH, REACH + 1, device=image.device)
    kernel = torch.exp(-0.5 * (x / sigma.clamp_min(1e-3)[:, None]) ** 2)
    kernel = kernel / kernel.sum(dim=1, keepdim=True)
    for pads, dimension in (((0, 0, REACH, REACH), 1), ((REACH, REACH), 2)):
        padded = torch.nn.functional.pad(image, pads, mode="replicate")
        size = image.shape[dimension]
        image = torch.zeros_like(image)
        for offset in range(2 * REACH + 1):
            image += per_pixel(kernel[:, offset]) * padded.narrow(dimension, offset, size)
    return image


def transform(
    image: Tensor, matrix: Tensor, mode: Literal["bicubic", "bilinear"] = "bicubic"
) -> Tensor:
    """Map what lies at r, from the image's centre, to `matrix` r.

    Parameters
    ----------
    image : (B, C, H, W), mirrored beyond its borders.
    matrix : (B, 2, 2) acting on (y, x).
    """
    height, width = image.shape[2:]
    half = torch.tensor([0.5 * (height - 1), 0.5 * (width - 1)], device=image.device)
    inverse = torch.linalg.inv(matrix)
    # affine_grid takes (x, y) and halves of the image as units.
    scaled = (inverse * half / half[:, None]).flip(1, 2)
    theta = torch.nn.functional.pad(scaled, (0, 1))
    grid = torch.nn.functional.affine_grid(theta, list(image.shape), align_corners=True)
    return torch.nn.functional.grid_sample(
        image, grid, mode=mode, padding_mode="reflection", align_corners=True
    )


def outside(shape: tuple[int, int], box: Tensor) -> Tensor:
    """(B, H, W) whether a pixel lies outside `box` (B, 4): top, left, bottom, right.

    The box's sides are in pixels from the image's centre; pixels on them are inside.
    """
    y = torch.arange(shape[0], device=box.device) - 0.5 * (shape[0] - 1)
    x = torch.arange(shape[1], device=box.device) - 0.5 * (shape[1] - 1)
    top, left, bottom, right = box.unbind(1)
    rows = (y >= top[:, None]) & (y <= bottom[:, None])
    columns = (x >= left[:, None]) & (x <= right[:, None])
    return ~(rows[:, :, None] & columns[:, None])


def fill_levels(image: Tensor, share: Tensor, median: Tensor) -> Tensor:
    """(B,) of images (B, H, W): the median where `median` (B,) is 1, else a share of the range."""
    levels = []
    for one, part, middle in zip(image, share, median, strict=True):
        low, high = one.aminmax()
        levels.append(torch.where(middle > 0, one.median(), low + part * (high - low)))
    return torch.stack(levels)


class GaussianBlur(Distortion):
    """Smoothing by a Gaussian, of the image only: restoration has to undo it (r_em)."""

    kind: Literal["gaussian_blur"] = "gaussian_blur"
    equation: ClassVar[str] = "*x* ← *x* ⊛ exp(−*r*²/2σ²)"
    example: ClassVar[Mapping[str, Any]] = {"sigma": (1, 1)}
    sigma: Annotated[Range, within(0.0, WIDEST)] = setting(
        (0.0, 1.0),
        "Width σ",
        "Standard deviation of the Gaussian, at most 1.5 (r_em: 0 to 1).",
        unit="px",
    )

    def draw(self, rng: np.random.Generator, view: View) -> Drawn:
        """`sigma` in pixels."""
        return {"sigma": uniform(rng, self.sigma)}

    def apply(self, image: Tensor, values: Values, generators: Sequence[Generator]) -> Tensor:
        """Smooth the image."""
        return gaussian_blur(image, values["sigma"])


class Interpolation(Distortion):
    """A linear transformation of image and truth by bicubic interpolation (r_em).

    The result's sampling is that of the image divided by the drawn `magnification`. Choose ranges
    for which the result shows only what the renderer made: magnifications of at least 1 do.
    """

    kind: Literal["interpolation"] = "interpolation"
    equation: ClassVar[str] = (
        "a linear transformation about the centre, bicubic; positions move with it"
    )
    example: ClassVar[Mapping[str, Any]] = {
        "magnification": (1.2, 1.2),
        "rotation": (8, 8),
        "shear": (0.1, 0.1),
    }
    shared: ClassVar[bool] = True
    magnification: PositiveRange = setting(
        (1.0, 1.25), "Magnification", "Magnification of lengths."
    )
    rotation: Range = setting(
        (-3.0, 3.0), "Rotation", "Rotation, counter-clockwise as shown.", unit="°"
    )
    stretch: Range = setting((-0.02, 0.02), "Stretch", "Relative stretch of x against y.")
    shear: Range = setting((-0.02, 0.02), "Shear", "Relative shear of x along y.")

    def draw(self, rng: np.random.Generator, view: View) -> Drawn:
        """`matrix` (2, 2) on (y, x), `magnification`, and the image's `centre` (2,)."""
        magnification = uniform(rng, self.magnification)
        angle = math.radians(uniform(rng, self.rotation))
        stretch, shear = 1.0 + uniform(rng, self.stretch), uniform(rng, self.shear)
        turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
        strain = np.array([[1.0 / math.sqrt(stretch), 0.0], [shear, math.sqrt(stretch)]])
        return {
            "matrix": magnification * turn @ strain,
            "magnification": magnification,
            "centre": view.centre,
        }

    def apply(self, image: Tensor, values: Values, generators: Sequence[Generator]) -> Tensor:
        """Interpolate all channels."""
        return transform(image, values["matrix"])

    def apply_labels(self, labels: Tensor, values: Values) -> Tensor:
        """Interpolate without overshoot."""
        return transform(labels, values["matrix"], "bilinear")

    def move(self, values: Mapping[str, float | Array], y: Array, x: Array) -> tuple[Array, Array]:
        """Where the matrix takes the positions."""
        centre, matrix = np.asarray(values["centre"]), np.asarray(values["matrix"])
        moved = matrix @ (np.stack([y, x]) - centre[:, None]) + centre[:, None]
        return moved[0], moved[1]

    def keeps(self, values: Mapping[str, float | Array], y: Array, x: Array) -> NDArray[np.bool_]:
        """Positions that are still in the image."""
        bottom, right = 2 * np.asarray(values["centre"])
        return np.asarray((y >= 0) & (y <= bottom) & (x >= 0) & (x <= right))


class Crop(Distortion):
    """All but a rectangle about the middle is filled with one value, in image and truth (r_em)."""

    kind: Literal["crop"] = "crop"
    equation: ClassVar[str] = (
        "all but a rectangle about the middle becomes one value: the median, or any of the range"
    )
    example: ClassVar[Mapping[str, Any]] = {"kept": (0.5, 0.5)}
    shared: ClassVar[bool] = True
    kept: Fraction = setting(
        (0.5, 1.0),
        "Kept area",
        "Area of the rectangle, relative to the image's (r_em: about half or more).",
    )
    median: float = setting(
        0.5,
        "Median",
        "Probability that the median fills the rest; otherwise any value of the range does.",
    )

    def draw(self, rng: np.random.Generator, view: View) -> Drawn:
        """`box` in pixels from the centre, `median` (0 or 1), `share`, `centre`."""
        kept = uniform(rng, self.kept)
        height = rng.uniform(kept, 1.0)
        sides = np.array([height, kept / height]) if kept > 0 else np.zeros(2)
        spare = 1.0 - sides
        middle = 0.5 * spare * rng.uniform(-1.0, 1.0, 2)
        size = np.array(view.shape)
        box = np.concatenate([(middle - 0.5 * sides) * size, (middle + 0.5 * sides) * size])
        return {
            "box": box,
            "median": float(rng.random() < self.median),
            "share": float(rng.random()),
            "centre": view.centre,
        }

    def apply(self, image: Tensor, values: Values, generators: Sequence[Generator]) -> Tensor:
        """Fill with one value, chosen by the distorted image."""
        beyond = outside((image.shape[2], image.shape[3]), values["box"])[:, None]
        level = fill_levels(image[:, 0], values["share"], values["median"])
        return torch.where(beyond, level[:, None, None, None], image)

    def apply_labels(self, labels: Tensor, values: Values) -> Tensor:
        """Nothing is labelled outside the rectangle."""
        beyond = outside((labels.shape[2], labels.shape[3]), values["box"])[:, None]
        return torch.where(beyond, torch.zeros_like(labels), labels)

    def keeps(self, values: Mapping[str, float | Array], y: Array, x: Array) -> NDArray[np.bool_]:
        """Positions inside the rectangle."""
        centre, (top, left, bottom, right) = np.asarray(values["centre"]), np.asarray(values["box"])
        inside_y = (y - centre[0] >= top) & (y - centre[0] <= bottom)
        return np.asarray(inside_y & (x - centre[1] >= left) & (x - centre[1] <= right))
