"""Spectral gates: they start as nothing, favour no place, and find lattices in noise."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from napari_atomseg import networks
from napari_atomseg.networks.layers import SpectralGate


def stirred(width: int, channels: int) -> SpectralGate:
    """A gate that does something."""
    torch.manual_seed(0)
    gate = SpectralGate(width, channels)
    nn.init.normal_(gate.leave.weight)
    return gate


@pytest.mark.parametrize("shape", [(1, 1), (7, 4), (16, 33)])
def test_new_gate_changes_nothing(shape: tuple[int, int]) -> None:
    image = torch.randn(2, 3, *shape)
    torch.testing.assert_close(SpectralGate(3, 5)(image), image, rtol=0, atol=0)


def test_networks_with_new_gates_are_those_without() -> None:
    for name, arguments in (("unet", {"widths": (4, 8)}), ("cgrdn_small", {"growth": 4})):
        torch.manual_seed(0)
        plain = networks.create(name, **arguments)
        gated = networks.create(name, **arguments, spectral=4)
        missing = gated.load_state_dict(plain.state_dict(), strict=False)
        assert missing.missing_keys
        assert not missing.unexpected_keys
        image = torch.randn(1, 1, 24, 20)
        torch.testing.assert_close(gated(image), plain(image))


def test_filtering_moves_with_the_image() -> None:
    gate = stirred(2, 3)
    image = torch.randn(1, 2, 12, 17)
    moved = gate(image.roll((5, 3), dims=(-2, -1)))
    torch.testing.assert_close(moved, gate(image).roll((5, 3), dims=(-2, -1)))
    assert not torch.allclose(gate(image), image)


def test_with_a_margin_no_border_reaches_the_opposite_one() -> None:
    torch.manual_seed(1)
    gate = SpectralGate(1, 3, margin=6)
    with torch.no_grad():
        gate.leave.weight.copy_(torch.randn(gate.leave.weight.shape))
        # Gates that are the same whatever the image: a filter that reaches 4 columns far.
        gate.gate[2].weight.zero_()
        gate._gates = lambda real, imaginary, height: torch.exp(
            -20.0 * torch.linspace(0.0, 0.5, real.shape[-1]) ** 2
        ).expand(real.shape)
    image = torch.zeros(1, 1, 20, 20)
    image[..., 1] = 5.0
    change = gate(image) - gate(torch.zeros_like(image)) - image
    assert change[..., 3].abs().max() > 0.05
    assert change[..., 15:].abs().max() < 1e-3
    gate.margin = 0
    assert (gate(image) - gate(torch.zeros_like(image)) - image)[..., 19].abs().max() > 0.05


def waves(count: int, size: int, seed: int) -> tuple[Tensor, Tensor]:
    """(count, 1, size, size) plane waves of any direction, in as much noise, and without."""
    random = torch.Generator().manual_seed(seed)
    y, x = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    u, v, phase = torch.rand(3, count, 1, 1, 1, generator=random)
    clean = torch.cos(torch.pi * (0.8 * u * y + 0.8 * v * x + 2 * phase)) * 2**0.5
    return clean + torch.randn(clean.shape, generator=random), clean


@pytest.mark.slow
def test_gate_learns_to_take_waves_out_of_noise_at_any_size() -> None:
    """An ideal filter leaves the noise of a few of the frequencies; a 5×5 mean leaves more."""
    torch.manual_seed(0)
    gate = SpectralGate(1, 2)
    optimizer = torch.optim.Adam(gate.parameters(), 0.03)
    for step in range(80):
        noisy, clean = waves(8, 48, step)
        optimizer.zero_grad()
        (gate(noisy) - clean).square().mean().backward()
        optimizer.step()
    for size in (48, 96):
        noisy, clean = waves(16, size, 1000)
        with torch.inference_mode():
            left = (gate(noisy) - clean).square().mean().item()
        assert left < 0.2 * (noisy - clean).square().mean().item()


def test_absurd_numbers_of_channels_are_refused() -> None:
    with pytest.raises(ValueError, match="spectral"):
        networks.create("unet", spectral=10**9)
    with pytest.raises(ValueError, match="margin"):
        networks.create("unet", spectral=4, margin=-1)
