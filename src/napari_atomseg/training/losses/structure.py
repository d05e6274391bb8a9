"""Losses of structure: local contrast, spatial frequencies, and measures of image quality.

Predictions and targets are (B, C, H, W) in any floating type; every loss is a scalar in float32.
"""

from __future__ import annotations

import math
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from napari_atomseg.training.losses.base import IMAGE, Positive, full_precision, local_mean, loss
from napari_atomseg.training.losses.pixelwise import LEAST_DEVIATION

WINDOWS = (2, 4, 8, 16)
"""Window sizes of the whitening transform in pixels (r_em, Methods)."""
GAMMA = 0.125
"""Exponent of the power of spatial frequencies (r_em, below Eq. 9)."""
LEAST_AMPLITUDE = 1e-3
"""Below it the power of a spatial frequency, whose slope is infinite at 0, goes on as a parabola to
0, so that a perfect prediction costs nothing and every gradient is finite."""
Sizes = Annotated[tuple[Annotated[int, Field(ge=2)], ...], Field(min_length=1)]
Exponent = Annotated[float, Field(gt=0.0, le=1.0)]


def whiten(image: Tensor, size: int, least_deviation: float = LEAST_DEVIATION) -> Tensor:
    """Images without the mean and the deviation of each pixel's neighbourhood (r_em Eq. 7).

    Parameters
    ----------
    image : (..., H, W) of any size.
    size : side S of the neighbourhood in pixels, cropped where the image ends.
    least_deviation : deviation that is divided by at least.

    Returns
    -------
    (..., H, W) of (y - E y) / max(sigma_min, Std y), mean and deviation of the neighbourhood.
    """
    centred = image - image.mean(dim=IMAGE, keepdim=True)
    box = centred.new_ones(size)
    mean, power = local_mean(torch.stack([centred, centred.square()]), box).unbind()
    variance = power - mean.square()
    return (centred - mean) / variance.clamp_min(least_deviation**2).sqrt()


@loss("whitening", "whitening (r_em)")
def whitening_loss(
    prediction: Tensor,
    target: Tensor,
    sizes: Sizes = WINDOWS,
    least_deviation: Positive = LEAST_DEVIATION,
) -> Tensor:
    """Absolute error of locally whitened images, which sees detail at any contrast (r_em Eq. 8).

    Mean over window sizes of E |y^S - y_g^S|, each image whitened by its own neighbourhoods.
    """
    prediction, target = full_precision(prediction, target)
    both = torch.stack([prediction, target])
    terms = []
    for size in sizes:
        restored, true = whiten(both, size, least_deviation)
        terms.append((restored - true).abs().mean())
    return torch.stack(terms).mean()


@loss("fourier", "Fourier (r_em)")
def fourier_loss(prediction: Tensor, target: Tensor, gamma: Exponent = GAMMA) -> Tensor:
    """Error of spatial frequencies to the power 0.125, which raises the weak ones (r_em Eq. 9).

    E |F(y - y_g)|^gamma with the orthonormal Fourier transform of each image and channel, so that
    white noise counts the same in images of any size.

    Parameters
    ----------
    prediction, target : (B, C, H, W).
    gamma : exponent in 0..1, 0 excluded; below `LEAST_AMPLITUDE` a parabola.
    """
    prediction, target = full_precision(prediction, target)
    spectrum = torch.fft.fft2(prediction - target, norm="ortho")
    power = (spectrum.real.square() + spectrum.imag.square()) / LEAST_AMPLITUDE**2
    raised = torch.where(power > 1.0, power.clamp_min(1.0) ** (gamma / 2), power)
    return math.pow(LEAST_AMPLITUDE, gamma) * raised.mean()


def _gaussian(sigma: float, radius: int) -> Tensor:
    at = torch.arange(-radius, radius + 1)
    weights = torch.exp(-0.5 * (at / sigma) ** 2)
    return weights / weights.sum()


@loss("ssim", "SSIM (AP-GAN)")
def ssim_loss(prediction: Tensor, target: Tensor, data_range: Positive = 1.0) -> Tensor:
    """One minus the mean structural similarity (Wang et al. 2004; part of AP-GAN's loss).

    Similarity of means, deviations and correlation in a Gaussian window of 11 pixels and
    sigma 1.5, with K1 = 0.01 and K2 = 0.03. The window is cropped where the image ends, so that
    columns at the border count as all others.

    Parameters
    ----------
    prediction, target : (B, C, H, W).
    data_range : difference of the highest and the lowest intensity that is possible.
    """
    prediction, target = full_precision(prediction, target)
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    # Variances are small differences of large squares unless the images are centred.
    shift_x = prediction.mean(dim=IMAGE, keepdim=True)
    shift_y = target.mean(dim=IMAGE, keepdim=True)
    x, y = prediction - shift_x, target - shift_y
    maps = local_mean(torch.stack([x, y, x * x, y * y, x * y]), _gaussian(1.5, 5))
    mean_x, mean_y, power_x, power_y, product = maps.unbind()
    variance = (power_x - mean_x**2 + power_y - mean_y**2).clamp_min(0.0)
    covariance = product - mean_x * mean_y
    mean_x, mean_y = mean_x + shift_x, mean_y + shift_y
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    return 1.0 - (luminance * (2 * covariance + c2) / (variance + c2)).mean()


@loss("psnr", "PSNR (AP-GAN)", weight=0.05)
def psnr_loss(
    prediction: Tensor, target: Tensor, data_range: Positive = 1.0, ceiling: Positive = 60.0
) -> Tensor:
    """Negative peak signal-to-noise ratio in dB, the mean over images (r_em Eq. 1; AP-GAN's loss).

    -10 log10(MAX² / MSE) of each image, over its channels and pixels together: a channel without
    any atom, whose error may be next to nothing, does not rule the image.

    Parameters
    ----------
    prediction, target : (B, C, H, W).
    data_range : MAX, the highest possible intensity above the lowest.
    ceiling : ratio in dB of a perfect prediction, which keeps the logarithm and its slope finite.
    """
    prediction, target = full_precision(prediction, target)
    error = (prediction - target).square().flatten(start_dim=1).mean(dim=1) / data_range**2
    return 10 * (error + math.pow(10, -ceiling / 10)).log10().mean()
