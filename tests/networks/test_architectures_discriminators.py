"""Networks that judge images: what one value sees, and what it means."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from napari_atomseg import networks

SMALL = {
    "patch_discriminator": {"channels_in": 1, "widths": (4, 4, 8, 8)},
    "apgan_discriminator": {"channels_in": 1, "widths": (4, 4, 8, 8)},
}
PARAMETERS = {"patch_discriminator": 2_764_609, "apgan_discriminator": 1_550_850}

every_discriminator = pytest.mark.parametrize("name", networks.discriminators())


def small(name: str) -> nn.Module:
    torch.manual_seed(0)
    return networks.create(name, **SMALL[name])


def seen(network: nn.Module, size: int) -> tuple[int, int]:
    """Height and width of the pixels that the value in the middle depends on."""
    for module in network.modules():
        for child, layer in module.named_children():
            if isinstance(layer, nn.InstanceNorm2d):  # it sees the whole image by its moments
                setattr(module, child, nn.Identity())
    image = torch.rand(1, 1, size, size, requires_grad=True)
    values: Tensor = network(image)
    middle = values.shape[-1] // 2
    values[0, 0, middle, middle].backward()
    assert image.grad is not None
    rows, columns = image.grad[0, 0].nonzero(as_tuple=True)
    return int(rows.max() - rows.min()) + 1, int(columns.max() - columns.min()) + 1


@every_discriminator
def test_discriminator_has_the_size_it_states(name: str) -> None:
    assert sum(p.numel() for p in networks.create(name).parameters()) == PARAMETERS[name]


def test_patch_discriminator_gives_32_values_a_side_of_256_pixels() -> None:
    """The dimensions that r_em states for its training images."""
    assert small("patch_discriminator")(torch.rand(1, 1, 256, 256)).shape == (1, 1, 32, 32)


@pytest.mark.parametrize(
    ("name", "side"), [("patch_discriminator", 70), ("apgan_discriminator", 31)]
)
def test_one_value_sees_a_patch_of_the_stated_size(name: str, side: int) -> None:
    assert seen(small(name), 256) == (side, side)


@every_discriminator
@pytest.mark.parametrize("shape", [(1, 1), (1, 37), (7, 130), (65, 33)])
def test_any_size_is_judged(name: str, shape: tuple[int, int]) -> None:
    network = small(name)
    values = network(torch.rand(1, 1, *shape))
    assert values.shape[:2] == (1, 1)
    assert values.isfinite().all()


@every_discriminator
def test_gradient_reaches_the_image_and_every_parameter_in_half_precision(name: str) -> None:
    network = small(name)
    image = torch.rand(2, 1, 48, 48, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        values = network(image)
    assert values.dtype == torch.float32
    (values * torch.randn_like(values)).sum().backward()
    gradients = [image.grad, *(parameter.grad for parameter in network.parameters())]
    assert all(g is not None and g.isfinite().all() and g.any() for g in gradients)


@every_discriminator
def test_discriminator_learns_to_tell_columns_from_noise(name: str) -> None:
    network = small(name)
    phase = torch.arange(32) * (2 * torch.pi / 8)
    columns = (1 + torch.cos(phase)[:, None] * torch.cos(phase)).expand(4, 1, 32, 32)
    optimizer = torch.optim.Adam(network.parameters(), 3e-3)
    for _ in range(40):
        noise = torch.rand(4, 1, 32, 32) * 2
        optimizer.zero_grad()
        true, false = network(columns).mean(), network(noise).mean()
        (torch.square(true - 1) + torch.square(false)).backward()
        optimizer.step()
    with torch.inference_mode():
        noise = torch.rand(4, 1, 32, 32) * 2
        assert network(columns).mean() > 0.2 + network(noise).mean()


def test_judgement_of_apgan_is_a_probability() -> None:
    network = small("apgan_discriminator")
    nn.init.normal_(network.exit.weight, std=1e4)
    values = network(torch.randn(4, 1, 64, 64))
    assert values.min().item() >= 0.0
    assert values.max().item() <= 1.0
    assert values.std().item() > 0.1


def test_patch_discriminator_does_not_see_contrast() -> None:
    """Instance normalisation takes scales away, but for the first layer's bias."""
    network = small("patch_discriminator")
    nn.init.zeros_(network.steps[0].convolution.bias)
    image = 1e3 * torch.randn(1, 1, 64, 64)
    torch.testing.assert_close(network(10 * image), network(image), rtol=1e-3, atol=1e-5)
