"""Networks computed in pieces give what they give at once."""

import pytest
import torch

from napari_atomseg import networks
from napari_atomseg.networks.pieces import in_pieces, pieces_of

SMALL = {
    "unet": {"widths": (8, 16, 16), "spectral": 4},
    "cgrdn_spectral": {"width": 8, "growth": 4, "layers": 2, "blocks": 2, "groups": 2},
    "cgrdn": {"width": 8, "growth": 4, "layers": 3, "blocks": 2, "groups": 2},
    "grdn": {"width": 8, "growth": 4, "layers": 2, "blocks": 2, "groups": 2},
}


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("shape", [(96, 130), (61, 75)])
def test_pieces_make_no_difference(name, shape):
    generator = torch.Generator().manual_seed(3)
    network = networks.create(name, **SMALL[name]).eval()
    # Weights that leave no layer at zero, as those of the last are at first.
    for parameter in network.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator) * 0.2
    image = torch.randn((1, 1, *shape), generator=generator)
    with torch.inference_mode():
        whole = network(image)
        with pieces_of(32):
            divided = network(image)
    assert divided.shape == whole.shape
    assert float((divided - whole).abs().max()) < 1e-4 * float(whole.std())


def test_each_piece_is_small_and_can_be_stopped():
    seen, checks = [], []

    def layer(x):
        seen.append(max(x.shape[-2:]))
        return x + 1.0

    features = torch.zeros(1, 2, 50, 30)
    assert in_pieces(layer, features, stride=2, halo=3).eq(1.0).all()
    assert seen == [50]
    seen.clear()
    with pieces_of(32, lambda: checks.append(True)):
        assert in_pieces(layer, features, stride=2, halo=3).eq(1.0).all()
    assert max(seen) <= 16 + 2 * 4
    assert len(checks) == len(seen) == 4 * 2
    # Afterwards all is computed at once again.
    seen.clear()
    in_pieces(layer, features, stride=2, halo=3)
    assert seen == [50]
