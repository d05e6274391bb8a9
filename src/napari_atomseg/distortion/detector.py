"""Noise of the detector and its electronics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import numpy as np
from torch import Generator, Tensor

from napari_atomseg.distortion.base import (
    Distortion,
    Drawn,
    Fraction,
    NonNegativeRange,
    Values,
    View,
    deviation,
    normal,
    per_pixel,
    uniform,
)
from napari_atomseg.ranges import PositiveRange, log_uniform
from napari_atomseg.ranges import uniform as one_uniform
from napari_atomseg.settings import setting


def readout_noise(image: Tensor, sigma: Tensor, generators: Sequence[Generator]) -> Tensor:
    """Thermal readout noise: a normal number a pixel of deviation `sigma` (B,) (r_em Eq. 34)."""
    noise = normal(tuple(image.shape[1:]), generators, image)
    return image + per_pixel(sigma) * noise


def hot_pixels(
    image: Tensor, fraction: Tensor, height: Tensor, generators: Sequence[Generator]
) -> Tensor:
    """A `fraction` (B,) of pixels gains up to `height` (B,), whatever the signal below."""
    draw = uniform((2, *image.shape[1:]), generators, image)
    struck = draw[:, 0] < per_pixel(fraction)
    return image + struck * draw[:, 1] * per_pixel(height)


class Readout(Distortion):
    """Thermal noise of the readout (r_em Eq. 34)."""

    kind: Literal["thermal_readout"] = "thermal_readout"
    equation: ClassVar[str] = "*x* ← *x* + N(0, σ) (34)"
    example: ClassVar[Mapping[str, Any]] = {"sigma": (0.1, 0.1)}
    sigma: NonNegativeRange = setting(
        (0.0, 0.15), "Noise σ", "Standard deviation of the noise, relative to the signal."
    )

    def draw(self, rng: np.random.Generator, view: View) -> Drawn:
        """`sigma`."""
        return {"sigma": one_uniform(rng, self.sigma)}

    def apply(self, image: Tensor, values: Values, generators: Sequence[Generator]) -> Tensor:
        """Add white noise."""
        return readout_noise(image, values["sigma"], generators)


class WhiteNoise(Distortion):
    """White noise of a given signal-to-noise ratio, for images known by that number alone."""

    kind: Literal["white_noise"] = "white_noise"
    equation: ClassVar[str] = (
        "*x* ← *x* + N(0, Std(*x*)/√*r*), for images whose signal-to-noise ratio alone is "
        "given (AP-GAN 2023)"
    )
    example: ClassVar[Mapping[str, Any]] = {"ratio": (2, 2)}
    ratio: PositiveRange = setting(
        (2.35, 2.35),
        "Signal-to-noise r",
        "Variance of the undistorted image over that of the noise (AP-GAN 2023: 2.35).",
    )

    def draw(self, rng: np.random.Generator, view: View) -> Drawn:
        """`ratio`."""
        return {"ratio": log_uniform(rng, self.ratio)}

    def apply(self, image: Tensor, values: Values, generators: Sequence[Generator]) -> Tensor:
        """Add noise in proportion to the contrast of each image."""
        sigma = deviation(image) / values["ratio"].sqrt()
        return readout_noise(image, sigma, generators)


class HotPixels(Distortion):
    """Single pixels that read too much, whatever the signal below them."""

    kind: Literal["hot_pixels"] = "hot_pixels"
    equation: ClassVar[str] = "*x* ← *x* + U(0, *h*) in single pixels"
    example: ClassVar[Mapping[str, Any]] = {"fraction": (0.005, 0.005), "height": (2, 2)}
    fraction: Fraction = setting((0.0, 0.002), "Fraction", "Fraction of the pixels that are hot.")
    height: NonNegativeRange = setting(
        (1.0, 5.0), "Height h", "Largest value that is added, relative to the signal."
    )

    def draw(self, rng: np.random.Generator, view: View) -> Drawn:
        """`fraction` and `height`."""
        return {
            "fraction": one_uniform(rng, self.fraction),
            "height": one_uniform(rng, self.height),
        }

    def apply(self, image: Tensor, values: Values, generators: Sequence[Generator]) -> Tensor:
        """Raise some pixels."""
        return hot_pixels(image, values["fraction"], values["height"], generators)
