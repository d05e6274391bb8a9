"""A U-Net of NAFNet's blocks: gates in place of activations, normalised by pixel."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from napari_atomseg.networks.exporting import cropped
from napari_atomseg.networks.layers import (
    finish,
    make_activation,
    pad_to_multiple,
    require_counts,
)
from napari_atomseg.networks.register import network


class PixelNorm(nn.LayerNorm):
    """Zero mean and unit deviation over the channels of each pixel, then a scale and an offset."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → (B, C, H, W)."""
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Gate(nn.Module):
    """The product of the first and the second half of the channels."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, 2C, H, W) → (B, C, H, W)."""
        first, second = x.chunk(2, dim=1)
        return first * second


class GatedBlock(nn.Module):
    """A spatial and a pointwise part, each normalised, gated, scaled and added."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.spatial = nn.Sequential(
            PixelNorm(width),
            nn.Conv2d(width, 2 * width, 1),
            nn.Conv2d(2 * width, 2 * width, 3, padding=1, groups=2 * width),
            Gate(),
            nn.Conv2d(width, width, 1),
        )
        self.pointwise = nn.Sequential(
            PixelNorm(width),
            nn.Conv2d(width, 2 * width, 1),
            Gate(),
            nn.Conv2d(width, width, 1),
        )
        # Each block starts as the identity.
        self.spatial_scale = nn.Parameter(torch.zeros(width, 1, 1))
        self.pointwise_scale = nn.Parameter(torch.zeros(width, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(B, width, H, W) → (B, width, H, W)."""
        between: Tensor = x + self.spatial(x) * self.spatial_scale
        after: Tensor = between + self.pointwise(between) * self.pointwise_scale
        return after


@network("nafnet")
class NAFNet(nn.Module):
    """(B, channels_in, H, W) → (B, channels_out, H, W) for any H and W; 1,524,452 parameters.

    Chen et al., "Simple baselines for image restoration" (ECCV 2022), without the channel
    attention: its mean over the whole image would make an answer depend on the tile it is computed
    in.
    Levels are joined by addition; 2×2 convolutions of stride 2 lead down, 1×1 convolutions and
    depth-to-space up. The image is folded `stem`×`stem` into channels first, as in `unet`.

    Parameters
    ----------
    channels_in, channels_out : image channels in, maps out.
    width : channels of the first level; each level has twice as many at half the resolution.
    encoder, decoder : blocks of each level, from the first.
    middle : blocks of the deepest level.
    stem : side of the space-to-depth fold.
    activation : what follows the last layer, one of `layers.ACTIVATIONS`.

    Raises
    ------
    ValueError
        A number of blocks is out of range, or encoder and decoder differ in length.
    """

    def __init__(
        self,
        channels_in: int = 1,
        channels_out: int = 1,
        width: int = 32,
        encoder: Sequence[int] = (1, 1, 2),
        middle: int = 2,
        decoder: Sequence[int] = (1, 1, 1),
        stem: int = 2,
        activation: str = "none",
    ) -> None:
        super().__init__()
        if len(encoder) != len(decoder):
            raise ValueError(f"decoder={decoder!r} must have as many levels as encoder={encoder!r}")
        counts = {f"encoder[{i}]": count for i, count in enumerate(encoder)}
        counts |= {f"decoder[{i}]": count for i, count in enumerate(decoder)}
        require_counts(levels=len(encoder), middle=middle, **counts)
        self.stem = stem
        self.stride = stem * 2 ** len(encoder)
        fold = stem * stem
        widths = [width * 2**level for level in range(len(encoder))]
        self.entry = nn.Conv2d(channels_in * fold, width, 3, padding=1)
        self.encoder = nn.ModuleList(map(_blocks, widths, encoder))
        self.down = nn.ModuleList(nn.Conv2d(w, 2 * w, 2, stride=2) for w in widths)
        self.middle = _blocks(2 * widths[-1], middle)
        self.up = nn.ModuleList(nn.Conv2d(2 * w, 4 * w, 1, bias=False) for w in widths)
        self.decoder = nn.ModuleList(map(_blocks, widths, decoder))
        self.exit = nn.Conv2d(width, channels_out * fold, 3, padding=1)
        self.activation = make_activation(activation)

    def forward(self, x: Tensor) -> Tensor:
        """Maps of a batch of images, see the class."""
        height, width = x.shape[-2:]
        x = self.entry(functional.pixel_unshuffle(pad_to_multiple(x, self.stride), self.stem))
        levels: list[Tensor] = []
        for block, down in zip(self.encoder, self.down, strict=True):
            x = block(x)
            levels.append(x)
            x = down(x)
        x = self.middle(x)
        for level in reversed(range(len(self.decoder))):
            x = functional.pixel_shuffle(self.up[level](x), 2)
            x = self.decoder[level](x + levels[level])
        x = functional.pixel_shuffle(finish(self.exit, x), self.stem)
        maps: Tensor = self.activation(cropped(x, height, width))
        return maps


def _blocks(width: int, count: int) -> nn.Sequential:
    return nn.Sequential(*(GatedBlock(width) for _ in range(count)))
