"""A network that measures the displacement of every scan line, with its uncertainty."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from napari_atomseg.networks.layers import make_activation, pad_to_multiple
from napari_atomseg.networks.register import network
from napari_atomseg.networks.unet import Block

FOLD = (2, 4)
"""Lines and pixels of a line that are folded into channels."""
ROWS = 5
"""Lines that a line's mean features meet at once."""
LEAST_INFORMATION = 0.05
"""Information in px⁻² that a line has at least, whatever it shows."""
FIRST_FLOOR = 0.1
"""Uncertainty in px of a new network that no width of the image takes away."""
FIRST_INFORMATION = 0.08
"""Information in px⁻² of each fold of a line for a new network."""


class LineContext(nn.Module):
    """(B, C, H, W) → (B, C, H, W): adds to each pixel what its line and its neighbours show.

    All pixels of a line share one displacement; the mean along it is the evidence for it.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(channels, channels, (ROWS, 1), padding=(ROWS // 2, 0))
        self.leave = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        shared = self.leave(functional.relu(self.mix(x.mean(dim=3, keepdim=True))))
        return x + shared


class Level(nn.Module):
    """A block whose features know of their lines."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.block = Block(channels_in, channels_out)
        self.context = LineContext(channels_out)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C_in, H, W) → (B, C_out, H, W)."""
        y: Tensor = self.context(self.block(x))
        return y


@network("scan_lines")
class ScanLines(nn.Module):
    """(B, channels_in, H, W) → (B, channels_out, H, W) maps that are constant along the lines.

    A U-Net whose last features are summed along each line. The image is folded into channels before
    the first convolution, lines less than pixels along them, as lines differ and pixels of one do
    not. The first half of the channels (the
    larger one) are values Σn / Σd, weighted means over the line of what each pixel shows, with
    weights d > 0 of its own. The second half are the logarithms of their standard deviations:
    information adds up along a line, as of independent pixels, so that the variance is
    1 / Σq + f², with a floor f for what all pixels of the line have in common.

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
        widths: Sequence[int] = (32, 64, 96, 128),
        activation: str = "none",
    ) -> None:
        super().__init__()
        self.stride = max(FOLD) * 2 ** (len(widths) - 1)
        self.values = (channels_out + 1) // 2
        self.deviations = channels_out - self.values
        self.entry = nn.Conv2d(math.prod(FOLD) * channels_in, widths[0], 3, padding=1)
        self.encoder = nn.ModuleList(Level(a, b) for a, b in pairwise([widths[0], *widths]))
        self.up = nn.ModuleList(nn.Conv2d(deep, shallow, 1) for shallow, deep in pairwise(widths))
        self.decoder = nn.ModuleList(Level(width, width) for width in widths[:-1])
        # Two lines lie in one row of features.
        self.numerators = nn.Conv2d(widths[0], 2 * self.values, 3, padding=1)
        self.denominators = nn.Conv2d(widths[0], 2 * self.values, 3, padding=1)
        self.information = nn.Conv2d(widths[0], 2 * max(self.deviations, 1), 3, padding=1)
        self.floor = nn.Conv2d(widths[0], 2 * max(self.deviations, 1), (ROWS, 1), padding=(2, 0))
        if not self.deviations:
            self.information = self.floor = None
        self.activation = make_activation(activation)
        nn.init.zeros_(self.numerators.weight)
        for layer, start in ((self.information, FIRST_INFORMATION), (self.floor, FIRST_FLOOR)):
            if layer is not None and layer.bias is not None:
                nn.init.constant_(layer.bias, math.log(math.expm1(start)))

    def forward(self, x: Tensor) -> Tensor:
        """Maps of a batch of images, see the class."""
        height, width = x.shape[-2:]
        x = self.entry(_folded(pad_to_multiple(x, self.stride)))
        levels = []
        for number, level in enumerate(self.encoder):
            x = level(functional.avg_pool2d(x, 2) if number else x)
            levels.append(x)
        for number in reversed(range(len(self.decoder))):
            x = functional.interpolate(self.up[number](x), scale_factor=2.0, mode="nearest")
            x = self.decoder[number](x + levels[number])
        x = x[..., : -(-width // FOLD[1])]
        with torch.autocast(x.device.type, enabled=False):
            lines = self._lines(x.float())[:, :, :height]
        maps: Tensor = self.activation(lines.expand(-1, -1, -1, width))
        return maps

    def _lines(self, x: Tensor) -> Tensor:
        """(B, channels_out, 2 h, 1) of features (B, C, h, w)."""
        weight = functional.softplus(self.denominators(x)) + 1e-3
        value = _unfolded((self.numerators(x) * weight).sum(3) / weight.sum(3))
        if self.information is None or self.floor is None:
            return value
        known = functional.softplus(self.information(x)).sum(3) + LEAST_INFORMATION
        floor = functional.softplus(self.floor(x.mean(dim=3, keepdim=True)))[..., 0]
        deviation = _unfolded(0.5 * torch.log(1.0 / known + floor**2))
        return torch.cat([value, deviation], dim=1)


def _folded(x: Tensor) -> Tensor:
    """(B, C × 8, H / 2, W / 4) of (B, C, H, W)."""
    batch, channels, height, width = x.shape
    rows, columns = FOLD
    parts = x.reshape(batch, channels, height // rows, rows, width // columns, columns)
    return parts.permute(0, 1, 3, 5, 2, 4).reshape(
        batch, channels * rows * columns, height // rows, width // columns
    )


def _unfolded(lines: Tensor) -> Tensor:
    """(B, C, 2 h, 1) of (B, 2 C, h)."""
    batch, channels, height = lines.shape
    pairs = lines.reshape(batch, channels // 2, 2, height).mT
    return pairs.reshape(batch, channels // 2, 2 * height, 1)
