"""Layers of a network computed piece by piece, so that a large image needs little memory at once.

A network that is applied to tiles of an image gives each the statistics of that tile alone. Those
that see all of an image at once, by `SpectralGate`, would so give another result for tiles of
another size. Here the image stays whole: the layers between the gates, of which each pixel sees a
few around it, are computed in pieces with as many pixels around them, and the result is that of the
whole but for rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from napari_atomseg.progress import checkpoint

ALIGNED = 2
"""Pieces and what is around them start at multiples of this, as layers of stride 2 need."""


@dataclass(frozen=True)
class _Limit:
    side: int
    check: Callable[[], None] | None


_LIMIT: ContextVar[_Limit | None] = ContextVar("limit", default=None)


@contextmanager
def pieces_of(side: int, check: Callable[[], None] | None = None) -> Iterator[None]:
    """Within, `in_pieces` computes at most `side` pixels of the image along each axis at once.

    Parameters
    ----------
    check : called before each piece; it may raise to stop.
    """
    token = _LIMIT.set(_Limit(side, check))
    try:
        yield
    finally:
        _LIMIT.reset(token)


def interruptible(network: nn.Module) -> nn.Module:
    """The network, which stops before its next layer where the work around is cancelled.

    See `progress.checkpoint`. Layers of a network take up to some tenths of a second.
    """
    for module in network.modules():
        if next(module.children(), None) is None:
            module.register_forward_pre_hook(_check)
    return network


def _check(module: nn.Module, inputs: object) -> None:
    checkpoint()


class InPieces(nn.Module):
    """A network whose layers are computed by `in_pieces`, in windows of any size."""


def in_pieces(
    layer: Callable[..., Tensor], *inputs: Tensor, stride: int, halo: int, scale: float = 1.0
) -> Tensor:
    """Apply layers to features, in pieces where `pieces_of` asks for them.

    Parameters
    ----------
    layer : maps features (B, C, h, w), one or more of the same size, to (B, C', scale h, scale w),
        each of which sees no more than `halo` features around it.
    inputs : the features.
    stride : pixels of the image in one feature along each axis.
    halo : features around a piece that are computed with it.
    scale : 1, 0.5 or 2.
    """
    limit = _LIMIT.get()
    height, width = inputs[0].shape[-2:]
    side = 0 if limit is None else max(ALIGNED, limit.side // stride // ALIGNED * ALIGNED)
    if limit is None or max(height, width) <= side:
        return layer(*inputs)
    halo = -(-halo // ALIGNED) * ALIGNED
    whole: Tensor | None = None
    for top in range(0, height, side):
        for left in range(0, width, side):
            if limit.check is not None:
                limit.check()
            bottom, right = min(top + side, height), min(left + side, width)
            first, start = max(top - halo, 0), max(left - halo, 0)
            last, end = min(bottom + halo, height), min(right + halo, width)
            part = layer(*(each[..., first:last, start:end] for each in inputs))
            if whole is None:
                size = (*part.shape[:2], round(scale * height), round(scale * width))
                whole = torch.empty(size, dtype=part.dtype, device=part.device)
            rows = slice(round(scale * top), round(scale * bottom))
            cols = slice(round(scale * left), round(scale * right))
            whole[..., rows, cols] = part[
                ...,
                rows.start - round(scale * first) : rows.stop - round(scale * first),
                cols.start - round(scale * start) : cols.stop - round(scale * start),
            ]
    if whole is None:
        raise ValueError(f"features of shape {tuple(inputs[0].shape)} are empty")
    return whole
