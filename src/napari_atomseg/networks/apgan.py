"""The generator and the discriminator of AP-GAN (Sci. Rep. 13, 2023, s41598-023-29606-9).

The paper's text gives the number of residual blocks, the kinds of layers and of activations; it
gives no widths and no kernels. Those here are the usual ones of such generators and discriminators
(Ledig et al., CVPR 2017): 64 channels and 3×3 kernels.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch.nn.functional as functional
from torch import Tensor, nn

from napari_atomseg.networks.layers import (
    finish,
    make_activation,
    pad_to_multiple,
    require_counts,
)


class ResidualBlock(nn.Module):
    """Two 3×3 convolutions with batch normalisation, ReLU between, the input added."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1),
            nn.BatchNorm2d(width),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, width, H, W) → (B, width, H, W)."""
        inner: Tensor = self.body(x)
        return x + inner


class Generator(nn.Module):
    """(B, channels_in, H, W) → (B, channels_out, H, W) probabilities; 1,112,897 parameters.

    15 residual blocks at full resolution (Fig. 1a) between a 3×3 convolution with ReLU and a 3×3
    one; the sigmoid at the end is ours, since the maps are probabilities, one for each element.

    Parameters
    ----------
    channels_in, channels_out : image channels in, maps out.
    width : channels of the blocks.
    blocks : number of residual blocks.
    activation : what follows the last layer, one of `layers.ACTIVATIONS`.
    """

    def __init__(
        self,
        channels_in: int = 1,
        channels_out: int = 1,
        width: int = 64,
        blocks: int = 15,
        activation: str = "sigmoid",
    ) -> None:
        super().__init__()
        require_counts(blocks=blocks)
        self.entry = nn.Conv2d(channels_in, width, 3, padding=1)
        self.blocks = nn.Sequential(*(ResidualBlock(width) for _ in range(blocks)))
        self.exit = nn.Conv2d(width, channels_out, 3, padding=1)
        self.activation = make_activation(activation)

    def forward(self, x: Tensor) -> Tensor:
        """Maps of a batch of images, see the class."""
        height, width = x.shape[-2:]
        # A lone pixel has no variance to normalise by.
        x = self.blocks(functional.relu(self.entry(pad_to_multiple(x, 1, 2))))
        maps: Tensor = self.activation(finish(self.exit, x)[..., :height, :width])
        return maps


class Discriminator(nn.Module):
    """(B, channels_in, H, W) maps → (B, 1, ⌈H/16⌉, ⌈W/16⌉) probabilities that they are true.

    Convolutions with ever more channels and leaky ReLU, and a softmax (Fig. 1b), here over two
    channels, true and generated, of which the first is returned, a probability a patch of 31×31
    pixels. 1,550,850 parameters. Maps of less than 16 pixels a side are padded to one patch.

    Parameters
    ----------
    channels_in : channels of the maps to judge.
    widths : channels of the convolutions, each of stride 2.
    """

    def __init__(self, channels_in: int = 1, widths: Sequence[int] = (64, 128, 256, 512)) -> None:
        super().__init__()
        self.stride = 2 ** len(widths)
        layers: list[nn.Module] = []
        for before, after in pairwise([channels_in, *widths]):
            layers += [nn.Conv2d(before, after, 3, stride=2, padding=1), nn.LeakyReLU(0.2)]
        self.features = nn.Sequential(*layers)
        self.exit = nn.Conv2d(widths[-1], 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Probabilities of a batch of maps, see the class."""
        x = self.features(pad_to_multiple(x, self.stride))
        return finish(self.exit, x).softmax(dim=1)[:, :1]
