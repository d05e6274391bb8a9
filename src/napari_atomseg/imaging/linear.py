"""Linear incoherent imaging of columns, exact below the pixel, batched in torch.

Positions are in pixels here; padding columns carry zero weight.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def linear_image(
    y: Tensor, x: Tensor, weight: Tensor, transfer: Tensor, shape: tuple[int, int]
) -> Tensor:
    """Columns convolved with the probe (Lin et al. 2021, Eq. 1).

    The structure factor of N columns is a product of two thin complex matrices; one inverse FFT
    with the transfer function gives the image, periodic in `shape`.

    Parameters
    ----------
    y, x, weight : (B, N) positions in pixels and integrated intensities.
    transfer : (B, H, W // 2 + 1) optical transfer function.
    shape : (H, W).

    Returns
    -------
    (B, H, W) float32 intensity a pixel.
    """
    ky = torch.fft.fftfreq(shape[0], device=y.device)
    kx = torch.fft.rfftfreq(shape[1], device=y.device)
    rows = torch.exp(-2j * math.pi * ky[:, None] * y[:, None, :])
    cols = torch.exp(-2j * math.pi * x[:, :, None] * kx)
    image: Tensor = torch.fft.irfft2((rows * weight[:, None, :]) @ cols * transfer, s=shape)
    return image


def sum_of_waves(
    waves: Tensor, sampling: Tensor, shape: tuple[int, int], origin: float = 0.0
) -> Tensor:
    """Σ a cos(2π k·r + φ) for (B, K, 4) rows (ky, kx, phase, amplitude) in 1/Å and radians."""
    y = (torch.arange(shape[0], device=waves.device) + origin) * sampling[:, None]
    x = (torch.arange(shape[1], device=waves.device) + origin) * sampling[:, None]
    ky, kx, phase, amplitude = waves.unbind(-1)
    rows = torch.exp(1j * (2 * math.pi * y[:, :, None] * ky[:, None] + phase[:, None]))
    cols = torch.exp(2j * math.pi * kx[:, :, None] * x[:, None])
    return ((rows * amplitude[:, None]) @ cols).real
