"""Losses of single pixels, and of the mean and the deviation of an image.

Predictions and targets are (B, C, H, W) in any floating type; every loss is a scalar in float32.
"""

from __future__ import annotations

import torch.nn.functional as functional
from torch import Tensor

from napari_atomseg.training.losses.base import IMAGE, deviation, full_precision

LEAST_DEVIATION = 0.1
"""Sigma_min of r_em, for images of unit deviation, as in the authors' published training code."""


def mean_squared_error(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean of (I - T)² over all pixels."""
    prediction, target = full_precision(prediction, target)
    return functional.mse_loss(prediction, target)


def chi_square(prediction: Tensor, target: Tensor, least_peak: float = 0.1) -> Tensor:
    """Modified chi-square, which punishes false atoms in the background (AtomSegNet, Methods).

    Mean over pixels, images and channels of (I - T)² / (T + max T / 10), the maximum being that
    of the image and channel. The paper writes a sum; the mean is the same for any size of image,
    and of the size of the final losses that the paper reports (0.017 to 0.020).

    Parameters
    ----------
    prediction, target : (B, C, H, W) intensities or probabilities; the target's negative values
        count as 0 in the denominator.
    least_peak : maximum that a target is taken to have at least, so that an image without any
        atom does not outweigh all others.
    """
    prediction, target = full_precision(prediction, target)
    peak = target.amax(dim=IMAGE, keepdim=True).clamp_min(least_peak)
    return ((prediction - target).square() / (target.clamp_min(0.0) + peak / 10)).mean()


def weighted_l1(
    prediction: Tensor, target: Tensor, least_deviation: float = LEAST_DEVIATION
) -> Tensor:
    """Absolute error over the target's deviation, so that contrast does not matter.

    E{w |y - y_g|} with w = 1 / max(sigma_min, Std y) of each image and channel (r_em Eq. 4, 5).
    """
    prediction, target = full_precision(prediction, target)
    return ((prediction - target).abs() / deviation(target, least_deviation)).mean()


def weighted_l2(
    prediction: Tensor, target: Tensor, least_deviation: float = LEAST_DEVIATION
) -> Tensor:
    """Squared error over the target's deviation, which punishes outliers more than `weighted_l1`.

    E{w |y - y_g|²} with the weight of `weighted_l1`, itself not squared (r_em Eq. 5, 6).
    """
    prediction, target = full_precision(prediction, target)
    return ((prediction - target).square() / deviation(target, least_deviation)).mean()


def mean_loss(prediction: Tensor, target: Tensor) -> Tensor:
    """|E y - E y_g|, the error of the mean intensity of each image and channel (r_em Eq. 10)."""
    prediction, target = full_precision(prediction, target)
    return (prediction - target).mean(dim=IMAGE).abs().mean()


def deviation_loss(prediction: Tensor, target: Tensor) -> Tensor:
    """|Std y - Std y_g|, the error of each image's and channel's deviation (r_em Eq. 11)."""
    prediction, target = full_precision(prediction, target)
    return (deviation(prediction) - deviation(target)).abs().mean()


def cross_entropy(logits: Tensor, target: Tensor, emphasis: float = 0.0) -> Tensor:
    """Binary cross-entropy of logits with a target in 0..1, not necessarily 0 or 1.

    Mean of -(1 + e T) [T log p + (1 - T) log(1 - p)], p the logistic function of the logits: an
    `emphasis` e weighs columns against the larger background. With a soft target the minimum is
    the target's own entropy.
    """
    logits, target = full_precision(logits, target)
    weight = 1.0 + emphasis * target
    return functional.binary_cross_entropy_with_logits(logits, target, weight=weight)
