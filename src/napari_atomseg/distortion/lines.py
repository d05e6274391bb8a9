"""Noise that follows the lines of a scan: slow detectors, offsets, gains and dead stretches."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import AfterValidator
from torch import Generator, Tensor

from napari_atomseg.distortion.base import (
    Distortion,
    Drawn,
    Fraction,
    NonNegativeRange,
    Values,
    View,
    normal,
)
from napari_atomseg.ranges import uniform


def _below_one(value: tuple[float, float]) -> tuple[float, float]:
    if not value[1] < 1.0:
        raise ValueError(f"decay {value} must stay below 1")
    return value


def scan_blur(image: Tensor, decay: Tensor) -> Tensor:
    """Slow detector of a fast scan: each pixel bleeds into the next with ratio `decay` (B,) < 1.

    The causal exponential response of scintillator and amplifier (r_em Eq. 48-50), exact along
    the line but for the wrap at its ends.
    """
    k = torch.fft.rfftfreq(image.shape[-1], device=image.device)
    response = (1 - decay[:, None]) / (1 - decay[:, None] * torch.exp(-2j * math.pi * k))
    spectrum = torch.fft.rfft(image) * response[:, None]
    blurred: Tensor = torch.fft.irfft(spectrum, n=image.shape[-1])
    return blurred


def line_noise(
    image: Tensor, offset: Tensor, gain: Tensor, generators: Sequence[Generator]
) -> Tensor:
    """Offset and gain of each line, of deviations `offset` and `gain` (B,) (r_em Eq. 51)."""
    noise = normal((image.shape[1], 2), generators, image)
    factor = 1.0 + gain[:, None, None] * noise[..., :1]
    return image * factor + offset[:, None, None] * noise[..., 1:]


class ScanBlur(Distortion):
    """Each pixel bleeds into the next of its line: the simplest slow detector.

    Attributes
    ----------
    decay : ratio of a pixel's signal that is still there a pixel later, below 1.
    """

    kind: Literal["scan_blur"] = "scan_blur"
    decay: Annotated[Fraction, AfterValidator(_below_one)] = (0.0, 0.5)

    def draw(self, rng: np.random.Generator, view: View) -> Drawn:
        """`decay` from pixel to pixel."""
        return {"decay": uniform(rng, self.decay)}

    def apply(self, image: Tensor, values: Values, generators: Sequence[Generator]) -> Tensor:
        """Smear the lines."""
        return scan_blur(image, values["decay"])


class LineNoise(Distortion):
    """Each line has its own offset and gain: an unsteady source or amplifier.

    Attributes
    ----------
    offset : deviation of the lines' offsets, in units of the signal.
    gain : deviation of their gains.
    """

    kind: Literal["line_noise"] = "line_noise"
    offset: NonNegativeRange = (0.0, 0.06)
    gain: NonNegativeRange = (0.0, 0.06)

    def draw(self, rng: np.random.Generator, view: View) -> Drawn:
        """`offset` and `gain`."""
        return {"offset": uniform(rng, self.offset), "gain": uniform(rng, self.gain)}

    def apply(self, image: Tensor, values: Values, generators: Sequence[Generator]) -> Tensor:
        """Change each line."""
        return line_noise(image, values["offset"], values["gain"], generators)
