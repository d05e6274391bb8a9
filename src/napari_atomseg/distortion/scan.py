"""Distortions of the scan."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Generator, Tensor

from napari_atomseg.distortion.detector import normal


def line_shifts(
    rows: int,
    sigma: Tensor,
    correlation: Tensor,
    hum: Tensor,
    generators: Sequence[Generator],
) -> Tensor:
    """(B, rows, 2) displacement (y, x) of each scan line, in pixels.

    A first-order autoregressive series of deviation `sigma` and correlation `correlation` between
    neighbouring lines (r_em Eq. 41-43), plus the normal numbers modulated by the mains frequency
    of Lin et al. 2021: `hum` is (B, 2), amplitude in pixels and cycles a line.
    """
    noise = normal((rows, 4), generators, sigma)
    phi = correlation[:, None]
    series = [noise[:, 0, :2]]
    for row in range(1, rows):
        series.append(phi * series[-1] + torch.sqrt(1.0 - phi**2) * noise[:, row, :2])
    walk = sigma[:, None, None] * torch.stack(series, dim=1)
    line = torch.arange(rows, device=sigma.device)
    phase = 2 * math.pi * hum[:, 1:] * line
    modulation = torch.stack([torch.sin(phase), torch.sin(phase + 1.0)], dim=-1)
    return walk + hum[:, :1, None] * modulation * noise[..., 2:]


def shift_lines(image: Tensor, shifts: Tensor) -> Tensor:
    """I(i, j) = I0(i - δy_i, j - δx_i) (Lin et al. 2021).

    Along a line the shift is exact, a phase ramp in its Fourier transform; between lines the
    cubic of Keys (1981, a = -1/2) is taken, which keeps straight slopes straight.

    Parameters
    ----------
    image : (B, H, W), periodic along the lines.
    shifts : (B, H, 2) displacement (y, x) of each line in pixels.
    """
    height, width = image.shape[1:]
    row = torch.arange(height, device=image.device) - shifts[..., 0]
    base = row.floor()
    moved = torch.zeros_like(image)
    for offset, weight in zip((-1, 0, 1, 2), _keys(row - base), strict=True):
        index = (base.long() + offset).clamp(0, height - 1)
        lines = torch.gather(image, 1, index[..., None].expand_as(image))
        moved += weight[..., None] * lines
    k = torch.fft.rfftfreq(width, device=image.device)
    ramp = torch.exp(-2j * math.pi * k * shifts[..., 1:])
    result: Tensor = torch.fft.irfft(torch.fft.rfft(moved) * ramp, n=width)
    return result


def _keys(t: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Weights of the four neighbours of a point at fraction t between the middle two."""
    return (
        0.5 * (-t + 2 * t**2 - t**3),
        0.5 * (2 - 5 * t**2 + 3 * t**3),
        0.5 * (t + 4 * t**2 - 3 * t**3),
        0.5 * (-(t**2) + t**3),
    )


def scan_blur(image: Tensor, decay: Tensor) -> Tensor:
    """Slow detector of a fast scan: each pixel bleeds into the next with ratio `decay` (B,) < 1.

    The causal exponential response of scintillator and amplifier (r_em Eq. 48-50), exact along
    the line but for the wrap at its ends.
    """
    k = torch.fft.rfftfreq(image.shape[-1], device=image.device)
    response = (1 - decay[:, None]) / (1 - decay[:, None] * torch.exp(-2j * math.pi * k))
    spectrum = torch.fft.rfft(image) * response[:, None]
    blurred: Tensor = torch.fft.irfft(spectrum, n=image.shape[-1])
    return blurred


def line_noise(
    image: Tensor, offset: Tensor, gain: Tensor, generators: Sequence[Generator]
) -> Tensor:
    """Offset and gain of each line, of deviations `offset` and `gain` (B,) (r_em Eq. 51)."""
    noise = normal((image.shape[1], 2), generators, image)
    factor = 1.0 + gain[:, None, None] * noise[..., :1]
    return image * factor + offset[:, None, None] * noise[..., 1:]
