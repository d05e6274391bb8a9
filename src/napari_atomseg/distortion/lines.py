"""Noise that follows the lines of a scan: slow detectors, offsets, gains and dead stretches."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
from torch import Generator, Tensor

from napari_atomseg.distortion.base import (
    CountRange,
    Distortion,
    Drawn,
    Fraction,
    NonNegativeRange,
    Values,
    View,
    filtered,
    normal,
    within,
)
from napari_atomseg.ranges import PositiveRange, Range, uniform
from napari_atomseg.settings import setting

LENGTH = 32
"""Pixels over which the responses of a fast scan are followed."""


def scan_blur(image: Tensor, decay: Tensor) -> Tensor:
    """Slow detector of a fast scan: each pixel bleeds into the next with ratio `decay` (B,) < 1.

    The causal exponential response of scintillator and amplifier (r_em Eq. 48-50), exact along
    the line but for the wrap at its ends.
    """
    x = torch.arange(image.shape[-1], device=image.device)
    response = torch.exp(x * torch.log(decay.clamp_min(1e-9))[:, None])
    return along_lines(image, torch.fft.rfft(response / response.sum(dim=1, keepdim=True)))


def along_lines(image: Tensor, response: Tensor) -> Tensor:
    """Filter the lines of images (B, H, W) by a response (B, W // 2 + 1) in Fourier space."""
    response = response[:, None]
    spectrum = filtered(torch.fft.rfft(image), response.real, response.imag)
    lines: Tensor = torch.fft.irfft(spectrum, n=image.shape[-1])
    return lines


def line_noise(
    image: Tensor, offset: Tensor, gain: Tensor, generators: Sequence[Generator]
) -> Tensor:
    """Offset and gain of each line, of deviations `offset` and `gain` (B,) (r_em Eq. 51)."""
    noise = normal((image.shape[1], 2), generators, image)
    factor = 1.0 + gain[:, None, None] * noise[..., :1]
    return image * factor + offset[:, None, None] * noise[..., 1:]


def detector_response(alpha: Tensor, length: int) -> Tensor:
    """(B, length) of α/(4π²x² + α²) at the pixels x = 0, 1, ..., of sum 1 (r_em Eq. 48)."""
    x = torch.arange(length, device=alpha.device)
    response = alpha[:, None] / (4 * math.pi**2 * x**2 + alpha[:, None] ** 2)
    return response / response.sum(dim=1, keepdim=True)


def readout_response(beta: Tensor, gamma: Tensor, theta: Tensor, length: int) -> Tensor:
    """(B, length) of exp(-x/β) sin(2πx/γ + θ) at the pixels, of sum 1 (r_em Eq. 49, 50)."""
    x = torch.arange(length, device=beta.device)
    wave = torch.sin(2 * math.pi / gamma[:, None] * x + theta[:, None])
    response = torch.exp(-x / beta[:, None]) * wave
    return response / response.sum(dim=1, keepdim=True)


def fast_scan(image: Tensor, detector: Tensor, readout: Tensor) -> Tensor:
    """Convolve each line with both responses, each later pixel by the ones before (r_em Eq. 47).

    Before its line the beam waits at the first pixel (the flyback delay).

    Parameters
    ----------
    image : (B, H, W).
    detector, readout : (B, length) responses of sum 1.
    """
    wait = 2 * detector.shape[1]
    length = image.shape[-1] + wait
    padded = torch.nn.functional.pad(image, (wait, 0), mode="replicate")
    second = torch.fft.rfft(readout, n=length)
    both = filtered(torch.fft.rfft(detector, n=length), second.real, second.imag)
    return along_lines(padded, both)[..., wait:].contiguous()


def row_lines(image: Tensor, lines: Tensor) -> Tensor:
    """Stretches of rows show a multiple of their mean instead of the image (r_em Eq. 51).

    Parameters
    ----------
    image : (B, H, W).
    lines : (B, N, 4) row and first column from the image's centre, length, all in pixels, and the
        factor; a line of length 0 is none.
    """
    height, width = image.shape[1:]
    result = image.clone()
    column = torch.arange(width, device=image.device) - 0.5 * (width - 1)
    sample = torch.arange(len(image), device=image.device)
    for row, first, length, factor in (line.unbind(1) for line in lines.unbind(1)):
        index = (row + 0.5 * (height - 1)).round().long().clamp(0, height - 1)
        dead = (column >= first[:, None]) & (column < (first + length)[:, None])
        old = result[sample, index]
        mean = (old * dead).sum(dim=1) / dead.sum(dim=1).clamp_min(1)
        result[sample, index] = torch.where(dead, (factor * mean)[:, None], old)
    return result


class ScanBlur(Distortion):
    """Each pixel bleeds into the next of its line: the simplest slow detector."""

    kind: Literal["scan_blur"] = "scan_blur"
    equation: ClassVar[str] = "*x* ← *x* ⊛ (1 − *d*) *d*ᵗ: the simplest slow detector"
    example: ClassVar[Mapping[str, Any]] = {"decay": (0.7, 0.7)}
    decay: Annotated[Range, within(0.0, 0.99)] = setting(
        (0.0, 0.5),
        "Decay d",
        "Ratio of a pixel's signal that remains one pixel later, at most 0.99.",
    )

    def draw(self, rng: np.random.Generator, view: View) -> Drawn:
        """`decay` from pixel to pixel."""
        return {"decay": uniform(rng, self.decay)}

    def apply(self, image: Tensor, values: Values, generators: Sequence[Generator]) -> Tensor:
        """Smear the lines."""
        return scan_blur(image, values["decay"])


class LineNoise(Distortion):
    """Each line has its own offset and gain: an unsteady source or amplifier."""

    kind: Literal["line_noise"] = "line_noise"
    equation: ClassVar[str] = "*x* ← *x* (1 + N(0, *g*)) + N(0, *o*), one number a line"
    example: ClassVar[Mapping[str, Any]] = {"offset": (0.06, 0.06), "gain": (0.1, 0.1)}
    offset: NonNegativeRange = setting(
        (0.0, 0.06), "Offset o", "Standard deviation of the lines' offsets, relative to the signal."
    )
    gain: NonNegativeRange = setting(
        (0.0, 0.06), "Gain g", "Standard deviation of the lines' gains."
    )

    def draw(self, rng: np.random.Generator, view: View) -> Drawn:
        """`offset` and `gain`."""
        return {"offset": uniform(rng, self.offset), "gain": uniform(rng, self.gain)}

    def apply(self, image: Tensor, values: Values, generators: Sequence[Generator]) -> Tensor:
        """Change each line."""
        return line_noise(image, values["offset"], values["gain"], generators)


class FastScan(Distortion):
    """Slow scintillator and ringing readout of a fast scan (r_em Eq. 47-50)."""

    kind: Literal["fast_scan"] = "fast_scan"
    equation: ClassVar[str] = (
        "*x* ← *x* ⊛ [α/(4π²*t*² + α²)] ⊛ [exp(−*t*/β) sin(2π*t*/γ + θ)], *t* = 0, 1, … "
        "pixels, either of sum 1 (47–50)"
    )
    example: ClassVar[Mapping[str, Any]] = {
        "alpha": (9, 9),
        "beta": (4, 4),
        "gamma": (14, 14),
        "theta": (10, 10),
    }
    alpha: PositiveRange = setting(
        (0.2, 6.0),
        "Afterglow α",
        "Width of the detector's Lorentzian; one pixel later the signal is α²/(4π² + α²) of "
        "the first.",
    )
    beta: PositiveRange = setting(
        (0.3, 2.0), "Decay β", "Decay length of the readout's oscillation.", unit="px"
    )
    gamma: Annotated[Range, within(2.0, math.inf)] = setting(
        (4.0, 30.0), "Period γ", "Period of the readout's oscillation, at least 2.", unit="px"
    )
    theta: Annotated[Range, within(1.0, 90.0)] = setting(
        (30.0, 90.0),
        "Phase θ",
        "Phase of the oscillation, 1 to 90, for which its integral is positive.",
        unit="°",
    )

    def draw(self, rng: np.random.Generator, view: View) -> Drawn:
        """`alpha`, `beta`, `gamma`, and `theta` in radians."""
        return {
            "alpha": uniform(rng, self.alpha),
            "beta": uniform(rng, self.beta),
            "gamma": uniform(rng, self.gamma),
            "theta": math.radians(uniform(rng, self.theta)),
        }

    def apply(self, image: Tensor, values: Values, generators: Sequence[Generator]) -> Tensor:
        """Smear the lines."""
        detector = detector_response(values["alpha"], LENGTH)
        readout = readout_response(values["beta"], values["gamma"], values["theta"], LENGTH)
        return fast_scan(image, detector, readout)


class RowLines(Distortion):
    """The detector does not respond for a stretch of a line (r_em Eq. 51)."""

    kind: Literal["row_lines"] = "row_lines"
    equation: ClassVar[str] = "stretches of a line show U(0.5, 1.5) times their mean (51)"
    example: ClassVar[Mapping[str, Any]] = {"count": (6, 6)}
    count: CountRange = setting((1, 10), "Stretches", "Number of stretches without response.")
    length: Fraction = setting(
        (0.05, 1.0), "Length", "Length of a stretch, relative to the image's width."
    )
    factor: NonNegativeRange = setting(
        (0.5, 1.5), "Factor", "Intensity of the stretch, relative to the mean (r_em: 0.5 to 1.5)."
    )

    def draw(self, rng: np.random.Generator, view: View) -> Drawn:
        """`lines` (most that there may be, 4); see `row_lines`."""
        most = self.count[1]
        height, width = view.shape
        lines = np.zeros((most, 4))
        lines[:, 0] = rng.integers(0, height, most) - 0.5 * (height - 1)
        lines[:, 2] = np.round(width * rng.uniform(*self.length, most))
        lines[:, 1] = rng.uniform(-0.5, 0.5, most) * (width - lines[:, 2]) - 0.5 * lines[:, 2]
        lines[:, 3] = rng.uniform(*self.factor, most)
        lines[rng.integers(self.count[0], most + 1) :, 2] = 0.0
        return {"lines": lines}

    def apply(self, image: Tensor, values: Values, generators: Sequence[Generator]) -> Tensor:
        """Overwrite the stretches."""
        return row_lines(image, values["lines"])
