"""The noise of a raw image, given or learned from the image and its restoration."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from napari_atomseg.trust.windows import box_sum, variance_of_square

Plane = NDArray[np.float64]
Mask = NDArray[np.bool_]

FLOOR = 0.03
"""No pixel's variance is believed to be below this fraction of the mean variance."""
ROUNDING = 1e-6
"""No noise is believed to be below this fraction of the range of the intensities."""
ROUNDS = 4
PIXELS = 100_000
"""Pixels that are enough to know the noise."""
OUTLYING = 5.0
"""Windows whose χ² is this many standard deviations too high do not tell of the noise."""


@dataclass(frozen=True)
class NoiseModel:
    """Shot noise, constant noise and displaced scan lines.

    A pixel that is expected to be μ has the variance
    gain (μ - zero) + readout² + (jitter_y ∂μ/∂y)² + (jitter_x ∂μ/∂x)².

    Attributes
    ----------
    gain : units of the image for an electron; 1 for counted electrons.
    readout : standard deviation of the constant noise, units of the image.
    zero : what the image is without electrons.
    jitter : standard deviation of displacements along y and x, pixels, to first order.
    """

    gain: float
    readout: float = 0.0
    zero: float = 0.0
    jitter: tuple[float, float] = (0.0, 0.0)

    def shot(self, expected: Plane) -> Plane:
        """Variance of the counting alone."""
        return np.maximum(self.gain * (expected - self.zero), 0.0)

    def variance(self, expected: Plane) -> Plane:
        """(H, W) variance of pixels of which `expected` (H, W) is the mean; 1 if it were 0."""
        variance = self.shot(expected) + self.readout**2
        for sigma, slope in zip(self.jitter, _slopes(expected), strict=True):
            variance += (sigma * slope) ** 2
        least = max(FLOOR * float(variance.mean()), (ROUNDING * float(np.ptp(expected))) ** 2)
        return np.maximum(variance, least) if least > 0 else np.ones_like(variance)


def estimate_noise(expected: Plane, residual: Plane, valid: Mask, window: int) -> NoiseModel:
    """Learn the noise from what a restoration leaves over.

    The squared residuals are regressed on the terms of `NoiseModel` by non-negative least
    squares, weighted by the inverse of the variance that squared Poisson noise has. Windows that
    the model does not explain are left out, so that a place where the restoration is wrong does
    not pass for noise. Shot and constant noise are told apart only by how the variance rises with
    the intensity, `zero` is therefore the darkest expected value.

    Parameters
    ----------
    expected, residual : (H, W) mean of the raw image and what the image has beyond it.
    valid : (H, W) pixels that were measured.
    window : side of those windows, pixels.
    """
    if not valid.any():
        return NoiseModel(0.0)
    zero = float(expected[valid].min())
    terms = np.stack(
        [expected - zero, np.ones_like(expected), *(s**2 for s in _slopes(expected))], axis=-1
    )
    squared, used = residual**2, valid
    model = NoiseModel(0.0, float(np.sqrt(squared[valid].mean())), zero)
    for number in range(ROUNDS):
        if number:
            explained = valid & ~_unexplained(model, expected, squared, valid, window)
            used = explained if explained.sum() > 0.5 * valid.sum() else valid
        model = _regressed(model, terms, expected, squared, used)
    return model


def _regressed(
    model: NoiseModel, terms: Plane, expected: Plane, squared: Plane, used: Mask
) -> NoiseModel:
    """The model again, from weights that follow from it; `terms` is (H, W, 4)."""
    variance = model.variance(expected)
    spread = variance_of_square(model.gain, model.shot(expected), variance)
    share = np.flatnonzero(used.ravel())
    share = share[:: max(1, len(share) // PIXELS)]
    weight = 1.0 / (variance * np.sqrt(spread)).ravel()[share]
    design = terms.reshape(-1, 4)[share] * weight[:, None]
    size = np.maximum(np.sqrt((design**2).mean(axis=0)), np.finfo(float).tiny)
    found, _ = optimize.nnls(design / size, squared.ravel()[share] * weight)
    gain, constant, along_y, along_x = found / size
    readout, jitter = float(np.sqrt(constant)), (float(np.sqrt(along_y)), float(np.sqrt(along_x)))
    return NoiseModel(float(gain), readout, model.zero, jitter)


def _unexplained(
    model: NoiseModel, expected: Plane, squared: Plane, valid: Mask, window: int
) -> Mask:
    variance = model.variance(expected)
    spread = variance_of_square(model.gain, model.shot(expected), variance)
    excess = box_sum(np.where(valid, squared / variance - 1.0, 0.0), window)
    allowed = OUTLYING * np.sqrt(box_sum(np.where(valid, spread, 0.0), window))
    beyond: Mask = excess > allowed
    return beyond


def _slopes(plane: Plane) -> list[Plane]:
    """Derivatives along y and x; none along an axis of a single pixel."""
    return [
        np.gradient(plane, axis=axis) if length > 1 else np.zeros_like(plane)
        for axis, length in enumerate(plane.shape)
    ]
