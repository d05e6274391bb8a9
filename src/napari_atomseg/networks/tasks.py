"""What the channels of a multi-task network mean, and the normalisation around it."""

from __future__ import annotations

import torch
from torch import Tensor

TASKS = ("denoise", "denoise_background", "superresolution", "column_map", "column_mask")
"""Tasks of the column networks, in the order of their channels."""

TARGETS = {
    "denoise": "no_noise",
    "denoise_background": "no_background_no_noise",
    "superresolution": "no_noise_no_background_superresolution",
    "column_map": "gaussian_mask",
    "column_mask": "circular_mask",
}
"""The simulator's target that each task is trained on."""

RESTORATION = ("denoise", "denoise_background", "superresolution")
"""Tasks whose output is an intensity, equivariant to scale and offset of the image."""

SUPERRESOLUTION_UNIT = 4.0
"""A super-resolved column is half as wide and so four times as high; the channel works at 1."""


def normalise(image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(B, 1, H, W) images with zero mean and unit deviation, and the mean and deviation taken."""
    mean = image.mean(dim=(1, 2, 3), keepdim=True)
    deviation = image.std(dim=(1, 2, 3), keepdim=True, correction=0).clamp_min(1e-12)
    return (image - mean) / deviation, mean, deviation


def compose(output: Tensor, image: Tensor) -> Tensor:
    """Raw channels (B, 5, H, W) to maps: denoising is a correction of the image, background
    removal one of the denoised image; the column channels stay logits.

    `image` is the normalised input (B, 1, H, W).
    """
    denoised = image + output[:, :1]
    flat = denoised + output[:, 1:2]
    return torch.cat([denoised, flat, output[:, 2:]], dim=1)


def denormalise(maps: Tensor, mean: Tensor, deviation: Tensor) -> Tensor:
    """Composed maps to the intensities of the image, and column logits to probabilities."""
    return torch.cat(
        [
            maps[:, :1] * deviation + mean,
            maps[:, 1:2] * deviation,
            maps[:, 2:3] * deviation * SUPERRESOLUTION_UNIT,
            torch.sigmoid(maps[:, 3:]),
        ],
        dim=1,
    )
