"""The network of scan lines: what its sums along the lines promise."""

import math

import torch

from napari_atomseg import networks


def lines_network(**kwargs):
    torch.manual_seed(0)
    network = networks.create("scan_lines", channels_out=4, widths=(4, 8, 8), **kwargs).eval()
    with torch.no_grad():
        network.numerators.weight.normal_(std=0.1)
    return network


@torch.no_grad()
def test_maps_are_constant_along_the_lines() -> None:
    maps = lines_network()(torch.randn(2, 1, 21, 34))
    torch.testing.assert_close(maps, maps[..., :1].expand_as(maps), rtol=0, atol=0)
    assert maps.std(dim=2).min() > 0


@torch.no_grad()
def test_a_longer_line_is_known_better_in_proportion_to_its_square_root() -> None:
    """The same pattern twice as often along the line: twice the information, no less doubt in
    common."""
    network = lines_network()
    tile = torch.randn(1, 1, 32, 32)
    short, long = (network(tile.repeat(1, 1, 1, n))[0, 2:, 8:24, 0] for n in (8, 32))
    torch.nn.init.constant_(network.floor.bias, -40.0)
    torch.nn.init.zeros_(network.floor.weight)
    alone = [network(tile.repeat(1, 1, 1, n))[0, 2:, 8:24, 0] for n in (8, 32)]
    ratio = (alone[0] - alone[1]).exp().mean().item()
    assert math.isclose(ratio, 2.0, rel_tol=0.1)
    assert ((short - long).exp() < 2.0).all()


@torch.no_grad()
def test_a_new_network_moves_nothing() -> None:
    maps = networks.create("scan_lines", channels_out=4)(torch.randn(1, 1, 32, 32))
    shift = maps[0, :2, :, 0]
    assert (shift.amax(1) - shift.amin(1)).max() < 1e-6
