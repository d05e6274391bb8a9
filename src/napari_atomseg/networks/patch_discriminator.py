"""The 70×70 patch discriminator of r_em."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch.nn.functional as functional
from torch import Tensor, nn

from napari_atomseg.networks.layers import finish, pad_to_multiple

STRIDE = 8
SPREAD = 0.02
"""Deviation of the weights of a new discriminator (Isola et al., CVPR 2017)."""


class Step(nn.Module):
    """A 4×4 convolution that keeps H/stride and W/stride, instance normalisation, leaky ReLU."""

    def __init__(self, channels_in: int, channels_out: int, stride: int, normalised: bool) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(channels_in, channels_out, 4, stride, bias=not normalised)
        # The mean that the normalisation takes away would cancel a bias.
        self.norm = nn.InstanceNorm2d(channels_out, affine=True) if normalised else nn.Identity()
        nn.init.normal_(self.convolution.weight, std=SPREAD)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C_in, H, W) → (B, C_out, H/stride, W/stride)."""
        x = self.norm(self.convolution(_surround(x, self.convolution.stride[0])))
        return functional.leaky_relu(x, 0.2)


class PatchDiscriminator(nn.Module):
    """(B, channels_in, H, W) → (B, 1, ⌈H/8⌉, ⌈W/8⌉), C of r_em Eq. 2 and 3, not transformed.

    Lobato, Friedrich and Van Aert (2023), "Discriminator architecture" and Fig. 10: the 70×70 patch
    discriminator of Isola et al. (CVPR 2017) with instance normalisation and convolutions that keep
    the size but for their stride, so that 256×256 pixels give 32×32 values, each of which sees
    70×70 pixels. 2,764,609 parameters with two channels in: it is conditional, the distorted image
    and the restored or true one are concatenated. Images below 16 pixels a side are padded to 16.

    Parameters
    ----------
    channels_in : channels of the image and of what is judged together.
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
        """Judgements of a batch of images, see the class."""
        x = self.steps(pad_to_multiple(x, STRIDE, 2 * STRIDE))
        return finish(self.exit, _surround(x, 1))


def _surround(x: Tensor, stride: int) -> Tensor:
    """Zeros around, so that a 4×4 convolution of that stride divides the size by the stride."""
    after = 1 if stride == 2 else 2
    return functional.pad(x, (1, after, 1, after))
