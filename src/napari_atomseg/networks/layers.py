"""What the architectures share: padding to a whole number of strides, blocks, the last layer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

ACTIVATIONS = ("none", "sigmoid", "tanh", "softmax")
"""What may follow the last layer; softmax is over the channels."""

LARGEST_COUNT = 64
"""Most blocks of one kind: a card that asks for more is damaged, and building them would hang."""


def pad_to_multiple(x: Tensor, stride: int, least: int = 1) -> Tensor:
    """(B, C, H, W) padded at the bottom and right to multiples of `stride`, not below `least`.

    It is padded by reflection where that fits, else by repeating the edge.
    """
    height, width = x.shape[-2:]
    bottom = max(height + -height % stride, least) - height
    right = max(width + -width % stride, least) - width
    mode = "reflect" if bottom < height and right < width else "replicate"
    return functional.pad(x, (0, right, 0, bottom), mode=mode)


def finish(layer: nn.Module, x: Tensor) -> Tensor:
    """The last layer in full precision, also where the network runs in half precision."""
    with torch.autocast(x.device.type, enabled=False):
        y: Tensor = layer(x.float())
    return y


def make_activation(name: str) -> nn.Module:
    """What follows the last layer.

    Raises
    ------
    ValueError
        The name is not in `ACTIVATIONS`.
    """
    if name not in ACTIVATIONS:
        raise ValueError(
            f"activation={name!r} is not known; choose one of {', '.join(ACTIVATIONS)}"
        )
    made = (nn.Identity(), nn.Sigmoid(), nn.Tanh(), nn.Softmax(dim=1))
    return made[ACTIVATIONS.index(name)]


def require_counts(**counts: int) -> None:
    """Refuse numbers of blocks that no network has.

    Raises
    ------
    ValueError
        One is below 1 or above `LARGEST_COUNT`.
    """
    for name, count in counts.items():
        if not 1 <= count <= LARGEST_COUNT:
            raise ValueError(f"{name}={count!r} must be between 1 and {LARGEST_COUNT}")


def convolutions(channels_in: int, channels_out: int, count: int = 2) -> nn.Sequential:
    """`count` times a 3×3 convolution, batch normalisation and ReLU."""
    layers: list[nn.Module] = []
    for i in range(count):
        layers += [
            nn.Conv2d(channels_out if i else channels_in, channels_out, 3, padding=1),
            nn.BatchNorm2d(channels_out),
            nn.ReLU(),
        ]
    return nn.Sequential(*layers)


def make_encoder(channels_in: int, widths: Sequence[int]) -> nn.ModuleList:
    """Two `convolutions` a level, for `descend`."""
    return nn.ModuleList(convolutions(a, b) for a, b in pairwise([channels_in, *widths]))


def descend(
    encoder: Iterable[nn.Module],
    x: Tensor,
    pool: Callable[[Tensor, int], Tensor] = functional.max_pool2d,
) -> list[Tensor]:
    """What each level of an encoder makes of the one above at half its resolution.

    (B, C, H, W) → (B, widths[i], H/2^i, W/2^i) for every level i.
    """
    levels: list[Tensor] = []
    for block in encoder:
        levels.append(block(pool(levels[-1], 2) if levels else x))
    return levels
