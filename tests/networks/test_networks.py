"""The U-Net and the normalisation around it."""

import pytest
import torch

from napari_atomseg import networks
from napari_atomseg._shared.device import choose_device
from napari_atomseg.networks.maps import compose, denormalise, normalise
from napari_atomseg.networks.tasks import TASKS


@pytest.mark.parametrize("shape", [(1, 1), (7, 130), (64, 64), (65, 33)])
def test_any_size_goes_in_and_the_same_comes_out(shape):
    network = networks.create("unet", channels_out=5, widths=(4, 8, 8), stem=2).eval()
    with torch.inference_mode():
        assert network(torch.rand(2, 1, *shape)).shape == (2, 5, *shape)


def test_every_parameter_learns():
    torch.manual_seed(0)
    network = networks.create("unet", channels_out=2, widths=(4, 8, 8))
    torch.nn.init.normal_(network.exit.weight)
    network(torch.rand(2, 1, 32, 32)).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())


def test_normalisation_is_undone_to_scale_and_offset():
    image = 37.0 + 5.0 * torch.randn(3, 1, 16, 16)
    normal, mean, deviation = normalise(image)
    maps = compose(torch.zeros(3, len(TASKS), 16, 16), normal)
    back = denormalise(maps, mean, deviation)
    assert torch.allclose(back[:, :1], image, atol=1e-4)
    assert torch.allclose(back[:, 1:2], image - mean, atol=1e-4)
    assert torch.all(back[:, 3:] == 0.5)


def test_unknown_names_are_answered_with_the_known():
    with pytest.raises(ValueError, match="unet"):
        networks.create("perceptron")
    with pytest.raises(ValueError, match="device"):
        choose_device("tpu")
