"""A learnt Wiener filter: features weighed frequency by frequency over the whole image."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from napari_atomseg.networks.layers import require_counts

FLOOR = 1e-4
"""Power below which a frequency counts as empty; features are of the order of 1."""


class SpectralGate(nn.Module):
    """(B, width, H, W) → (B, width, H, W): adds features filtered in Fourier space.

    Crystals are a few bright points among the frequencies, where noise is everywhere alike: what a
    convolution has to gather over many columns is here plain to see in one look. As in fast Fourier
    convolutions (Chi, Jiang and Mu, NeurIPS 2020) the features are transformed, treated alike at
    every frequency and transformed back; here they are only multiplied by a number between 0 and
    1, as by a Wiener filter (Kilaas, J. Microsc. 190, 1998), which a small network finds from the
    power at that frequency, its surroundings, and the frequency itself. It starts as the identity.

    Parameters
    ----------
    width : channels of the features.
    channels : channels that are transformed.
    """

    def __init__(self, width: int, channels: int) -> None:
        super().__init__()
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
        height, width = x.shape[-2:]
        # Half precision has no transforms.
        spectrum = torch.fft.rfft2(self.enter(x).float(), norm="ortho")
        gate = self._gates(spectrum, height)
        filtered = torch.fft.irfft2(spectrum * gate, s=(height, width), norm="ortho")
        added: Tensor = self.leave(filtered.to(x.dtype))
        return x + added

    def _gates(self, spectrum: Tensor, height: int) -> Tensor:
        """(B, channels, H, W // 2 + 1), 0 to 1, from the spectrum of that shape."""
        power = torch.log(spectrum.real.square() + spectrum.imag.square() + FLOOR)
        rows = torch.fft.fftfreq(height, device=power.device).abs()[:, None]
        cols = torch.linspace(0.0, 0.5, power.shape[-1], device=power.device)[None, :]
        place = torch.stack([rows.expand(power.shape[-2:]), cols.expand(power.shape[-2:])])
        # Zero frequency in the middle, so that neighbours in the array are neighbours.
        known = torch.fft.fftshift(
            torch.cat([power, place.expand(len(power), -1, -1, -1)], dim=1), dim=-2
        )
        gates: Tensor = torch.fft.ifftshift(self.gate(known).float(), dim=-2)
        return gates


def make_gates(widths: Iterable[int], channels: int) -> nn.ModuleList:
    """A gate for features of each width, or nothing in their places where `channels` is 0.

    Raises
    ------
    ValueError
        There are too many channels.
    """
    if channels:
        require_counts(spectral=channels)
    return nn.ModuleList(SpectralGate(w, channels) if channels else nn.Identity() for w in widths)


def gated(blocks: Iterable[nn.Module], gates: Iterable[nn.Module]) -> list[nn.Module]:
    """Each block with its gate behind it."""
    return [nn.Sequential(*pair) for pair in zip(blocks, gates, strict=True)]
