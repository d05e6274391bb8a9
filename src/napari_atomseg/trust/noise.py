"""The noise of a raw image, given or estimated from the image and its restoration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, optimize

from napari_atomseg._shared.types import Array, Mask
from napari_atomseg.progress import checkpoint

REACH = 4.0
"""Radius of the matched filter over its sigma."""


def box_sum(plane: Array, side: int) -> Array:
    """Sums over square windows of an odd side about every pixel, with zeros beyond the border."""
    total = ndimage.uniform_filter(plane, side, mode="constant") * float(side) ** 2
    return np.asarray(total, dtype=np.float64)


def variance_of_square(gain: float, shot: Array, variance: Array) -> Array:
    """Variance of z² for standardised residuals z of combined Poisson and Gaussian noise.

    2 plus the excess kurtosis; the fourth cumulant of a Poisson variable times the gain g is
    g² times its variance.
    """
    return 2.0 + gain**2 * shot / variance**2


def matched(residual: Array, weight: Array, sigma: float) -> Array:
    """Score test for intensity of the shape of a column at every pixel.

    For a column of unknown height h and known shape g added to the expected image, the slope of
    the log likelihood at h = 0 is Σ g r / v, with the Fisher information Σ g² / v as variance (Rao
    1948): slope over standard deviation is standard normal where nothing is missing.

    Parameters
    ----------
    residual : (H, W) raw minus expected.
    weight : (H, W) inverse variance v; 0 where there is no measurement.
    sigma : width of the Gaussian g, pixels.
    """
    step = np.arange(-int(np.ceil(REACH * sigma)), int(np.ceil(REACH * sigma)) + 1)
    shape = np.exp(-0.5 * (step / sigma) ** 2)
    slope = _separable(residual * weight, shape)
    information = _separable(weight, shape**2)
    known = information > 0
    return np.where(known, slope / np.sqrt(np.where(known, information, 1.0)), 0.0)


def chi_square(z: Array, spread: Array, valid: NDArray[np.bool_], side: int) -> Array:
    """Local χ² of standardised residuals as a standard normal number.

    The sum of z² over a window has as mean its pixels n and as variance the sum of their
    `spread`; it is read as a scaled χ² of these moments (Satterthwaite 1946), and that as a normal
    number by its cube root (Wilson & Hilferty 1931).

    Parameters
    ----------
    z, spread : (H, W) standardised residuals and the variances of their squares, times the pixels
        that fluctuate as one where pixels share their noise.
    valid : (H, W) pixels that are used.
    side : side of the windows, pixels, odd.
    """
    count = np.maximum(box_sum(valid.astype(np.float64), side), 1.0)
    total = np.maximum(box_sum(np.where(valid, z**2, 0.0), side), 0.0)
    freedom = 2 * count**2 / np.maximum(box_sum(np.where(valid, spread, 0.0), side), 2.0)
    narrow = 2.0 / (9.0 * freedom)
    return np.asarray(((total / count) ** (1 / 3) - (1.0 - narrow)) / np.sqrt(narrow))


def _separable(plane: Array, kernel: NDArray[np.float64]) -> Array:
    rows = ndimage.convolve1d(plane, kernel, axis=0, mode="constant")
    return np.asarray(ndimage.convolve1d(rows, kernel, axis=1, mode="constant"), dtype=np.float64)


FLOOR = 0.03
"""Least variance of a pixel over the mean variance."""
ROUNDING = 1e-6
"""Least noise over the range of the intensities."""
ROUNDS = 4
PIXELS = 100_000
"""Number of pixels from which the noise is estimated."""
OUTLYING = 5.0
"""Windows with a χ² this many standard deviations too high are not used for the noise."""


@dataclass(frozen=True)
class NoiseModel:
    """Shot noise, constant noise and displaced scan lines.

    A pixel with the expected value μ has the variance
    gain (μ - zero) + readout² + (jitter_y ∂μ/∂y)² + (jitter_x ∂μ/∂x)².

    Attributes
    ----------
    gain : image units per electron; 1 for counted electrons.
    readout : standard deviation of the constant noise, units of the image.
    zero : image value without electrons.
    jitter : standard deviation of displacements along y and x, pixels, to first order.
    """

    gain: float
    readout: float = 0.0
    zero: float = 0.0
    jitter: tuple[float, float] = (0.0, 0.0)

    def shot(self, expected: Array) -> Array:
        """Variance of the counting alone."""
        return np.maximum(self.gain * (expected - self.zero), 0.0)

    def variance(self, expected: Array, steepness: Sequence[Array] | None = None) -> Array:
        """(H, W) variance of pixels of which `expected` (H, W) is the mean; 1 if it were 0.

        `steepness` holds the squares of its derivatives along y and x, where they are known.
        """
        variance = self.shot(expected) + self.readout**2
        if any(self.jitter):
            steepness = _steepness(expected) if steepness is None else steepness
            for sigma, square in zip(self.jitter, steepness, strict=True):
                variance += sigma**2 * square
        least = max(FLOOR * float(variance.mean()), (ROUNDING * float(np.ptp(expected))) ** 2)
        return np.maximum(variance, least) if least > 0 else np.ones_like(variance)


def estimate_noise(
    expected: Array,
    residual: Array,
    valid: Mask,
    window: int,
    known: NoiseModel | None = None,
) -> NoiseModel:
    """Learn the noise from what a restoration leaves over.

    The squared residuals are regressed on the terms of `NoiseModel` by non-negative least
    squares, weighted by the inverse variance of squared Poisson noise. Windows that the model does
    not explain are left out, so that errors of the restoration do not count as noise. Shot and
    constant noise differ only in how the variance rises with the intensity, so `zero` is set to the
    darkest expected value.

    Parameters
    ----------
    expected, residual : (H, W) mean of the raw image, and the raw image minus it.
    valid : (H, W) pixels that were measured.
    window : side of the windows, pixels.
    known : of an earlier estimate from nearly the same residual; half of the rounds are left then.
    """
    if not valid.any():
        return NoiseModel(0.0)
    zero = float(expected[valid].min())
    steepness = _steepness(expected)
    squared, used = residual**2, valid
    model = NoiseModel(0.0, float(np.sqrt(squared[valid].mean())), zero)
    rounds = range(ROUNDS)
    if known is not None:
        model, rounds = replace(known, zero=zero), rounds[ROUNDS // 2 :]
    for number in rounds:
        checkpoint()
        variance = model.variance(expected, steepness)
        spread = variance_of_square(model.gain, model.shot(expected), variance)
        if number:
            explained = valid & ~_unexplained(variance, spread, squared, valid, window)
            used = explained if explained.sum() > 0.5 * valid.sum() else valid
        checkpoint()
        share = np.flatnonzero(used.ravel())
        share = share[:: max(1, len(share) // PIXELS)]
        weight = 1.0 / (variance.ravel()[share] * np.sqrt(spread.ravel()[share]))
        light, *jitter = (each.ravel()[share] for each in (expected, *steepness))
        terms = np.stack([light - zero, np.ones_like(light), *jitter], axis=-1)
        model = _regressed(terms, squared.ravel()[share], weight, zero)
    return model


def _regressed(terms: Array, squared: Array, weight: Array, zero: float) -> NoiseModel:
    """The model whose terms (N, 4) explain squared residuals (N,) of these weights best."""
    design = terms * weight[:, None]
    size = np.maximum(np.sqrt((design**2).mean(axis=0)), np.finfo(float).tiny)
    found, _ = optimize.nnls(design / size, squared * weight)
    gain, constant, along_y, along_x = found / size
    readout, jitter = float(np.sqrt(constant)), (float(np.sqrt(along_y)), float(np.sqrt(along_x)))
    return NoiseModel(float(gain), readout, zero, jitter)


def _unexplained(variance: Array, spread: Array, squared: Array, valid: Mask, window: int) -> Mask:
    """Pixels (H, W) about which squared residuals exceed the variance."""
    excess = box_sum(np.where(valid, squared / variance - 1.0, 0.0), window)
    # Rounding leaves sums of nothing a little below zero.
    total = np.maximum(box_sum(np.where(valid, spread, 0.0), window), 0.0)
    beyond: Mask = excess > OUTLYING * np.sqrt(total)
    return beyond


def _steepness(plane: Array) -> list[Array]:
    """Squared derivatives along y and x; zero along an axis of a single pixel."""
    return [
        np.gradient(plane, axis=axis) ** 2 if length > 1 else np.zeros_like(plane)
        for axis, length in enumerate(plane.shape)
    ]
