"""The U-Net of AtomSegNet: two poolings, 64, 128 and 256 channels."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from napari_atomseg.networks.exporting import cropped
from napari_atomseg.networks.layers import (
    convolutions,
    descend,
    finish,
    make_activation,
    make_encoder,
    pad_to_multiple,
)
from napari_atomseg.networks.register import network


class Rise(nn.Module):
    """Bilinear ×2, a 1×1 convolution to half the channels, joined with the level above."""

    def __init__(self, deep: int, shallow: int, corners: bool = False) -> None:
        super().__init__()
        self.corners = corners
        self.reduce = nn.Sequential(nn.Conv2d(deep, shallow, 1), nn.BatchNorm2d(shallow))
        self.norm = nn.BatchNorm2d(2 * shallow)
        self.merge = convolutions(2 * shallow, shallow)

    def forward(self, deep: Tensor, shallow: Tensor) -> Tensor:
        """(B, deep, H/2, W/2) and (B, shallow, H, W) → (B, shallow, H, W)."""
        risen = functional.interpolate(
            deep, scale_factor=2.0, mode="bilinear", align_corners=self.corners
        )
        both = torch.cat([shallow, self.reduce(risen)], dim=1)
        merged: Tensor = self.merge(self.norm(both))
        return merged


@network("atomsegnet_unet")
class AtomSegNetUNet(nn.Module):
    """(B, channels_in, H, W) → (B, channels_out, H, W) for any H and W; 1,742,529 parameters.

    Lin et al., Sci. Rep. 11, 5386 (2021), Fig. 4, with the batch normalisations of the published
    code: after each 3×3 convolution, each 1×1 convolution on the way up and each concatenation.
    Two things differ from that code: pixels are interpolated between their centres, so that a
    column keeps its place in an image of any size, and no ReLU and normalisation stand between
    the last layer and the sigmoid, where they would stop the gradient of every pixel below zero.
    Weights that were published with that code need both as there.

    Parameters
    ----------
    channels_in, channels_out : image channels in, maps out.
    widths : channels of each level; each level halves the resolution.
    activation : what follows the last layer, one of `layers.ACTIVATIONS`.
    published : whether it is as in the published code, for the weights of its authors.
    """

    def __init__(
        self,
        channels_in: int = 1,
        channels_out: int = 1,
        widths: Sequence[int] = (64, 128, 256),
        activation: str = "sigmoid",
        published: bool = False,
    ) -> None:
        super().__init__()
        self.stride = 2 ** (len(widths) - 1)
        self.encoder = make_encoder(channels_in, widths)
        self.decoder = nn.ModuleList(
            Rise(deep, shallow, published) for shallow, deep in pairwise(widths)
        )
        self.exit = nn.Conv2d(widths[0], channels_out, 1)
        self.last = nn.BatchNorm2d(channels_out) if published else None
        self.activation = make_activation(activation)

    def forward(self, x: Tensor) -> Tensor:
        """Maps of a batch of images, see the class."""
        height, width = x.shape[-2:]
        levels = descend(self.encoder, pad_to_multiple(x, self.stride, 2 * self.stride))
        x = levels[-1]
        for level in reversed(range(len(self.decoder))):
            x = self.decoder[level](x, levels[level])
        x = finish(self.exit, x)
        if self.last is not None:
            x = self.last(functional.relu(x))
        maps: Tensor = self.activation(cropped(x, height, width))
        return maps


@network("atomsegnet_nested")
class AtomSegNetNested(nn.Module):
    """(B, channels_in, H, W) → (B, channels_out, H, W) for any H and W; 9,162,753 parameters.

    U-Net++ (Zhou et al., DLMIA 2018) without deep supervision: every level is computed anew from
    all its earlier results and the level below, enlarged by repeating pixels; tanh at the end.

    Parameters
    ----------
    channels_in, channels_out : image channels in, maps out.
    widths : channels of each level; each level halves the resolution.
    activation : what follows the last layer, one of `layers.ACTIVATIONS`.
    """

    def __init__(
        self,
        channels_in: int = 1,
        channels_out: int = 1,
        widths: Sequence[int] = (32, 64, 128, 256, 512),
        activation: str = "tanh",
    ) -> None:
        super().__init__()
        self.stride = 2 ** (len(widths) - 1)
        self.encoder = make_encoder(channels_in, widths)
        self.nested = nn.ModuleDict(
            {
                f"{level}-{column}": convolutions(
                    column * widths[level] + widths[level + 1], widths[level]
                )
                for column in range(1, len(widths))
                for level in range(len(widths) - column)
            }
        )
        self.exit = nn.Conv2d(widths[0], channels_out, 1)
        self.activation = make_activation(activation)

    def forward(self, x: Tensor) -> Tensor:
        """Maps of a batch of images, see the class."""
        height, width = x.shape[-2:]
        padded = pad_to_multiple(x, self.stride, 2 * self.stride)
        found = [[first] for first in descend(self.encoder, padded)]
        for place, block in self.nested.items():
            level = int(place.split("-")[0])
            deep = functional.interpolate(found[level + 1][-1], scale_factor=2.0, mode="nearest")
            found[level].append(block(torch.cat([*found[level], deep], dim=1)))
        maps: Tensor = self.activation(cropped(finish(self.exit, found[0][-1]), height, width))
        return maps
