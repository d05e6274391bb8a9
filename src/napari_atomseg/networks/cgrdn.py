"""The concatenated grouped residual dense network of r_em, and its predecessor."""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from napari_atomseg.networks.exporting import cropped
from napari_atomseg.networks.layers import (
    finish,
    make_activation,
    make_gates,
    pad_to_multiple,
    require_counts,
)
from napari_atomseg.networks.pieces import InPieces, in_pieces
from napari_atomseg.networks.register import network


class ResidualDenseBlock(nn.Module):
    """3×3 convolutions that each see all before them, fused by a 1×1 and added (Fig. 9c)."""

    def __init__(self, width: int, growth: int, layers: int) -> None:
        super().__init__()
        self.dense = nn.ModuleList(
            nn.Conv2d(width + i * growth, growth, 3, padding=1) for i in range(layers)
        )
        self.fuse = nn.Conv2d(width + layers * growth, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, width, H, W) → (B, width, H, W)."""
        known = x
        for layer in self.dense:
            known = torch.cat([known, functional.relu(layer(known))], dim=1)
        fused: Tensor = self.fuse(known)
        return x + fused


class Group(nn.Module):
    """Residual dense blocks in a row, all their results fused by a 1×1 and added (Fig. 9b)."""

    def __init__(self, width: int, growth: int, layers: int, blocks: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            ResidualDenseBlock(width, growth, layers) for _ in range(blocks)
        )
        self.fuse = nn.Conv2d(blocks * width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, width, H, W) → (B, width, H, W)."""
        fused: Tensor = self.fuse(torch.cat(_cascade(self.blocks, x), dim=1))
        return x + fused


@network("cgrdn")
@network("cgrdn_small", growth=16, layers=4, blocks=3, groups=3, stem=2)
@network("cgrdn_spectral", growth=16, layers=4, blocks=3, groups=3, stem=2, spectral=16)
@network("grdn", concatenate=False)
class CGRDN(InPieces):
    """(B, channels_in, H, W) → (B, channels_out, H, W) for any H and W.

    Lobato, Friedrich and Van Aert (2023), "Network architecture" and Fig. 9: a 3×3 convolution, a
    4×4 one of stride 2, groups of residual dense blocks of which all results are concatenated and
    fused, a transposed 4×4 convolution of stride 2 and a 3×3 one, with residual connections around
    each block, each group, all groups and the whole. 7,035,521 parameters as published.

    Without the concatenation it is the grouped residual dense network (Kim et al., CVPR Workshops
    2019): groups in cascade, here without the attention before its last layer; 7,019,073
    parameters, the 7.02 M of r_em's Table 1. The small form of the registry folds 2×2 pixels into
    channels first and has three groups of three blocks of four layers of growth 16: 716,356
    parameters, for CPUs. The spectral form has, besides, a `SpectralGate` before its groups and
    after each of them, which sees the whole image at once.

    Parameters
    ----------
    channels_in, channels_out : image channels in, maps out.
    width : channels between blocks.
    growth, layers : channels that each dense layer adds, and how many there are in a block.
    blocks, groups : blocks in a group, and groups.
    stem : side of a space-to-depth fold before the first and after the last layer.
    spectral : channels of the spectral gates; 0 for none.
    margin : zeros around the features that these gates transform, see there.
    concatenate : whether the results of all groups are fused, or only the last is used.
    residual : whether the image is added to every map; without it maps need not be like an image.
    activation : what follows the last layer, one of `layers.ACTIVATIONS`.

    Raises
    ------
    ValueError
        A number of blocks is out of range, or the image cannot be added to so many maps.
    """

    def __init__(
        self,
        channels_in: int = 1,
        channels_out: int = 1,
        width: int = 64,
        growth: int = 32,
        layers: int = 8,
        blocks: int = 4,
        groups: int = 4,
        stem: int = 1,
        spectral: int = 0,
        margin: int = 0,
        concatenate: bool = True,
        residual: bool = True,
        activation: str = "none",
    ) -> None:
        super().__init__()
        require_counts(layers=layers, blocks=blocks, groups=groups)
        if residual and channels_in not in (1, channels_out):
            raise ValueError(
                f"channels_out={channels_out!r}: with residual=True there must be as many maps as "
                f"image channels ({channels_in}), or one image channel"
            )
        self.stem = stem
        self.reach = layers * blocks
        self.residual = residual
        fold = stem * stem
        self.entry = nn.Conv2d(channels_in * fold, width, 3, padding=1)
        self.down = nn.Conv2d(width, width, 4, stride=2, padding=1)
        self.groups = nn.ModuleList(Group(width, growth, layers, blocks) for _ in range(groups))
        self.gates = make_gates([width] * (1 + groups), spectral, margin)
        self.fuse = nn.Conv2d(groups * width, width, 1) if concatenate else None
        self.up = nn.ConvTranspose2d(width, width, 4, stride=2, padding=1)
        self.exit = nn.Conv2d(width, channels_out * fold, 3, padding=1)
        self.activation = make_activation(activation)

    def forward(self, x: Tensor) -> Tensor:
        """Maps of a batch of images, see the class."""
        height, width = x.shape[-2:]
        padded = functional.pixel_unshuffle(pad_to_multiple(x, 2 * self.stem), self.stem)
        inner = in_pieces(self._enter, padded, stride=self.stem, halo=4, scale=0.5)
        first, *gates = self.gates
        results, known = list[Tensor](), first(inner)
        for group, gate in zip(self.groups, gates, strict=True):
            known = gate(in_pieces(group, known, stride=2 * self.stem, halo=self.reach))
            results.append(known)
        maps = in_pieces(self._leave, inner, *results, stride=2 * self.stem, halo=2, scale=2.0)
        maps = functional.pixel_shuffle(maps, self.stem)
        maps = cropped(maps, height, width)
        finished: Tensor = self.activation(x + maps if self.residual else maps)
        return finished

    def _enter(self, x: Tensor) -> Tensor:
        """The layers before the groups: half as many features each way."""
        features: Tensor = self.down(self.entry(x))
        return features

    def _leave(self, inner: Tensor, *results: Tensor) -> Tensor:
        """The layers after the groups: twice as many features each way."""
        fused = results[-1] if self.fuse is None else inner + self.fuse(torch.cat(results, dim=1))
        return finish(self.exit, self.up(fused))


def _cascade(modules: Iterable[nn.Module], x: Tensor) -> list[Tensor]:
    """The results of modules that follow each other."""
    results: list[Tensor] = []
    for module in modules:
        x = module(x)
        results.append(x)
    return results
