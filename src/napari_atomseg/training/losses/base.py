"""What the losses share: full precision, and means over images and over windows."""

from __future__ import annotations

import torch
from torch import Tensor

IMAGE = (-2, -1)
"""Rows and columns: the dimensions of one image of one channel."""


def full_precision(prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Prediction and target in float32, whatever the network computes in.

    Sums of many small numbers, variances and powers are lost in half precision. Double
    precision stays double.

    Raises
    ------
    ValueError
        The two differ in shape, or are no images.
    """
    if prediction.shape != target.shape or prediction.ndim < 3 or not prediction.numel():
        raise ValueError(
            f"prediction {tuple(prediction.shape)} and target {tuple(target.shape)} must be "
            "images of one shape (B, C, H, W)"
        )
    dtype = torch.promote_types(prediction.dtype, torch.float32)
    return prediction.to(dtype), target.to(dtype)


def deviation(image: Tensor, least: float = 1e-6) -> Tensor:
    """Standard deviation of each image and channel, (..., 1, 1), or `least` where it is smaller.

    Being clamped as a variance, its gradient is finite for constant images, too.
    """
    variance = image.var(dim=IMAGE, correction=0, keepdim=True)
    return variance.clamp_min(least**2).sqrt()


def _band(length: int, kernel: Tensor) -> Tensor:
    """(length, length) matrix whose rows average over a window, cropped where the image ends."""
    at = torch.arange(length, device=kernel.device)
    offset = at[None, :] - at[:, None] + len(kernel) // 2
    inside = (offset >= 0) & (offset < len(kernel))
    band = torch.where(inside, kernel[offset.clamp(0, len(kernel) - 1)], 0.0)
    return band / band.sum(dim=1, keepdim=True)


def local_mean(image: Tensor, kernel: Tensor) -> Tensor:
    """Weighted mean over the window around each pixel, of the part of it within the image.

    Two products with a matrix are faster than convolution or pooling on processors, for any
    window, and are exact on accelerators that would convolve in less than float32.

    Parameters
    ----------
    image : (..., H, W) of any size.
    kernel : (S,) weights along rows and along columns. An even window reaches S/2 pixels back
        and S/2 - 1 pixels forward.

    Returns
    -------
    (..., H, W).
    """
    kernel = kernel.to(image)
    rows, columns = _band(image.shape[-2], kernel), _band(image.shape[-1], kernel)
    with torch.autocast(image.device.type, enabled=False):
        return rows @ image @ columns.T
