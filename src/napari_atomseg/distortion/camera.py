"""Noise of cameras and detectors and their electronics, but for the counting statistics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import numpy as np
import torch
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
from napari_atomseg.distortion.counting import poisson
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


HOT = (5.0, 8.0)
"""Hot pixels lie this many deviations above the mean dark current (r_em, Eq. 32)."""
ATTEMPTS = 1000


def transfer(image: Tensor, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """Multiply the spectrum of each image by the camera's transfer function (r_em Eq. 27-29).

    MTF = [a exp(-g²/2b²) + (1 - a) exp(-g²/2c²)] sinc(πu/2) sinc(πv/2), with frequencies in units
    of the Nyquist frequency and sinc(x) = sin(x)/x: the spread of an electron's signal, and the
    square of a pixel.

    Parameters
    ----------
    image : (B, ..., H, W), periodic.
    a, b, c : (B,); see `CameraTransfer`.
    """
    height, width = image.shape[-2:]
    v = 2 * torch.fft.fftfreq(height, device=image.device)[:, None]
    u = 2 * torch.fft.rfftfreq(width, device=image.device)
    square = u**2 + v**2
    a, b, c = (number.reshape(-1, *[1] * (image.ndim - 1)) for number in (a, b, c))
    radial = a * torch.exp(-square / (2 * b**2)) + (1 - a) * torch.exp(-square / (2 * c**2))
    pixel = torch.sinc(u / 2) * torch.sinc(v / 2)
    result: Tensor = torch.fft.irfft2(torch.fft.rfft2(image) * (radial * pixel), s=(height, width))
    return result


def is_transfer(a: float, b: float, c: float) -> bool:
    """Whether the radial part is positive and falls, at 1000 points up to 10 Nyquist (r_em)."""
    g = np.linspace(0.0, 10.0, 1000)
    radial = a * np.exp(-(g**2) / (2 * b**2)) + (1 - a) * np.exp(-(g**2) / (2 * c**2))
    return bool((radial >= 0).all() and (np.diff(radial) <= 0).all())


def fixed_pattern(image: Tensor, sigma: Tensor, generators: Sequence[Generator]) -> Tensor:
    """X ← x + x N(0, σ): gains of the pixels that are left after flat-fielding (r_em Eq. 31)."""
    gain = normal(tuple(image.shape[1:]), generators, image).mul_(per_pixel(sigma)).add_(1.0)
    return image * gain


def dark_current(
    image: Tensor,
    mean: Tensor,
    deviation: Tensor,
    hot: Tensor,
    counts: Tensor,
    generators: Sequence[Generator],
) -> Tensor:
    """X ← x + P(DCNU), DCNU = log-normal + uniform for hot pixels (r_em Eq. 32, 33).

    Parameters
    ----------
    image : (B, H, W).
    mean, deviation : (B,) of the dark electrons of a pixel, the body of the distribution.
    hot : (B,) share of pixels to which 5 to 8 deviations above the mean are added.
    counts : (B,) electrons that make a signal of 1.
    """
    shape = tuple(image.shape[1:])
    share = torch.log1p((deviation / mean.clamp_min(1e-6)) ** 2)
    body = torch.exp(per_pixel(share.sqrt()) * normal(shape, generators, image))
    body *= per_pixel(mean * torch.exp(-0.5 * share))
    draw = uniform((2, *shape), generators, image)
    height = HOT[0] + (HOT[1] - HOT[0]) * draw[:, 1]
    outlier = (draw[:, 0] < per_pixel(hot)) * (per_pixel(mean) + per_pixel(deviation) * height)
    dark = poisson(body + outlier, normal(shape, generators, image))
    return image + dark / per_pixel(counts)


def flicker(image: Tensor, sigma: Tensor, generators: Sequence[Generator]) -> Tensor:
    """X ← x + F(N(0, σ)/f): noise whose power falls as 1/f² (r_em Eq. 35).

    It has no mean, and its expected deviation over the image is `sigma` (B,).
    """
    height, width = image.shape[1:]
    v = torch.fft.fftfreq(height, device=image.device)[:, None]
    inverse = torch.rsqrt(v**2 + torch.fft.rfftfreq(width, device=image.device) ** 2)
    inverse[0, 0] = 0.0
    # Each frequency but those on the edge of the half plane stands for itself and its mirror.
    twice = torch.full((inverse.shape[1],), 2.0, device=image.device)
    twice[0] = 1.0
    if width % 2 == 0:
        twice[-1] = 1.0
    inverse /= torch.sqrt((twice * inverse**2).sum(dim=1).sum() / (height * width))
    noise = torch.fft.rfft2(normal((height, width), generators, image)) * inverse
    pink: Tensor = torch.fft.irfft2(noise, s=(height, width))
    return image + per_pixel(sigma) * pink


def reset_noise(image: Tensor, sigma: Tensor, generators: Sequence[Generator]) -> Tensor:
    """A normal number of deviation `sigma` (B,) is added to each row (r_em Eq. 36)."""
    return image + per_pixel(sigma) * normal((image.shape[1], 1), generators, image)


class CameraTransfer(Distortion):
    """Modulation transfer function of the camera, in the image and its truth (r_em Eq. 27-29)."""

    kind: Literal["mtf"] = "mtf"
    equation: ClassVar[str] = (
        "MTF = [*a* exp(−*g*²/2*b*²) + (1 − *a*) exp(−*g*²/2*c*²)] sinc(π*u*/2) sinc(π*v*/2),"
        " *g*, *u* and *v* in units of the Nyquist frequency (27–29)"
    )
    example: ClassVar[Mapping[str, Any]] = {"a": (0.6, 0.6), "b": (0.15, 0.15), "c": (0.5, 0.5)}
    shared: ClassVar[bool] = True
    a: PositiveRange = setting(
        (0.05, 1.5),
        "Weight a",
        "Weight of the first Gaussian; only parameters of a positive, falling function are drawn.",
    )
    b: PositiveRange = setting(
        (0.1, 1.5), "Width b", "Width of the first Gaussian, in units of the Nyquist frequency."
    )
    c: PositiveRange = setting(
        (0.1, 1.5), "Width c", "Width of the second Gaussian, in units of the Nyquist frequency."
    )

    def draw(self, rng: np.random.Generator, view: View) -> Drawn:
        """`a`, `b` and `c` of one camera.

        Raises
        ------
        ValueError : the ranges hold no positive and falling function.
        """
        for _ in range(ATTEMPTS):
            a, b, c = (one_uniform(rng, bounds) for bounds in (self.a, self.b, self.c))
            if is_transfer(a, b, c):
                return {"a": a, "b": b, "c": c}
        raise ValueError(
            f"mtf: no positive and falling function for a in {self.a}, b in {self.b}, "
            f"c in {self.c}; a of at most 1 always gives one"
        )

    def apply(self, image: Tensor, values: Values, generators: Sequence[Generator]) -> Tensor:
        """Blur the image and its truth."""
        return transfer(image, values["a"], values["b"], values["c"])


class FixedPattern(Distortion):
    """Gain of each pixel that flat-fielding left (r_em Eq. 31)."""

    kind: Literal["fixed_pattern"] = "fixed_pattern"
    equation: ClassVar[str] = "*x* ← *x* + *x* N(0, σ) (31)"
    example: ClassVar[Mapping[str, Any]] = {"sigma": (0.15, 0.15)}
    sigma: NonNegativeRange = setting(
        (0.0, 0.05), "Gain noise σ", "Standard deviation of the pixels' gains."
    )

    def draw(self, rng: np.random.Generator, view: View) -> Drawn:
        """`sigma`."""
        return {"sigma": one_uniform(rng, self.sigma)}

    def apply(self, image: Tensor, values: Values, generators: Sequence[Generator]) -> Tensor:
        """Multiply by the gains."""
        return fixed_pattern(image, values["sigma"], generators)


class DarkCurrent(Distortion):
    """Dark current, uneven between the pixels, with its own shot noise (r_em Eq. 32, 33)."""

    kind: Literal["dark_current"] = "dark_current"
    equation: ClassVar[str] = (
        "*x* ← *x* + P(D)/*c*, D log-normal of mean μ and deviation σ, + U(μ + 5σ, μ + 8σ) in"
        " hot pixels (32, 33)"
    )
    example: ClassVar[Mapping[str, Any]] = {
        "mean": (20, 20),
        "hot": (0.01, 0.01),
        "counts": (100, 100),
    }
    mean: NonNegativeRange = setting(
        (0.0, 5.0), "Mean μ", "Mean dark current of a pixel.", unit="e⁻"
    )
    deviation: NonNegativeRange = setting(
        (0.05, 0.5),
        "Deviation σ/μ",
        "Standard deviation of the pixels' dark currents, relative to their mean.",
    )
    hot: Fraction = setting((0.0, 1e-3), "Hot pixels", "Fraction of the pixels that are hot.")
    counts: PositiveRange = setting(
        (100.0, 1e4),
        "Full signal c",
        "Electrons of a signal of 1; drawn evenly in their logarithm.",
        unit="e⁻",
    )

    def draw(self, rng: np.random.Generator, view: View) -> Drawn:
        """`mean` and `deviation` in electrons, `hot`, `counts`."""
        mean = one_uniform(rng, self.mean)
        return {
            "mean": mean,
            "deviation": mean * one_uniform(rng, self.deviation),
            "hot": one_uniform(rng, self.hot),
            "counts": log_uniform(rng, self.counts),
        }

    def apply(self, image: Tensor, values: Values, generators: Sequence[Generator]) -> Tensor:
        """Add the dark electrons."""
        names = ("mean", "deviation", "hot", "counts")
        mean, deviation, hot, counts = (values[name] for name in names)
        return dark_current(image, mean, deviation, hot, counts, generators)


class Flicker(Distortion):
    """Pink noise of the electronics, 1/f in amplitude (r_em Eq. 35)."""

    kind: Literal["flicker"] = "flicker"
    equation: ClassVar[str] = "*x* ← *x* + F(N/*f*), of deviation σ (35)"
    example: ClassVar[Mapping[str, Any]] = {"sigma": (0.2, 0.2)}
    sigma: NonNegativeRange = setting(
        (0.0, 0.05), "Noise σ", "Standard deviation over the image, relative to the signal."
    )

    def draw(self, rng: np.random.Generator, view: View) -> Drawn:
        """`sigma`."""
        return {"sigma": one_uniform(rng, self.sigma)}

    def apply(self, image: Tensor, values: Values, generators: Sequence[Generator]) -> Tensor:
        """Add pink noise."""
        return flicker(image, values["sigma"], generators)


class Reset(Distortion):
    """Reset noise: an offset of each row (r_em Eq. 36)."""

    kind: Literal["reset"] = "reset"
    equation: ClassVar[str] = "*x* ← *x* + N(0, σ), one number a row (36)"
    example: ClassVar[Mapping[str, Any]] = {"sigma": (0.1, 0.1)}
    sigma: NonNegativeRange = setting(
        (0.0, 0.05), "Noise σ", "Standard deviation of the rows' offsets, relative to the signal."
    )

    def draw(self, rng: np.random.Generator, view: View) -> Drawn:
        """`sigma`."""
        return {"sigma": one_uniform(rng, self.sigma)}

    def apply(self, image: Tensor, values: Values, generators: Sequence[Generator]) -> Tensor:
        """Add the offsets."""
        return reset_noise(image, values["sigma"], generators)
