"""Detector noise. Fields of random numbers are drawn a sample at a time, each from its own
generator on the CPU, so that a sample is the same in whichever batch and on whichever device.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Generator, Tensor


def normal(shape: tuple[int, ...], generators: Sequence[Generator], like: Tensor) -> Tensor:
    """(B, *shape) standard normal numbers, one generator a sample."""
    return torch.stack([torch.randn(shape, generator=g) for g in generators]).to(like.device)


def uniform(shape: tuple[int, ...], generators: Sequence[Generator], like: Tensor) -> Tensor:
    """(B, *shape) numbers uniform in 0..1, one generator a sample."""
    return torch.stack([torch.rand(shape, generator=g) for g in generators]).to(like.device)


def shot_noise(image: Tensor, dose: Tensor, generators: Sequence[Generator]) -> Tensor:
    """Poisson counting statistics of a finite dose (r_em Eq. 30, 45).

    Parameters
    ----------
    image : (B, H, W) expected signal ≥ 0.
    dose : (B,) electrons a pixel where the signal is 1; infinite for none.

    Returns
    -------
    (B, H, W) counts divided by the dose, so that the mean stays `image`.
    """
    finite = torch.isfinite(dose)
    scale = torch.where(finite, dose, torch.ones_like(dose))[:, None, None]
    expected = (image.clamp_min(0.0) * scale).cpu()
    counts = torch.stack(
        [torch.poisson(e, generator=g) for e, g in zip(expected, generators, strict=True)]
    ).to(image.device)
    return torch.where(finite[:, None, None], counts / scale, image)


def readout_noise(image: Tensor, sigma: Tensor, generators: Sequence[Generator]) -> Tensor:
    """Thermal readout noise: a normal number a pixel of deviation `sigma` (B,) (r_em Eq. 34)."""
    noise = normal(tuple(image.shape[1:]), generators, image)
    return image + sigma[:, None, None] * noise


def hot_pixels(
    image: Tensor, fraction: Tensor, height: Tensor, generators: Sequence[Generator]
) -> Tensor:
    """Zingers: a `fraction` (B,) of pixels gains up to `height` (B,) (r_em Eq. 38, 53)."""
    draw = uniform((2, *image.shape[1:]), generators, image)
    struck = draw[:, 0] < fraction[:, None, None]
    return image + struck * draw[:, 1] * height[:, None, None]
