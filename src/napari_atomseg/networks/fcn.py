"""The two fully convolutional networks that AP-GAN is compared with (its references 21 and 22)."""

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

SLOPE = 0.01
"""Slope of the leaky ReLU below zero in AtomAI."""


@network("fcn1")
class EncoderDecoder(nn.Module):
    """(B, channels_in, H, W) → (B, channels_out, H, W) for any H and W; 426,177 parameters.

    FCNs1, Ziatdinov et al., ACS Nano 11, 12742 (2017): an encoder of 3×3 convolutions and max
    pooling and a decoder that undoes the pooling, with no connection between the two but the
    deepest level. The AP-GAN paper names the work and not the sizes; chosen here are three levels
    of 32, 64 and 128 channels, two convolutions with batch normalisation and ReLU a level,
    bilinear ×2 on the way up and a sigmoid, so that several elements may share a pixel.

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
        widths: Sequence[int] = (32, 64, 128),
        activation: str = "sigmoid",
    ) -> None:
        super().__init__()
        self.stride = 2 ** (len(widths) - 1)
        self.encoder = make_encoder(channels_in, widths)
        self.decoder = nn.ModuleList(
            convolutions(deep, shallow) for shallow, deep in reversed(list(pairwise(widths)))
        )
        self.exit = nn.Conv2d(widths[0], channels_out, 1)
        self.activation = make_activation(activation)

    def forward(self, x: Tensor) -> Tensor:
        """Maps of a batch of images, see the class."""
        height, width = x.shape[-2:]
        x = descend(self.encoder, pad_to_multiple(x, self.stride, 2 * self.stride))[-1]
        for block in self.decoder:
            x = block(functional.interpolate(x, scale_factor=2.0, mode="bilinear"))
        maps: Tensor = self.activation(cropped(finish(self.exit, x), height, width))
        return maps


@network("fcn2")
class LeakyUNet(nn.Module):
    """(B, channels_in, H, W) → (B, channels_out, H, W) for any H and W; 594,033 parameters.

    FCNs2, Ghosh et al., npj Comput. Mater. 7, 100 (2021), whose framework is taken to
    be the U-Net of their AtomAI with its default sizes: 16 channels at full resolution and twice as
    many after each of three poolings; one, two, two and three 3×3 convolutions a level on the way
    down, each followed by leaky ReLU and batch normalisation; bilinear ×2 and a 1×1 convolution
    up, concatenation, then two, two and one convolutions. That the AP-GAN paper kept these sizes is
    assumed. The sigmoid stands for the one that AtomAI applies to its predictions.

    Parameters
    ----------
    channels_in, channels_out : image channels in, maps out.
    width : channels of the first level.
    activation : what follows the last layer, one of `layers.ACTIVATIONS`.
    """

    def __init__(
        self,
        channels_in: int = 1,
        channels_out: int = 1,
        width: int = 16,
        activation: str = "sigmoid",
    ) -> None:
        super().__init__()
        widths = [width * 2**level for level in range(4)]
        self.encoder = nn.ModuleList(
            _leaky(before, after, count)
            for (before, after), count in zip(
                pairwise([channels_in, *widths]), (1, 2, 2, 3), strict=True
            )
        )
        self.reduce = nn.ModuleList(
            nn.Conv2d(deep, shallow, 1) for shallow, deep in pairwise(widths)
        )
        self.decoder = nn.ModuleList(
            _leaky(2 * shallow, shallow, count)
            for shallow, count in zip(widths[:-1], (1, 2, 2), strict=True)
        )
        self.exit = nn.Conv2d(width, channels_out, 1)
        self.activation = make_activation(activation)

    def forward(self, x: Tensor) -> Tensor:
        """Maps of a batch of images, see the class."""
        height, width = x.shape[-2:]
        levels = descend(self.encoder, pad_to_multiple(x, 8, 16))
        x = levels[-1]
        for level in reversed(range(len(self.decoder))):
            x = functional.interpolate(x, scale_factor=2.0, mode="bilinear")
            x = self.decoder[level](torch.cat([levels[level], self.reduce[level](x)], dim=1))
        maps: Tensor = self.activation(cropped(finish(self.exit, x), height, width))
        return maps


def _leaky(channels_in: int, channels_out: int, count: int) -> nn.Sequential:
    """`count` times a 3×3 convolution, leaky ReLU and batch normalisation, in AtomAI's order."""
    layers: list[nn.Module] = []
    for i in range(count):
        layers += [
            nn.Conv2d(channels_out if i else channels_in, channels_out, 3, padding=1),
            nn.LeakyReLU(SLOPE),
            nn.BatchNorm2d(channels_out),
        ]
    return nn.Sequential(*layers)
