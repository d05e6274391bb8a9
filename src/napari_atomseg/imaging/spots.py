"""Spots on columns, exact below the pixel: Gaussians and discs, the shapes of the ground truth."""

from __future__ import annotations

import math

import torch
from torch import Tensor

REACH = 5.0
"""Sigmas beyond which a Gaussian is left out: exp(-12.5) of its height is 4e-6."""


def gaussians(
    y: Tensor, x: Tensor, height: Tensor, sigma: Tensor, shape: tuple[int, int]
) -> Tensor:
    """Sum of isotropic Gaussians, (B, H, W).

    Samples are computed one by one on a CPU, each the faster way: as a product of two matrices of
    profiles, or by adding small windows about the spots.

    Parameters
    ----------
    y, x, height, sigma : (B, N) in pixels; spots of no height are left out.
    """
    if y.device.type != "cpu":
        return _product(y, x, height, sigma, shape)
    return torch.stack([_one(*spots, shape) for spots in zip(y, x, height, sigma, strict=True)])


def _one(y: Tensor, x: Tensor, height: Tensor, sigma: Tensor, shape: tuple[int, int]) -> Tensor:
    kept = height != 0
    y, x, height, sigma = y[kept], x[kept], height[kept], sigma[kept]
    if not len(y):
        return torch.zeros(shape)
    reach = math.ceil(REACH * float(sigma.max()))
    # Adding a value to its pixel costs some twenty multiplications of a matrix product.
    if 20 * (2 * reach + 1) ** 2 > shape[0] * shape[1]:
        return _product(y[None], x[None], height[None], sigma[None], shape)[0]
    rows, dy = _window(y, reach)
    cols, dx = _window(x, reach)
    fall = -0.5 / sigma[:, None] ** 2
    values = (
        torch.exp(fall * dy**2)[:, :, None] * (height[:, None] * torch.exp(fall * dx**2))[:, None]
    )
    # A frame as wide as a window takes what lies outside.
    wide = shape[1] + 2 * reach
    image = torch.zeros((shape[0] + 2 * reach) * wide)
    rows = (rows + reach).clamp(0, shape[0] + 2 * reach - 1)
    cols = (cols + reach).clamp(0, wide - 1)
    index = rows[:, :, None] * wide + cols[:, None, :]
    image.scatter_add_(0, index.flatten(), values.flatten())
    return image.view(-1, wide)[reach : reach + shape[0], reach : reach + shape[1]]


def _window(centre: Tensor, reach: int) -> tuple[Tensor, Tensor]:
    """(..., 2 `reach` + 1) pixels about each centre, and their distances from it."""
    pixel = centre.round()[..., None] + torch.arange(-reach, reach + 1, device=centre.device)
    return pixel.long(), pixel - centre[..., None]


def _product(y: Tensor, x: Tensor, height: Tensor, sigma: Tensor, shape: tuple[int, int]) -> Tensor:
    rows = _profile(torch.arange(shape[0], device=y.device), y, sigma)
    cols = _profile(torch.arange(shape[1], device=x.device), x, sigma)
    return (rows * height[:, None, :]) @ cols.transpose(1, 2)


def _profile(axis: Tensor, centre: Tensor, sigma: Tensor) -> Tensor:
    return torch.exp(-0.5 * ((axis[:, None] - centre[:, None]) / sigma[:, None]) ** 2)


def circular_masks(
    y: Tensor, x: Tensor, visible: Tensor, radius: Tensor, shape: tuple[int, int]
) -> Tensor:
    """(B, H, W) float32: 1 in the pixels whose centres lie within `radius` (B,) pixels of a visible
    column, 0 elsewhere.

    Parameters
    ----------
    y, x, visible : (B, N) positions in pixels, and whether there is a column (0 or 1).
    """
    if y.device.type != "cpu":
        return _discs(y, x, visible, radius, shape)
    samples = zip(y[:, None], x[:, None], visible[:, None], radius[:, None], strict=True)
    return torch.cat([_discs(*sample, shape) for sample in samples])


def _discs(y: Tensor, x: Tensor, visible: Tensor, radius: Tensor, shape: tuple[int, int]) -> Tensor:
    height, width = shape
    reach = math.ceil(float(radius.max()))
    rows, dy = _window(y, reach)
    cols, dx = _window(x, reach)
    inside = (dy**2)[..., :, None] + (dx**2)[..., None, :] <= (radius**2)[:, None, None, None]
    inside &= ((rows >= 0) & (rows < height) & (visible > 0)[..., None])[..., :, None]
    inside &= ((cols >= 0) & (cols < width))[..., None, :]
    index = rows[..., :, None] * width + cols[..., None, :]
    # What lies outside goes to one more pixel, which is cut off.
    index = torch.where(inside, index, height * width).flatten(1)
    masks = torch.zeros((len(y), height * width + 1), device=y.device)
    masks.scatter_(1, index, 1.0)
    return masks[:, :-1].view(-1, height, width)
