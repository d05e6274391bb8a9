"""Single pixels and levels: black, struck and missing pixels, saturation, digits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import AfterValidator
from torch import Generator, Tensor

from napari_atomseg.distortion.base import (
    CountRange,
    Distortion,
    Drawn,
    Fraction,
    Values,
    View,
    per_pixel,
    uniform,
)
from napari_atomseg.ranges import PositiveRange
from napari_atomseg.ranges import uniform as one_uniform
from napari_atomseg.settings import setting


def struck(
    image: Tensor, fraction: Tensor, steps: Tensor, generators: Sequence[Generator]
) -> Tensor:
    """(B, H, W) strength, in 0..1 exclusive of 0, of the pixels that something strikes; else 0.

    A `fraction` (B,) of the pixels, evenly spread, is struck; from each a random walk of `steps`
    (B,) steps to one of the eight neighbours, or none, makes a region (r_em, Eq. 37 and 38).
    """
    height, width = image.shape[1:]
    size = torch.tensor([height, width])
    strengths = torch.zeros(image.shape)
    for one, share, walk, g in zip(strengths, fraction, steps, generators, strict=True):
        count = round(float(share) * height * width)
        start = torch.rand((1, count, 2), generator=g, device=g.device).cpu() * size
        moves = torch.randint(-1, 2, (int(walk), count, 2), generator=g, device=g.device).cpu()
        path = torch.cat([start.long(), moves]).cumsum(0) % size
        strength = 1.0 - torch.rand(count, generator=g, device=g.device).cpu()
        flat = (path[..., 0] * width + path[..., 1]).flatten()
        one.view(-1).scatter_reduce_(0, flat, strength.repeat(int(walk) + 1), "amax")
    return strengths.to(image.device)


def black_pixels(image: Tensor, response: Tensor, strength: Tensor) -> Tensor:
    """X ← x S: struck pixels keep at most `response` (B,) of their signal (r_em Eq. 37, 52)."""
    return torch.where(strength > 0, image * strength * per_pixel(response), image)


def zingers(image: Tensor, factor: Tensor, strength: Tensor) -> Tensor:
    """X ← x S: struck pixels gain up to `factor` (B,) times their signal (r_em Eq. 38, 53)."""
    return image * (1.0 + strength * per_pixel(factor))


def upper_clip(image: Tensor, level: Tensor) -> Tensor:
    """X ← min(x, T): the image saturates at `level` (B,) times its maximum (r_em Eq. 39, 54)."""
    return torch.minimum(image, per_pixel(level * image.amax(dim=(1, 2))))


def quantize(image: Tensor, levels: Tensor) -> Tensor:
    """X ← round(αx)/α, with the gain α that makes the image's maximum `levels` (r_em Eq. 40, 55).

    The division brings the image back to its units.
    """
    gain = per_pixel(levels / image.amax(dim=(1, 2)).clamp_min(1e-12))
    return torch.round(image * gain) / gain


def missing_pixels(image: Tensor, kept: Tensor, generators: Sequence[Generator]) -> Tensor:
    """Pixels drawn at random are set to 0; `kept` (B,) is the probability of keeping one.

    Missing pixels imitate low doses in Chen et al. 2023 (30 % of them lost).
    """
    return image * (uniform(tuple(image.shape[1:]), generators, image) < per_pixel(kept))


def _some_bits(value: tuple[int, int]) -> tuple[int, int]:
    if not 1 <= value[0] <= value[1] <= 24:
        raise ValueError(f"bits {value} must lie within 1 and 24, the precision of float32")
    return value


class BlackPixels(Distortion):
    """Pixels, and small regions, that respond too little (r_em Eq. 37, 52)."""

    kind: Literal["black_pixels"] = "black_pixels"
    equation: ClassVar[str] = "*x* ← *x* S, S = U(0, *r*) in regions made by random walks (37, 52)"
    example: ClassVar[Mapping[str, Any]] = {"fraction": (0.003, 0.003), "steps": (6, 6)}
    fraction: Fraction = setting(
        (0.0, 1e-3), "Fraction", "Fraction of the pixels at which a region starts."
    )
    steps: CountRange = setting(
        (0, 8), "Steps", "Steps of the random walk that makes a region; 0 for single pixels (STEM)."
    )
    response: Fraction = setting((0.0, 0.5), "Response r", "Largest response of a region.")

    def draw(self, rng: np.random.Generator, view: View) -> Drawn:
        """`fraction`, `steps` and `response`."""
        return {
            "fraction": one_uniform(rng, self.fraction),
            "steps": float(rng.integers(self.steps[0], self.steps[1] + 1)),
            "response": one_uniform(rng, self.response),
        }

    def apply(self, image: Tensor, values: Values, generators: Sequence[Generator]) -> Tensor:
        """Darken regions."""
        strength = struck(image, values["fraction"], values["steps"], generators)
        return black_pixels(image, values["response"], strength)


class Zingers(Distortion):
    """Bursts of light in the scintillator: bright dots and streaks (r_em Eq. 38, 53)."""

    kind: Literal["zingers"] = "zingers"
    equation: ClassVar[str] = (
        "*x* ← *x* S, S = 1 + U(0, *k*) in regions made by random walks (38, 53)"
    )
    example: ClassVar[Mapping[str, Any]] = {"fraction": (0.003, 0.003), "steps": (4, 4)}
    fraction: Fraction = setting(
        (0.0, 1e-3), "Fraction", "Fraction of the pixels at which a burst starts."
    )
    steps: CountRange = setting(
        (0, 8), "Steps", "Steps of the random walk that makes a streak; 0 for single pixels (STEM)."
    )
    factor: PositiveRange = setting(
        (1.0, 8.0), "Factor k", "Largest increase of a pixel, relative to its signal."
    )

    def draw(self, rng: np.random.Generator, view: View) -> Drawn:
        """`fraction`, `steps` and `factor`."""
        return {
            "fraction": one_uniform(rng, self.fraction),
            "steps": float(rng.integers(self.steps[0], self.steps[1] + 1)),
            "factor": one_uniform(rng, self.factor),
        }

    def apply(self, image: Tensor, values: Values, generators: Sequence[Generator]) -> Tensor:
        """Brighten regions."""
        strength = struck(image, values["fraction"], values["steps"], generators)
        return zingers(image, values["factor"], strength)


class UpperClip(Distortion):
    """Saturation of detector or converter (r_em Eq. 39, 54)."""

    kind: Literal["upper_clip"] = "upper_clip"
    equation: ClassVar[str] = "*x* ← min(*x*, *l* max *x*) (39, 54)"
    example: ClassVar[Mapping[str, Any]] = {"level": (0.5, 0.5)}
    level: Fraction = setting(
        (0.6, 1.0), "Level l", "Level of saturation, relative to the image's maximum."
    )

    def draw(self, rng: np.random.Generator, view: View) -> Drawn:
        """`level`."""
        return {"level": one_uniform(rng, self.level)}

    def apply(self, image: Tensor, values: Values, generators: Sequence[Generator]) -> Tensor:
        """Cut off what is brighter."""
        return upper_clip(image, values["level"])


class Quantization(Distortion):
    """Rounding by the analog-to-digital converter (r_em Eq. 40, 55)."""

    kind: Literal["quantization"] = "quantization"
    equation: ClassVar[str] = "*x* ← round(α*x*)/α, α = (2ᵇ − 1)/max *x* (40, 55)"
    example: ClassVar[Mapping[str, Any]] = {"bits": (2, 2)}
    bits: Annotated[tuple[int, int], AfterValidator(_some_bits)] = setting(
        (8, 16), "Bits b", "Bits of the converter, whose largest number is the image's maximum."
    )

    def draw(self, rng: np.random.Generator, view: View) -> Drawn:
        """`levels`, the largest number."""
        return {"levels": float(2 ** rng.integers(self.bits[0], self.bits[1] + 1) - 1)}

    def apply(self, image: Tensor, values: Values, generators: Sequence[Generator]) -> Tensor:
        """Round to levels."""
        return quantize(image, values["levels"])


class MissingPixels(Distortion):
    """Pixels that lost their signal (Chen et al. 2023)."""

    kind: Literal["missing_pixels"] = "missing_pixels"
    equation: ClassVar[str] = "*x* ← 0 where U(0, 1) ≥ *k* (Chen et al. 2023)"
    example: ClassVar[Mapping[str, Any]] = {"kept": (0.7, 0.7)}
    kept: Fraction = setting((0.7, 0.7), "Kept k", "Fraction of the pixels that are measured.")

    def draw(self, rng: np.random.Generator, view: View) -> Drawn:
        """`kept`."""
        return {"kept": one_uniform(rng, self.kept)}

    def apply(self, image: Tensor, values: Values, generators: Sequence[Generator]) -> Tensor:
        """Set the others to 0."""
        return missing_pixels(image, values["kept"], generators)
