"""Losses of single pixels, and of the mean and the deviation of an image.

Predictions and targets are (B, C, H, W) in any floating type; every loss is a scalar in float32.

Default weights: 10 for `l1` and 5e-4 for `relativistic` are those of r_em's published training
code, which leaves its other terms at 0; the paper found weights by a grid search and prints none.
AP-GAN's are in a supplement of its paper. All others are chosen here by the gradients: those of
r_em's other terms are about a tenth of that of `l1`, for images of unit deviation, and those of
`ssim` and `psnr` are equal for noisy probability maps.
"""

from __future__ import annotations

from typing import Annotated

import torch.nn.functional as functional
from pydantic import Field
from torch import Tensor

from napari_atomseg.training.losses.base import IMAGE, Positive, deviation, full_precision, loss

LEAST_DEVIATION = 0.1
"""Sigma_min of r_em, for images of unit deviation, as in the authors' published training code."""
Emphasis = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
"""How much more than the background the columns of a map count."""


@loss("restoration", "smooth L1 (usual)", takes="noise")
def restoration_loss(prediction: Tensor, target: Tensor, noise: Tensor | None) -> Tensor:
    """Smooth L1, weighted so that clean images count as much as noisy ones; the usual one.

    The weight is the inverse root of the image's own noise: without it a batch is ruled by its
    noisiest sample, and nearly noise-free images are never restored to their full precision.

    Parameters
    ----------
    prediction, target : (..., H, W) in units of the image's deviation.
    noise : (..., H, W), the image minus the noise-free truth; None where there is no such truth,
        and all images count the same.

    Returns
    -------
    Scalar.
    """
    error = functional.smooth_l1_loss(prediction, target, beta=0.05, reduction="none")
    if noise is None:
        return error.mean()
    strength = noise.std(dim=IMAGE, keepdim=True).clamp(0.02, 1.0)
    return (error / strength.sqrt()).mean()


@loss("cross_entropy", "cross-entropy (usual)", takes="logits")
def cross_entropy(logits: Tensor, target: Tensor, emphasis: Emphasis = 0.0) -> Tensor:
    """Binary cross-entropy, which `emphasis` weighs towards the columns; the usual one.

    Mean of -(1 + e T) [T log p + (1 - T) log(1 - p)], p the logistic function of the logits, e the
    `emphasis`. The target lies in 0..1; with one that is neither 0 nor 1, the minimum is its own
    entropy.
    """
    logits, target = full_precision(logits, target)
    weight = 1.0 + emphasis * target
    return functional.binary_cross_entropy_with_logits(logits, target, weight=weight)


@loss("mse", "MSE")
def mean_squared_error(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean squared error, (I - T)² over all pixels."""
    prediction, target = full_precision(prediction, target)
    return functional.mse_loss(prediction, target)


@loss("chi_square", "modified χ² (AtomSegNet)")
def chi_square(prediction: Tensor, target: Tensor, least_peak: Positive = 0.1) -> Tensor:
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


@loss("l1", "weighted L1 (r_em)", weight=10.0)
def weighted_l1(
    prediction: Tensor, target: Tensor, least_deviation: Positive = LEAST_DEVIATION
) -> Tensor:
    """Absolute error over the target's deviation, so that contrast does not matter.

    E{w |y - y_g|} with w = 1 / max(sigma_min, Std y) of each image and channel (r_em Eq. 4, 5).
    """
    prediction, target = full_precision(prediction, target)
    return ((prediction - target).abs() / deviation(target, least_deviation)).mean()


@loss("l2", "weighted L2 (r_em)")
def weighted_l2(
    prediction: Tensor, target: Tensor, least_deviation: Positive = LEAST_DEVIATION
) -> Tensor:
    """Squared error over the target's deviation, which punishes outliers more than `l1`.

    E{w |y - y_g|²} with the weight of `weighted_l1`, itself not squared (r_em Eq. 5, 6).
    """
    prediction, target = full_precision(prediction, target)
    return ((prediction - target).square() / deviation(target, least_deviation)).mean()


@loss("mean", "mean (r_em)")
def mean_loss(prediction: Tensor, target: Tensor) -> Tensor:
    """Error of the mean intensity of each image and channel, E y - E y_g (r_em Eq. 10)."""
    prediction, target = full_precision(prediction, target)
    return (prediction - target).mean(dim=IMAGE).abs().mean()


@loss("std", "deviation (r_em)")
def deviation_loss(prediction: Tensor, target: Tensor) -> Tensor:
    """Error of the deviation of each image and channel, Std y - Std y_g (r_em Eq. 11)."""
    prediction, target = full_precision(prediction, target)
    return (deviation(prediction) - deviation(target)).abs().mean()
