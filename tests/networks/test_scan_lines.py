"""The network of scan lines: what its sums along the lines promise."""

import math

import numpy as np
import torch

from napari_atomseg import networks
from napari_atomseg.networks.scan_lines import ordered


def lines_network():
    torch.manual_seed(0)
    network = networks.create("scan_lines", channels_out=4, widths=(4, 8, 8)).eval()
    with torch.no_grad():
        network.differences.weight.normal_(std=0.1)
    return network


@torch.no_grad()
def test_maps_are_constant_along_the_lines() -> None:
    maps = lines_network()(torch.randn(2, 1, 21, 34))
    torch.testing.assert_close(maps, maps[..., :1].expand_as(maps), rtol=0, atol=0)
    assert maps.std(dim=2).min() > 0


@torch.no_grad()
def test_information_adds_up_along_a_line() -> None:
    """Twice as much of the same, half the variance, but for the floor that all share."""
    network = lines_network()
    torch.nn.init.constant_(network.floor.bias, -40.0)
    torch.nn.init.zeros_(network.floor.weight)
    torch.nn.init.zeros_(network.information.weight)
    image = torch.randn(1, 1, 32, 512)
    wide, narrow = (network(image[..., :n])[0, 2:, :, 0].mul(-2.0).exp() for n in (512, 128))
    # Beside the information that every line has.
    ratio = (wide - 0.05) / (narrow - 0.05)
    torch.testing.assert_close(ratio, torch.full_like(ratio, 4.0))


@torch.no_grad()
def test_a_new_network_moves_nothing_and_doubts_it() -> None:
    maps = networks.create("scan_lines", channels_out=4)(torch.randn(1, 1, 32, 96))
    assert not maps[0, :2].any()
    assert 0.3 < maps[0, 2:].exp().mean() < 2.0


def waves() -> torch.Tensor:
    y, x = np.mgrid[:96, :120]
    image = np.cos(2 * np.pi * (y * 9 / 96 + x * 8 / 120)) + np.cos(2 * np.pi * (x * 15 / 120))
    return torch.from_numpy(image).float()[None, None]


def test_a_lattice_is_ordered_and_noise_is_not() -> None:
    noise = torch.randn(1, 1, 96, 120, generator=torch.Generator().manual_seed(1))
    kept = ordered(waves() + noise)
    assert (kept - waves()).square().mean() < 0.05
    assert ordered(noise).square().mean() < 0.1


def test_lines_displaced_at_random_are_taken_for_a_still_lattice() -> None:
    """By the Debye-Waller factor of the displacement its amplitude falls, and nothing else."""
    shift = torch.randn(96, generator=torch.Generator().manual_seed(2))
    moved = torch.stack(
        [
            torch.fft.irfft(
                torch.fft.rfft(line)
                * torch.exp(-2j * math.pi * torch.fft.rfftfreq(120) * float(by)),
                n=120,
            )
            for line, by in zip(waves()[0, 0], shift, strict=True)
        ]
    )
    kept = ordered(moved[None, None])[0, 0]
    still = waves()[0, 0]
    likeness = (kept * still).sum() / (kept.norm() * still.norm())
    assert likeness > 0.97
    before = (moved * still).sum() / (moved.norm() * still.norm())
    assert likeness > before + 0.02
