"""From projected structure to recorded contrast: inversion, power law, backgrounds and levels
(Lobato et al. 2024, Eq. 23-26).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from napari_atomseg._shared.types import Array
from napari_atomseg.ranges import Part, PositiveRange, Probability, Range, uniform

Kind = Literal["none", "plane", "gaussian", "nonlinear"]
WAVES = 4
"""Waves that make up a non-linear background."""


@dataclass(frozen=True)
class Contrast:
    """Changes of one image's contrast.

    Attributes
    ----------
    inverted : whether the structure is dark (Eq. 23).
    power : exponent of the structure's signal (Eq. 24).
    background, height : kind of background, and its height in units of the image's maximum.
    direction : angle in rad in which a plane rises.
    centre, width : of a Gaussian: the centre in units of the image's sides, the width in units of
        the shorter one.
    waves : (K, 3) rows of a non-linear background: cycles a field along y and x, phase in rad.
    ratio, wanted : range of standard deviation over mean, and what it becomes outside of it
        (Eq. 25); None leaves it.
    normalized : whether the maximum becomes 1 (Eq. 26).
    """

    inverted: bool
    power: float
    background: Kind
    height: float
    direction: float
    centre: tuple[float, float]
    width: float
    waves: Array
    ratio: tuple[float, float] | None
    wanted: float
    normalized: bool


class ContrastRecipe(Part):
    """Ranges of the contrast (Lobato et al. 2024).

    `background_height` is in units of the maximum, `gaussian_width` in units of the image's
    shorter side, `nonlinear_cycles` in cycles a field; `ratio` is the standard deviation over the
    mean, None to leave it as it comes.
    """

    kind: Literal["contrast"] = "contrast"
    invert_probability: Probability = 0.5
    power_probability: Probability = 0.5
    power: PositiveRange = (0.5, 1.5)
    backgrounds: tuple[Kind, ...] = ("plane", "gaussian")
    background_height: Range = (0.0, 0.5)
    gaussian_width: PositiveRange = (0.2, 0.6)
    nonlinear_cycles: Range = (0.3, 1.5)
    ratio: PositiveRange | None = (0.01, 0.35)
    normalized: bool = True

    def draw(self, rng: np.random.Generator) -> Contrast:
        """The numbers of one image."""
        turns = rng.uniform(0.0, 2.0 * np.pi, WAVES)
        cycles = rng.uniform(*self.nonlinear_cycles, WAVES)
        return Contrast(
            inverted=bool(rng.random() < self.invert_probability),
            power=uniform(rng, self.power) if rng.random() < self.power_probability else 1.0,
            background=self.backgrounds[rng.integers(len(self.backgrounds))],
            height=uniform(rng, self.background_height),
            direction=float(rng.uniform(0.0, 2.0 * np.pi)),
            centre=(float(rng.random()), float(rng.random())),
            width=uniform(rng, self.gaussian_width),
            waves=np.column_stack(
                [
                    cycles * np.sin(turns),
                    cycles * np.cos(turns),
                    rng.uniform(0.0, 2.0 * np.pi, WAVES),
                ]
            ),
            ratio=self.ratio,
            wanted=uniform(rng, self.ratio) if self.ratio else 0.0,
            normalized=self.normalized,
        )


def invert(image: Tensor) -> Tensor:
    """The maximum less the image (Eq. 23); (..., H, W)."""
    return image.amax(dim=(-2, -1), keepdim=True) - image


def power_law(image: Tensor, power: Tensor | float) -> Tensor:
    """|y|^β (Eq. 24); (..., H, W)."""
    return image.abs() ** power


def plane(direction: float, shape: tuple[int, int], device: torch.device | str = "cpu") -> Tensor:
    """(H, W) plane from 0 in one corner to 1 in the opposite one, rising along `direction` rad."""
    ny, nx = math.sin(direction), math.cos(direction)
    rows = torch.linspace(-0.5, 0.5, shape[0], device=device)[:, None] * ny
    cols = torch.linspace(-0.5, 0.5, shape[1], device=device) * nx
    return 0.5 + (rows + cols) / (abs(ny) + abs(nx))


def hump(
    centre: tuple[float, float],
    width: float,
    shape: tuple[int, int],
    device: torch.device | str = "cpu",
) -> Tensor:
    """(H, W) Gaussian of height 1 with its centre in units of the sides, its sigma of the shorter
    side.
    """
    sigma = width * min(shape)
    profiles = [
        torch.exp(-0.5 * ((torch.arange(n, device=device) - c * (n - 1)) / sigma) ** 2)
        for c, n in zip(centre, shape, strict=True)
    ]
    return profiles[0][:, None] * profiles[1]


def undulation(waves: Array, shape: tuple[int, int], device: torch.device | str = "cpu") -> Tensor:
    """(H, W) sum of long waves (cycles a field along y and x, phase in rad), from 0 to 1."""
    result = torch.zeros(shape, device=device)
    for ky, kx, phase in waves:
        rows = torch.linspace(0.0, 2.0 * math.pi * ky, shape[0], device=device)[:, None]
        cols = torch.linspace(phase, phase + 2.0 * math.pi * kx, shape[1], device=device)
        # cos(a + b) from profiles: far fewer cosines than pixels.
        result += torch.cos(rows) * torch.cos(cols) - torch.sin(rows) * torch.sin(cols)
    low, high = result.aminmax()
    return (result - low) / (high - low).clamp_min(1e-6)


def structure_contrast(image: Tensor, contrasts: Sequence[Contrast]) -> Tensor:
    """Inversion and power law of (B, H, W) clean signals, each with its own numbers."""
    return torch.stack(
        [
            power_law(invert(y), c.power) if c.inverted else power_law(y, c.power)
            for y, c in zip(image, contrasts, strict=True)
        ]
    )


def contrast_background(image: Tensor, contrasts: Sequence[Contrast]) -> Tensor:
    """(B, H, W) positive backgrounds to add to images of this shape, scaled to their maxima."""
    shape, device = (image.shape[-2], image.shape[-1]), image.device
    grounds = []
    for y, c in zip(image, contrasts, strict=True):
        if c.background == "plane":
            ground = plane(c.direction, shape, device)
        elif c.background == "gaussian":
            ground = hump(c.centre, c.width, shape, device)
        elif c.background == "nonlinear":
            ground = undulation(c.waves, shape, device)
        else:
            ground = torch.zeros(shape, device=device)
        grounds.append(ground * (c.height * y.amax()))
    return torch.stack(grounds)


def level(image: Tensor, contrasts: Sequence[Contrast]) -> tuple[Tensor, Tensor]:
    """Scale and offset that bring images to their level (Eq. 25, 26).

    An offset brings the standard deviation over the mean into its range, but never a pixel below
    zero; a scale then makes the maximum 1.

    Parameters
    ----------
    image : (B, H, W), not negative.

    Returns
    -------
    (B,) scale and (B,) offset: the level image is scale · image + offset. Without background,
    truth images take the scale alone.
    """
    spread, mean = image.std(dim=(1, 2)), image.mean(dim=(1, 2))
    least, most = image.amin(dim=(1, 2)), image.amax(dim=(1, 2))

    def numbers(values: Sequence[float]) -> Tensor:
        return torch.tensor(values, dtype=image.dtype, device=image.device)

    bounds = [c.ratio or (0.0, math.inf) for c in contrasts]
    low, high = numbers([b[0] for b in bounds]), numbers([b[1] for b in bounds])
    wanted = numbers([c.wanted or 1.0 for c in contrasts])
    outside = (spread < low * mean) | (spread > high * mean)
    offset = torch.where(outside, (spread / wanted - mean).maximum(-least), 0.0)
    top = (most + offset).clamp_min(torch.finfo(image.dtype).tiny)
    normalized = torch.tensor([c.normalized for c in contrasts], device=image.device)
    scale = torch.where(normalized, 1.0 / top, 1.0)
    return scale, scale * offset
