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

from napari_atomseg.networks.exporting import cropped
from napari_atomseg.networks.layers import (
    finish,
    make_activation,
    pad_to_multiple,
    require_counts,
)
from napari_atomseg.networks.register import discriminator, network


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


@network("apgan_generator")
class Generator(nn.Module):
    """(B, channels_in, H, W) → (B, channels_out, H, W) probabilities; 1,112,897 parameters.

    15 residual blocks at full resolution (Fig. 1a) between a 3×3 convolution with ReLU and a 3×3
    one; the final sigmoid is added here, since the maps are probabilities, one for each element.

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
        # The variance of a single pixel is zero.
        x = self.blocks(functional.relu(self.entry(pad_to_multiple(x, 1, 2))))
        maps: Tensor = self.activation(cropped(finish(self.exit, x), height, width))
        return maps


@discriminator("apgan_discriminator")
class Discriminator(nn.Module):
    """(B, channels_in, H, W) maps → (B, 1, ⌈H/16⌉, ⌈W/16⌉) probabilities that they are true.

    Convolutions with ever more channels and leaky ReLU, and a softmax (Fig. 1b), here over two
    channels, true and generated, of which the first is returned, a probability a patch of 31×31
    pixels. 1,550,850 parameters. Maps of less than 16 pixels a side are padded to one patch.

    Parameters
    ----------
    channels_in : channels of the maps.
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


STRIDE = 8
SPREAD = 0.02
"""Deviation of the weights of a new discriminator (Isola et al., CVPR 2017)."""


class Step(nn.Module):
    """A 4×4 convolution that keeps H/stride and W/stride, instance normalisation, leaky ReLU."""

    def __init__(self, channels_in: int, channels_out: int, stride: int, normalised: bool) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(channels_in, channels_out, 4, stride, bias=not normalised)
        # Normalisation removes the mean and with it any bias.
        self.norm = nn.InstanceNorm2d(channels_out, affine=True) if normalised else nn.Identity()
        nn.init.normal_(self.convolution.weight, std=SPREAD)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C_in, H, W) → (B, C_out, H/stride, W/stride)."""
        x = self.norm(self.convolution(_surround(x, self.convolution.stride[0])))
        return functional.leaky_relu(x, 0.2)


@discriminator("patch_discriminator")
class PatchDiscriminator(nn.Module):
    """(B, channels_in, H, W) → (B, 1, ⌈H/8⌉, ⌈W/8⌉), C of r_em Eq. 2 and 3, not transformed.

    Lobato, Friedrich and Van Aert (2023), "Discriminator architecture" and Fig. 10: the 70×70 patch
    discriminator of Isola et al. (CVPR 2017) with instance normalisation and convolutions that keep
    the size but for their stride, so that 256×256 pixels give 32×32 values, each of which sees
    70×70 pixels. 2,764,609 parameters with two channels in: it is conditional, the distorted image
    and the restored or true one are concatenated. Images below 16 pixels a side are padded to 16.

    Parameters
    ----------
    channels_in : channels of the image and the restored one together.
    widths : channels of the first four convolutions, the first three of stride 2.
    """

    def __init__(self, channels_in: int = 2, widths: Sequence[int] = (64, 128, 256, 512)) -> None:
        super().__init__()
        if len(widths) != 4:
            raise ValueError(f"widths={tuple(widths)!r} must be four numbers of channels")
        self.steps = nn.Sequential(
            *(
                Step(before, after, stride=2 if i < 3 else 1, normalised=i > 0)
                for i, (before, after) in enumerate(pairwise([channels_in, *widths]))
            )
        )
        self.exit = nn.Conv2d(widths[-1], 1, 4)
        nn.init.normal_(self.exit.weight, std=SPREAD)

    def forward(self, x: Tensor) -> Tensor:
        """Scores of a batch of images, see the class."""
        x = self.steps(pad_to_multiple(x, STRIDE, 2 * STRIDE))
        return finish(self.exit, _surround(x, 1))


def _surround(x: Tensor, stride: int) -> Tensor:
    """Zeros around, so that a 4×4 convolution of that stride divides the size by the stride."""
    after = 1 if stride == 2 else 2
    return functional.pad(x, (1, after, 1, after))
