"""Sums of plane waves, such as slow backgrounds are made of."""

from __future__ import annotations

import math

import torch
from torch import Tensor


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
