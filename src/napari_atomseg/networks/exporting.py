"""What networks compute by other means while they are exported, with sizes left open.

A graph for other programs (`torch.onnx`) holds for images of any size: sizes in it are symbols, of
which nothing may be asked, and it has no complex numbers. So within `for_export`, images are padded
and cut by gathering rows and columns, and Fourier transforms are products with matrices of cosines
and sines, which cost N³ in place of N² log N and are the same but for rounding.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor

_EXPORTING: ContextVar[bool] = ContextVar("exporting", default=False)


@contextmanager
def for_export() -> Iterator[None]:
    """Within, networks compute what can be exported."""
    token = _EXPORTING.set(True)
    try:
        yield
    finally:
        _EXPORTING.reset(token)


def exporting() -> bool:
    """Whether networks are to compute what can be exported."""
    return _EXPORTING.get()


def mirrored(x: Tensor, stride: int) -> Tensor:
    """(B, C, H, W) padded by reflection at the bottom and right to multiples of `stride`.

    Where more would be mirrored than there is, the first row or column is repeated.
    """
    for axis in (-2, -1):
        side = x.shape[axis]
        place = torch.arange(stride * ((side + stride - 1) // stride), device=x.device)
        last = torch.arange(side, device=x.device).max()
        x = x.index_select(axis, (last - (last - place).abs()).clamp_min(0))
    return x


def cropped(x: Tensor, height: int, width: int) -> Tensor:
    """(B, C, height, width), the first rows and columns."""
    if not exporting():
        return x[..., :height, :width]
    rows, cols = (torch.arange(side, device=x.device) for side in (height, width))
    return x.index_select(-2, rows).index_select(-1, cols)


def frequencies(side: int, device: torch.device) -> Tensor:
    """(side,) those of `torch.fft.fftfreq`."""
    if not exporting():
        known: Tensor = torch.fft.fftfreq(side, device=device)
        return known
    place = torch.arange(side, device=device)
    count = place.max() + 1
    return torch.where(2 * place < count, place, place - count) / count


def half_frequencies(side: int, device: torch.device) -> Tensor:
    """(side // 2 + 1,) those of `torch.fft.rfftfreq`."""
    if not exporting():
        known: Tensor = torch.fft.rfftfreq(side, device=device)
        return known
    return torch.arange(side // 2 + 1, device=device) / _count(side, device)


def evenly(count: int, device: torch.device) -> Tensor:
    """(count,) numbers from 0 to 0.5."""
    if not exporting():
        return torch.linspace(0.0, 0.5, count, device=device)
    place = torch.arange(count, device=device)
    return 0.5 * place / place.max().clamp_min(1)


def rows_centred(x: Tensor, *, back: bool = False) -> Tensor:
    """(…, H, W) with the rows of `fftshift`, or of `ifftshift`."""
    if not exporting():
        shift = torch.fft.ifftshift if back else torch.fft.fftshift
        shifted: Tensor = shift(x, dim=-2)
        return shifted
    side = x.shape[-2]
    first = torch.div(_count(side, x.device) + (0 if back else 1), 2, rounding_mode="floor")
    place = torch.arange(side, device=x.device) + first
    return x.index_select(-2, torch.remainder(place, _count(side, x.device)))


def median_of_rows(x: Tensor) -> Tensor:
    """(…, 1, W) the lower median over the rows."""
    if not exporting():
        return x.median(dim=-2, keepdim=True).values
    middle = torch.div(_count(x.shape[-2], x.device) - 1, 2, rounding_mode="floor")
    return torch.sort(x, dim=-2).values.index_select(-2, middle.reshape(1))


def transformed(x: Tensor) -> tuple[Tensor, Tensor]:
    """Real and imaginary part (…, H, W // 2 + 1) of `torch.fft.rfft2`, for export."""
    cos, sin = _waves(x.shape[-1], x.shape[-1] // 2 + 1, x.device)
    real, imaginary = x @ cos.mT, -(x @ sin.mT)
    cos, sin = _waves(x.shape[-2], x.shape[-2], x.device)
    return cos @ real + sin @ imaginary, cos @ imaginary - sin @ real


def transformed_back(real: Tensor, imaginary: Tensor, width: int) -> Tensor:
    """(…, H, width) of `torch.fft.irfft2`, for export."""
    side = real.shape[-2]
    cos, sin = _waves(side, side, real.device)
    along, across = cos @ real - sin @ imaginary, cos @ imaginary + sin @ real
    cos, sin = _waves(width, width // 2 + 1, real.device)
    place = torch.arange(width // 2 + 1, device=real.device)
    count = _count(width, real.device)
    # All others stand for a frequency and its negative.
    alone = (place == 0) | (2 * place == count)
    weight = torch.where(alone, 1.0, 2.0) / (count * _count(side, real.device))
    return (along * weight) @ cos - (across * weight) @ sin


def _count(side: int, device: torch.device) -> Tensor:
    """A side as a number of the graph: a symbol of it cannot be divided by."""
    return torch.arange(side, device=device).max() + 1


def _waves(side: int, count: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Cosines and sines (count, side) of the first frequencies of a side."""
    place, order = torch.arange(side, device=device), torch.arange(count, device=device)
    whole = _count(side, device)
    # Whole turns are left out as whole numbers, so that angles are exact.
    turns = torch.remainder(order[:, None] * place, whole) / whole
    return torch.cos(2.0 * math.pi * turns), torch.sin(2.0 * math.pi * turns)
