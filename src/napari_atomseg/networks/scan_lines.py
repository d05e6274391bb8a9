"""A network that measures the displacement of every scan line, with its uncertainty."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from napari_atomseg.networks import exporting
from napari_atomseg.networks.exporting import cropped
from napari_atomseg.networks.layers import make_activation, pad_to_multiple
from napari_atomseg.networks.register import network
from napari_atomseg.networks.unet import Block

FOLD = (2, 4)
"""Lines and pixels of a line that are folded into channels."""
STANDS_OUT = 4.0
"""Times the level of their row of frequencies that a kept one must have."""
TERMS = 4
"""Pairs of a difference and a slope in each pixel of a fold's line."""
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

    All pixels of a line share one displacement, and the evidence for it is a product: the
    difference from what neighbouring lines show, times the slope there. Products of features, the
    mean along the line over that of the squares of one, are therefore made explicitly, beside the
    mean features.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.pairs = nn.Conv2d(channels, 2 * (channels // 2), 1)
        self.mix = nn.Conv2d(channels + channels // 2, channels, (ROWS, 1), padding=(ROWS // 2, 0))
        self.leave = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        difference, slope = self.pairs(x).chunk(2, dim=1)
        shift = fraction(difference * slope, slope.square(), 0.1)
        lines = torch.cat([x.mean(dim=3, keepdim=True), shift], dim=1)
        shared: Tensor = self.leave(functional.relu(self.mix(lines)))
        return x + shared


def fraction(numerator: Tensor, denominator: Tensor, least: float) -> Tensor:
    """(B, C, H, 1) mean along the line of one over that of another, plus `least`."""
    above, below = (each.mean(dim=3, keepdim=True) for each in (numerator, denominator))
    return above / (below + least)


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

    A U-Net whose last features are summed along each line. Beside the image it sees what is
    `ordered` in it, in which displaced lines are averaged over all columns. Both are folded into
    channels before the first convolution, lines less than pixels along them, as lines differ and
    pixels of one do not.

    The first half of the channels (the larger one) are values Σ d s / (Σ s² + p), the least-squares
    estimates, with a prior p, of how far a line with slopes s must be moved for differences d. Both
    are features of the network; those of Lucas & Kanade (Proc. IJCAI 1981) are slopes and
    differences of two images. The second half are the logarithms of their standard deviations:
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
        self.entry = nn.Conv2d(2 * math.prod(FOLD) * channels_in, widths[0], 3, padding=1)
        self.encoder = nn.ModuleList(Level(a, b) for a, b in pairwise([widths[0], *widths]))
        self.up = nn.ModuleList(nn.Conv2d(deep, shallow, 1) for shallow, deep in pairwise(widths))
        self.decoder = nn.ModuleList(Level(width, width) for width in widths[:-1])
        # Two lines lie in one row of features.
        terms = 2 * self.values * TERMS
        self.differences = nn.Conv2d(widths[0], terms, 3, padding=1)
        self.slopes = nn.Conv2d(widths[0], terms, 3, padding=1)
        self.prior = nn.Parameter(torch.zeros(2 * self.values))
        self.information: nn.Conv2d | None = None
        self.floor: nn.Conv2d | None = None
        if self.deviations:
            self.information = nn.Conv2d(widths[0], 2 * self.deviations, 3, padding=1)
            self.floor = nn.Conv2d(widths[0], 2 * self.deviations, (ROWS, 1), padding=(2, 0))
        self.activation = make_activation(activation)
        nn.init.zeros_(self.differences.weight)
        nn.init.zeros_(self.differences.bias)  # type: ignore[arg-type]
        for layer, start in ((self.information, FIRST_INFORMATION), (self.floor, FIRST_FLOOR)):
            if layer is not None and layer.bias is not None:
                nn.init.constant_(layer.bias, math.log(math.expm1(start)))

    def forward(self, x: Tensor) -> Tensor:
        """Maps of a batch of images, see the class."""
        height, width = x.shape[-2:]
        with torch.autocast(x.device.type, enabled=False):
            x = torch.cat([x.float(), ordered(x.float())], dim=1)
        x = self.entry(_folded(pad_to_multiple(x, self.stride)))
        levels = []
        for number, level in enumerate(self.encoder):
            x = level(functional.avg_pool2d(x, 2) if number else x)
            levels.append(x)
        for number in reversed(range(len(self.decoder))):
            x = functional.interpolate(self.up[number](x), scale_factor=2.0, mode="nearest")
            x = self.decoder[number](x + levels[number])
        x = cropped(x, x.shape[-2], (width + FOLD[1] - 1) // FOLD[1])
        with torch.autocast(x.device.type, enabled=False):
            lines = cropped(self._lines(x.float()), height, 1)
        maps: Tensor = self.activation(lines.expand(-1, -1, -1, width))
        return maps

    def _lines(self, x: Tensor) -> Tensor:
        """(B, channels_out, 2 h, 1) of features (B, C, h, w)."""
        slope = self.slopes(x)
        above, below = (
            each.unflatten(1, (-1, TERMS)).sum(2).mean(3)
            for each in (self.differences(x) * slope, slope.square())
        )
        value = _unfolded(above / (below + functional.softplus(self.prior)[:, None]))
        if self.information is None or self.floor is None:
            return value
        known = functional.softplus(self.information(x)).sum(3) + LEAST_INFORMATION
        floor = functional.softplus(self.floor(x.mean(dim=3, keepdim=True)))[..., 0]
        deviation = _unfolded(0.5 * torch.log(1.0 / known + floor**2))
        return torch.cat([value, deviation], dim=1)


def ordered(image: Tensor) -> Tensor:
    """(B, C, H, W) what repeats in images (B, C, H, W): their spectra where they stand out.

    A displaced line is a change of phase along it, which spreads each reflection of a lattice over
    the frequencies across the lines. The median of the power over these is the level, of noise and
    of what is displaced alike, above which a frequency is kept, by a Wiener filter. Of the spectrum
    of an image without its jumps at the borders (Moisan, J. Math. Imaging Vis. 39, 161, 2011).
    """
    height, width = image.shape[-2:]
    real, imaginary = _without_borders(image)
    power = real.square() + imaginary.square()
    level = exporting.median_of_rows(power) / math.log(2.0)
    level = functional.avg_pool2d(functional.pad(level, (2, 2, 0, 0), mode="replicate"), (1, 5), 1)
    local = functional.avg_pool2d(functional.pad(power, (1, 1, 1, 1), mode="replicate"), 3, 1)
    gate = (1.0 - STANDS_OUT * level / local.clamp_min(1e-9)).clamp_min(0.0)
    if exporting.exporting():
        return exporting.transformed_back(real * gate, imaginary * gate, width)
    kept: Tensor = torch.fft.irfft2(torch.complex(real * gate, imaginary * gate), s=(height, width))
    return kept


def _without_borders(image: Tensor) -> tuple[Tensor, Tensor]:
    """Real and imaginary part (B, C, H, W // 2 + 1) of the spectrum of the periodic component of
    images, see `ordered`.
    """
    height, width = image.shape[-2:]
    across, along = image[..., -1:, :] - image[..., :1, :], image[..., -1:] - image[..., :1]
    jumps = _ends(height, image)[:, None] * across + _ends(width, image) * along
    rows = torch.cos(2.0 * math.pi * exporting.frequencies(height, image.device))
    columns = torch.cos(2.0 * math.pi * exporting.half_frequencies(width, image.device))
    laplacian = 2.0 * rows[:, None] + 2.0 * columns - 4.0
    parts = []
    # The constant has no jumps: nothing is taken from it.
    constant = laplacian == 0.0
    divisor = torch.where(constant, 1.0, laplacian)
    for whole, smooth in zip(_transformed(image), _transformed(jumps), strict=True):
        parts.append(whole - torch.where(constant, 0.0, smooth / divisor))
    return parts[0], parts[1]


def _ends(side: int, image: Tensor) -> Tensor:
    """(side,) one at the first place, minus one at the last, and zero between."""
    place = torch.arange(side, device=image.device)
    return (place == 0).to(image.dtype) - (place == place.max()).to(image.dtype)


def _transformed(image: Tensor) -> tuple[Tensor, Tensor]:
    if exporting.exporting():
        return exporting.transformed(image)
    spectrum = torch.fft.rfft2(image)
    return spectrum.real, spectrum.imag


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
