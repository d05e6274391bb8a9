"""A compact U-Net: residual blocks, a space-to-depth stem, one output channel for each task."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import ClassVar

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from napari_atomseg.networks.exporting import cropped
from napari_atomseg.networks.layers import (
    finish,
    make_activation,
    make_gates,
    pad_to_multiple,
)
from napari_atomseg.networks.pieces import InPieces, in_pieces
from napari_atomseg.networks.register import network


class Block(nn.Module):
    """Two 3×3 convolutions with a residual connection."""

    REACH: ClassVar[int] = 2
    """Features around each that it sees."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels_in, channels_out, 3, padding=1)
        self.second = nn.Conv2d(channels_out, channels_out, 3, padding=1)
        same = channels_in == channels_out
        self.shortcut = nn.Identity() if same else nn.Conv2d(channels_in, channels_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C_in, H, W) → (B, C_out, H, W)."""
        # In place: gradients need none of what is overwritten, and images may be large.
        inner = functional.relu(self.first(x), inplace=True)
        return functional.relu(self.second(inner).add_(self.shortcut(x)), inplace=True)


@network("unet")
class UNet(InPieces):
    """(B, channels_in, H, W) → (B, channels_out, H, W) for any H and W.

    The image is folded `stem`×`stem` into channels before the first convolution and unfolded after
    the last, which quarters the cost at no loss of detail. The last `channels_out` maps come from
    a linear layer in full precision; the caller gives them their meaning.

    Parameters
    ----------
    channels_in, channels_out : image channels in, maps out.
    widths : channels of each level; each level halves the resolution.
    stem : side of the space-to-depth fold.
    spectral : channels of a `SpectralGate` after the first layer and after each level on the way
        down, which see the whole image at once; 0 for none.
    margin : zeros around the features that these gates transform, see there.
    activation : what follows the last layer, one of `layers.ACTIVATIONS`.
    """

    def __init__(
        self,
        channels_in: int = 1,
        channels_out: int = 1,
        widths: Sequence[int] = (32, 64, 128, 192),
        stem: int = 2,
        spectral: int = 0,
        margin: int = 0,
        activation: str = "none",
    ) -> None:
        super().__init__()
        self.stem = stem
        self.stride = stem * 2 ** (len(widths) - 1)
        fold = stem * stem
        self.entry = nn.Conv2d(channels_in * fold, widths[0], 3, padding=1)
        self.encoder = nn.ModuleList(Block(a, b) for a, b in pairwise([widths[0], *widths]))
        self.gates = make_gates([widths[0], *widths], spectral, margin)
        self.decoder = nn.ModuleList(
            Block(shallow + deep, shallow) for shallow, deep in pairwise(widths)
        )
        self.exit = nn.Conv2d(widths[0], channels_out * fold, 3, padding=1)
        self.activation = make_activation(activation)
        nn.init.zeros_(self.exit.weight)
        nn.init.zeros_(self.exit.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """Maps of a batch of images, see the class."""
        height, width = x.shape[-2:]
        x = pad_to_multiple(x, self.stride)
        first, *gates = self.gates
        x = functional.pixel_unshuffle(x, self.stem)
        x = first(in_pieces(self.entry, x, stride=self.stem, halo=1))
        levels: list[Tensor] = []
        for level, (block, gate) in enumerate(zip(self.encoder, gates, strict=True)):
            x = functional.avg_pool2d(x, 2) if level else x
            x = gate(in_pieces(block, x, stride=self.stem * 2**level, halo=Block.REACH))
            levels.append(x)
        for level in reversed(range(len(self.decoder))):
            x = functional.interpolate(x, scale_factor=2.0, mode="nearest")
            x = in_pieces(
                partial(_joined, self.decoder[level]),
                *(x, levels[level]),
                stride=self.stem * 2**level,
                halo=Block.REACH,
            )
        x = in_pieces(partial(finish, self.exit), x, stride=self.stem, halo=1)
        x = functional.pixel_shuffle(x, self.stem)
        maps: Tensor = self.activation(cropped(x, height, width))
        return maps


def _joined(block: nn.Module, deep: Tensor, shallow: Tensor) -> Tensor:
    """A block of the decoder, applied to both of its inputs side by side."""
    joined: Tensor = block(torch.cat([deep, shallow], dim=1))
    return joined
