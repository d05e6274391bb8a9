"""Parts that several networks share, among them a learnt Wiener filter."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from napari_atomseg.networks import exporting
from napari_atomseg.networks.register import LARGEST_COUNT

ACTIVATIONS = ("none", "sigmoid", "tanh", "softmax")
"""Activations after the last layer; softmax is over the channels."""


def pad_to_multiple(x: Tensor, stride: int, least: int = 1) -> Tensor:
    """(B, C, H, W) padded at the bottom and right to multiples of `stride`, not below `least`.

    Padding is by reflection where it fits, else by repeating the edge.
    """
    if exporting.exporting():
        return exporting.mirrored(x, stride)
    height, width = x.shape[-2:]
    bottom = max(height + -height % stride, least) - height
    right = max(width + -width % stride, least) - width
    mode = "reflect" if bottom < height and right < width else "replicate"
    return functional.pad(x, (0, right, 0, bottom), mode=mode)


def finish(layer: nn.Module, x: Tensor) -> Tensor:
    """The last layer in full precision, also where the network runs in half precision."""
    with torch.autocast(x.device.type, enabled=False):
        y: Tensor = layer(x.float())
    return y


def make_activation(name: str) -> nn.Module:
    """The activation after the last layer.

    Raises
    ------
    ValueError
        The name is not in `ACTIVATIONS`.
    """
    if name not in ACTIVATIONS:
        raise ValueError(
            f"activation={name!r} is not known; choose one of {', '.join(ACTIVATIONS)}"
        )
    made = (nn.Identity(), nn.Sigmoid(), nn.Tanh(), nn.Softmax(dim=1))
    return made[ACTIVATIONS.index(name)]


def require_counts(**counts: int) -> None:
    """Check numbers of blocks.

    Raises
    ------
    ValueError
        One is below 1 or above `LARGEST_COUNT`.
    """
    for name, count in counts.items():
        if not 1 <= count <= LARGEST_COUNT:
            raise ValueError(f"{name}={count!r} must be between 1 and {LARGEST_COUNT}")


def convolutions(channels_in: int, channels_out: int, count: int = 2) -> nn.Sequential:
    """`count` times a 3×3 convolution, batch normalisation and ReLU."""
    layers: list[nn.Module] = []
    for i in range(count):
        layers += [
            nn.Conv2d(channels_out if i else channels_in, channels_out, 3, padding=1),
            nn.BatchNorm2d(channels_out),
            nn.ReLU(),
        ]
    return nn.Sequential(*layers)


def make_encoder(channels_in: int, widths: Sequence[int]) -> nn.ModuleList:
    """Two `convolutions` a level, for `descend`."""
    return nn.ModuleList(convolutions(a, b) for a, b in pairwise([channels_in, *widths]))


def descend(
    encoder: Iterable[nn.Module],
    x: Tensor,
    pool: Callable[[Tensor, int], Tensor] = functional.max_pool2d,
) -> list[Tensor]:
    """Features of each level of an encoder, each at half the resolution of the one above.

    (B, C, H, W) → (B, widths[i], H/2^i, W/2^i) for every level i.
    """
    levels: list[Tensor] = []
    for block in encoder:
        levels.append(block(pool(levels[-1], 2) if levels else x))
    return levels


FLOOR = 1e-4
"""Power below which a frequency counts as empty; features are of the order of 1."""


class SpectralGate(nn.Module):
    """(B, width, H, W) → (B, width, H, W): adds features filtered in Fourier space.

    Crystals are a few bright points among the frequencies, over evenly distributed noise, so a
    filter in Fourier space uses all columns at once. As in fast Fourier convolutions (Chi, Jiang
    and Mu, NeurIPS 2020) the features are transformed, treated alike at every frequency and
    transformed back; here they are only multiplied by a number between 0 and 1, as by a Wiener
    filter (Kilaas, J. Microsc. 190, 1998), which a small network computes from the power at the
    frequency, its surroundings, and the frequency itself. It starts as the identity.

    A filter that is applied to the spectrum of an image reaches round its border, as if the image
    went on periodically. With a margin of zeros there is nothing to reach.

    Parameters
    ----------
    width : channels of the features.
    channels : channels that are transformed.
    margin : zeros on each side of the features that are transformed.
    """

    def __init__(self, width: int, channels: int, margin: int = 0) -> None:
        super().__init__()
        self.margin = margin
        self.enter = nn.Conv2d(width, channels, 1)
        self.gate = nn.Sequential(
            nn.Conv2d(channels + 2, channels, 5, padding=2),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.Sigmoid(),
        )
        self.leave = nn.Conv2d(channels, width, 1)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        # Fourier transforms need full precision.
        known = self.enter(x).float()
        if self.margin:
            known = functional.pad(known, (self.margin,) * 4)
        filtered = self._filtered(known)
        if self.margin:
            inside = slice(self.margin, -self.margin)
            filtered = filtered[..., inside, inside]
        added: Tensor = self.leave(filtered.to(x.dtype))
        return added.add_(x)

    def _filtered(self, x: Tensor) -> Tensor:
        """(B, channels, H, W), each frequency multiplied by its gate."""
        height, width = x.shape[-2:]
        if not exporting.exporting():
            spectrum = torch.fft.rfft2(x, norm="ortho")
            gate = self._gates(spectrum.real, spectrum.imag, height)
            filtered: Tensor = torch.fft.irfft2(spectrum * gate, s=(height, width), norm="ortho")
            return filtered
        real, imaginary = exporting.transformed(x)
        norm = torch.ones_like(x[0, 0]).sum().sqrt()
        gate = self._gates(real / norm, imaginary / norm, height)
        return exporting.transformed_back(real * gate, imaginary * gate, width)

    def _gates(self, real: Tensor, imaginary: Tensor, height: int) -> Tensor:
        """(B, channels, H, W // 2 + 1), 0 to 1, from both parts of the spectrum of that shape."""
        power = torch.log(real.square() + imaginary.square() + FLOOR)
        rows = exporting.frequencies(height, power.device).abs()[:, None]
        cols = exporting.evenly(power.shape[-1], power.device)[None, :]
        place = torch.stack([rows.expand(power.shape[-2:]), cols.expand(power.shape[-2:])])
        # Zero frequency in the middle, so that neighbours in the array are neighbours.
        known = exporting.rows_centred(
            torch.cat([power, place.expand(power.shape[0], -1, -1, -1)], dim=1)
        )
        return exporting.rows_centred(self.gate(known).float(), back=True)


def make_gates(widths: Iterable[int], channels: int, margin: int) -> nn.ModuleList:
    """A gate for features of each width, or nothing in their places where `channels` is 0.

    Raises
    ------
    ValueError
        There are too many channels, or the margin is negative or too wide.
    """
    if channels:
        require_counts(spectral=channels)
    if margin:
        require_counts(margin=margin)
    return nn.ModuleList(
        SpectralGate(w, channels, margin) if channels else nn.Identity() for w in widths
    )
