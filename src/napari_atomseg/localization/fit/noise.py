"""The noise of an image, estimated from the residuals of a fit."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import torch
from torch import Tensor

from napari_atomseg.localization.fit.windows import Windows
from napari_atomseg.localization.settings import Likelihood
from napari_atomseg.progress import checkpoint

FLOOR = 0.03
"""Smallest variance of a pixel over the mean variance: the estimate is a straight line, and weights
must not grow without bound where it comes near zero."""
ROUNDS = 4
ROUNDING = 1e-9
"""Smallest standard deviation over the intensity, even for images without noise."""


@dataclass(frozen=True)
class ResidualNoise:
    """Variance = gain × expected intensity + offset, and not below `floor`.

    That is shot noise of unknown gain on an image of unknown zero, plus constant noise.
    """

    gain: float
    offset: float
    floor: float

    def variance(self, expected: Tensor) -> Tensor:
        """Variance of pixels whose expected intensity is given, in its units squared."""
        return (self.gain * expected + self.offset).clamp_min(self.floor)


def estimate_noise(
    expected: Tensor,
    squared: Tensor,
    likelihood: Likelihood = "auto",
    sure: Tensor | None = None,
) -> ResidualNoise:
    """Fit the line of variances by iteratively weighted least squares.

    Parameters
    ----------
    likelihood : "auto" fits the whole line, "gaussian" its offset alone, and
        "poisson" its gain alone: that image is black at zero, as counts or a multiple of them are.
    expected, squared : (M,) fitted intensity and squared residual of pixels, the latter corrected
        for the parameters spent. Their weights are the inverse variances of squared Poisson
        noise of the current gain, 2 v² + gain² v. Where the fits do not describe the image, the
        misfit counts as noise. Without pixels the variance is 1.
    sure : (M,) weights of the pixels besides, where parameters have spent most of some: the square
        of the part that is left.
    """
    if len(expected) == 0:
        return ResidualNoise(0.0, 1.0, 1.0)
    rounding = (ROUNDING * float(expected.abs().max())) ** 2
    sure = torch.ones_like(expected) if sure is None else sure
    sure = sure / sure.mean()
    mean = max(float((sure * squared).mean()), rounding, sys.float_info.min)
    model = ResidualNoise(0.0, mean, FLOOR * mean)
    if likelihood == "gaussian":
        return model
    if likelihood == "poisson":
        light = float((sure * expected).sum())
        gain = float((sure * squared).sum()) / light if light else 0.0
        return ResidualNoise(gain, 0.0, FLOOR * mean) if light else model
    for _ in range(ROUNDS):
        checkpoint()
        variance = model.variance(expected)
        weight = sure / (2.0 * variance**2 + model.gain**2 * variance)
        weight = weight / weight.sum()
        centre, level = float((weight * expected).sum()), float((weight * squared).sum())
        spread = float((weight * (expected - centre) ** 2).sum())
        if spread <= 0:
            break
        gain = float((weight * (expected - centre) * squared).sum()) / spread
        model = ResidualNoise(gain, level - gain * centre, FLOOR * mean)
    return model


UNCOUNTED = 0.02
"""Part of the noise of counting, at least, that interpolation leaves in the pixels."""


@dataclass(frozen=True)
class Frames:
    """How many frames lie in each pixel of an image that is their mean.

    Attributes
    ----------
    mean : of all pixels.
    relative : (H, W) number of frames over their mean.
    """

    mean: float
    relative: Tensor

    @classmethod
    def of(cls, frames: Tensor) -> Frames:
        """The numbers of frames (H, W); pixels without any do not count."""
        mean = float(frames[frames > 0].mean())
        return cls(mean, torch.where(frames > 0, frames / mean, 1.0))

    def at(self, windows: Windows) -> Tensor:
        """(n, S, S) relative numbers in windows, 1 beyond them."""
        return torch.where(windows.inside, windows.sample(self.relative), 1.0)

    def counted(self, seen: ResidualNoise) -> ResidualNoise | None:
        """The noise of counting so many frames, whose mean has the gain 1 / frames.

        Interpolation on the way to the mean takes noise from the pixels and makes them share it; in
        sums over a column's width the noise of the counts stays. None where the residuals show
        less noise than that would leave: the image is not in counts.
        """
        gain = 1.0 / self.mean
        if not seen.gain > UNCOUNTED * gain:
            return None
        return ResidualNoise(gain, 0.0, seen.floor * gain / seen.gain)
