"""Statistics of residuals in windows about every pixel."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Plane = NDArray[np.float64]

REACH = 4.0
"""Radius of the matched filter over its sigma."""


def box_sum(plane: Plane, side: int) -> Plane:
    """Sums over square windows of an odd side about every pixel; nothing lies beyond the border."""
    total = ndimage.uniform_filter(plane, side, mode="constant") * float(side) ** 2
    return np.asarray(total, dtype=np.float64)


def variance_of_square(gain: float, shot: Plane, variance: Plane) -> Plane:
    """Variance of z², z the standardised residual of Poisson and Gaussian noise together.

    2 plus the excess kurtosis; the fourth cumulant of a Poisson variable times the gain g is
    g² times its variance.
    """
    return 2.0 + gain**2 * shot / variance**2


def matched(residual: Plane, weight: Plane, sigma: float) -> Plane:
    """Score test for light of the shape of a column at every pixel.

    Where a column of unknown height h and known shape g were added to the expected image, the
    likelihood's slope at h = 0 is Σ g r / v, and its variance the Fisher information Σ g² / v
    (Rao 1948): their ratio is standard normal where nothing is to be added.

    Parameters
    ----------
    residual : (H, W) raw minus expected.
    weight : (H, W) inverse variance v; 0 where nothing was measured.
    sigma : of the Gaussian g, pixels.
    """
    step = np.arange(-int(np.ceil(REACH * sigma)), int(np.ceil(REACH * sigma)) + 1)
    shape = np.exp(-0.5 * (step / sigma) ** 2)
    slope = _separable(residual * weight, shape)
    information = _separable(weight, shape**2)
    known = information > 0
    return np.where(known, slope / np.sqrt(np.where(known, information, 1.0)), 0.0)


def chi_square(z: Plane, spread: Plane, valid: NDArray[np.bool_], side: int) -> Plane:
    """Local χ² of standardised residuals as a standard normal number.

    The sum of z² over a window has as mean its pixels n and as variance the sum of their
    `spread`; it is read as a scaled χ² of these moments (Satterthwaite 1946), and that as a normal
    number by its cube root (Wilson & Hilferty 1931).

    Parameters
    ----------
    z, spread : (H, W) standardised residuals and the variances of their squares.
    valid : (H, W) pixels that count.
    side : of the windows, pixels, odd.
    """
    count = np.maximum(box_sum(valid.astype(np.float64), side), 1.0)
    total = np.maximum(box_sum(np.where(valid, z**2, 0.0), side), 0.0)
    freedom = 2 * count**2 / np.maximum(box_sum(np.where(valid, spread, 0.0), side), 2.0)
    narrow = 2.0 / (9.0 * freedom)
    return np.asarray(((total / count) ** (1 / 3) - (1.0 - narrow)) / np.sqrt(narrow))


def _separable(plane: Plane, kernel: NDArray[np.float64]) -> Plane:
    rows = ndimage.convolve1d(plane, kernel, axis=0, mode="constant")
    return np.asarray(ndimage.convolve1d(rows, kernel, axis=1, mode="constant"), dtype=np.float64)
