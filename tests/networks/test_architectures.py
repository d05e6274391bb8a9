"""Every network by name: its size, the shapes it takes, and laws that all of them obey."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from napari_atomseg import networks
from napari_atomseg.networks import layers
from napari_atomseg.networks.files import ModelCard, load_weights, save_weights

PARAMETERS = {
    "unet": 1_643_652,
    "atomsegnet_unet": 1_742_529,
    "atomsegnet_nested": 9_162_753,
    "cgrdn": 7_035_521,
    "cgrdn_small": 716_356,
    "cgrdn_spectral": 763_012,
    "grdn": 7_019_073,
    "apgan_generator": 1_112_897,
    "fcn1": 426_177,
    "fcn2": 594_033,
    "nafnet": 1_524_452,
    "scan_lines": 1_209_362,
}

SMALL: dict[str, dict[str, object]] = {
    "unet": {"widths": (4, 8, 8)},
    "atomsegnet_unet": {"widths": (4, 8, 8)},
    "atomsegnet_nested": {"widths": (4, 6, 8)},
    "cgrdn": {"width": 8, "growth": 4, "layers": 3, "blocks": 2, "groups": 2},
    "cgrdn_small": {"width": 8, "growth": 4, "layers": 2, "blocks": 2, "groups": 2},
    "cgrdn_spectral": {
        "width": 8,
        "growth": 4,
        "layers": 2,
        "blocks": 2,
        "groups": 2,
        "spectral": 4,
    },
    "grdn": {"width": 8, "growth": 4, "layers": 3, "blocks": 2, "groups": 2},
    "apgan_generator": {"width": 8, "blocks": 3},
    "fcn1": {"widths": (4, 8, 8)},
    "fcn2": {"width": 4},
    "nafnet": {"width": 8},
    "scan_lines": {"widths": (4, 8, 8)},
}

every_network = pytest.mark.parametrize("name", networks.names())


def small(name: str, **kwargs: object) -> nn.Module:
    """A narrow network of that architecture, no parameter of which is zero."""
    torch.manual_seed(0)
    network = networks.create(name, **SMALL[name] | kwargs)
    with torch.no_grad():
        for parameter in network.parameters():
            if not parameter.any():
                parameter.normal_(std=0.1)
    return network


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@every_network
def test_network_has_the_size_it_states(name: str) -> None:
    with torch.device("meta"):
        network = networks.create(name)
    assert parameters(network) == PARAMETERS[name]


def test_published_sizes() -> None:
    """The papers' own figures: 1.74 M and 9.16 M, 7.02 M and 7.04 M (r_em, Table 1)."""
    figures = {"atomsegnet_unet": 1.74, "atomsegnet_nested": 9.16, "grdn": 7.02, "cgrdn": 7.04}
    for name, millions in figures.items():
        assert round(PARAMETERS[name] / 1e6, 2) == millions


@every_network
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("shape", [(1, 1), (1, 37), (7, 130), (64, 64), (65, 33)])
def test_any_size_goes_in_and_the_same_comes_out(
    name: str, shape: tuple[int, int], training: bool
) -> None:
    network = small(name, channels_out=3).train(training)
    maps = network(torch.rand(1, 1, *shape))
    assert maps.shape == (1, 3, *shape)
    assert maps.isfinite().all()


@every_network
def test_several_channels_go_in(name: str) -> None:
    network = small(name, channels_in=2, channels_out=2)
    image = torch.rand(2, 2, 16, 16, requires_grad=True)
    maps = network(image)
    assert maps.shape == image.shape
    (maps * torch.randn_like(maps)).sum().backward()
    assert image.grad is not None
    assert image.grad.abs().amax(dim=(0, 2, 3)).all()


@pytest.mark.slow
@every_network
def test_each_image_is_answered_alone_and_always_the_same(name: str) -> None:
    network = small(name).eval()
    images = torch.rand(3, 1, 24, 21)
    with torch.inference_mode():
        together = network(images)
        torch.testing.assert_close(network(images), together, rtol=0, atol=0)
        for image, answer in zip(images, together, strict=True):
            torch.testing.assert_close(network(image[None])[0], answer)


@every_network
def test_memory_layout_changes_nothing(name: str) -> None:
    network = small(name).eval()
    images = torch.rand(2, 1, 24, 21)
    with torch.inference_mode():
        before = network(images)
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        after = network(images.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-5)


@every_network
@pytest.mark.parametrize("half", [True, False])
def test_every_parameter_learns_also_in_half_precision(name: str, half: bool) -> None:
    network = small(name, channels_out=2)
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        maps = network(torch.randn(2, 1, 32, 32))
    assert maps.dtype == torch.float32
    (maps * torch.randn_like(maps)).sum().backward()
    # Exactly zero is right for a bias that a normalisation takes away again.
    gradients = {key: p.grad for key, p in network.named_parameters() if not key.endswith("bias")}
    assert all(g is not None and g.isfinite().all() and g.any() for g in gradients.values())


@pytest.mark.slow
@every_network
def test_new_network_gets_better_by_training(name: str) -> None:
    torch.manual_seed(0)
    network = networks.create(name, **SMALL[name])
    image, truth = torch.rand(2, 1, 16, 16), torch.rand(2, 1, 16, 16)
    optimizer = torch.optim.Adam(network.parameters(), 3e-3)
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        loss = (network(image) - truth).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]


@every_network
def test_weights_file_gives_the_network_back(name: str, tmp_path) -> None:
    network = small(name)
    network(torch.rand(4, 1, 16, 16))  # statistics of the normalisations move
    arguments = {key: list(v) if isinstance(v, tuple) else v for key, v in SMALL[name].items()}
    card = ModelCard(
        name="x", architecture=name, arguments=arguments, tasks=("denoise",), normalisation="none"
    )
    save_weights(tmp_path / "x.safetensors", network, card, half=False)
    loaded, _ = load_weights(tmp_path / "x.safetensors")
    image = torch.rand(1, 1, 20, 24)
    torch.testing.assert_close(loaded(image), network.eval()(image), rtol=0, atol=0)


@every_network
@pytest.mark.parametrize(
    ("activation", "law"),
    [
        ("sigmoid", torch.sigmoid),
        ("tanh", torch.tanh),
        ("softmax", lambda maps: torch.softmax(maps, dim=1)),
    ],
)
def test_activation_is_the_last_thing(name: str, activation: str, law) -> None:
    plain = small(name, channels_out=2, activation="none").eval()
    bent = small(name, channels_out=2, activation=activation).eval()
    bent.load_state_dict(plain.state_dict())
    image = torch.randn(1, 1, 16, 16)
    torch.testing.assert_close(bent(image), law(plain(image)))


@pytest.mark.parametrize(
    ("name", "lowest"),
    [("atomsegnet_unet", 0.0), ("atomsegnet_nested", -1.0), ("apgan_generator", 0.0)],
)
def test_default_activation_is_the_published_one(name: str, lowest: float) -> None:
    network = small(name).eval()
    nn.init.zeros_(network.exit.weight)
    for bias, expected in ((-50.0, lowest), (50.0, 1.0)):
        nn.init.constant_(network.exit.bias, bias)
        assert network(torch.randn(1, 1, 8, 8)).mean().item() == pytest.approx(expected)


@pytest.mark.parametrize("name", ["unet", "cgrdn", "cgrdn_small", "grdn", "nafnet", "fcn1", "fcn2"])
def test_shift_by_a_stride_shifts_the_maps(name: str) -> None:
    """A position that is found does not depend on where in the image it lies."""
    arguments = {"widths": (4, 8)} if name in ("unet", "fcn1") else {}
    if name == "nafnet":
        arguments = {"encoder": (1,), "decoder": (1,), "middle": 1}
    network = small(name, **arguments).eval()
    image = torch.rand(1, 1, 192, 192)
    inner = slice(88, 104)
    with torch.inference_mode():
        whole = network(image)[..., inner, inner]
        shifted = network(image[..., 8:, 8:])[..., 80:96, 80:96]
    torch.testing.assert_close(shifted, whole, rtol=1e-4, atol=1e-5)


def test_unet_of_atomsegnet_keeps_places_in_any_size() -> None:
    """Interpolation between corners would stretch a large image by another amount than a small."""
    network = small("atomsegnet_unet").eval()
    image = torch.rand(1, 1, 128, 128)
    with torch.inference_mode():
        whole, part = network(image), network(image[..., :96, :96])
    torch.testing.assert_close(part[..., :64, :64], whole[..., :64, :64], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["cgrdn", "cgrdn_small", "grdn"])
def test_grouped_dense_networks_correct_the_image(name: str) -> None:
    network = small(name, channels_out=3)
    nn.init.zeros_(network.exit.weight)
    nn.init.zeros_(network.exit.bias)
    image = torch.rand(1, 1, 13, 9)
    torch.testing.assert_close(network(image), image.expand(1, 3, 13, 9))
    plain = small(name, channels_out=3, residual=False)
    plain.load_state_dict(network.state_dict())
    assert not plain(image).any()


def reaches_output(network: nn.Module, group: nn.Module) -> bool:
    """Whether the output depends on a group's parameters."""
    network.zero_grad()
    network(torch.rand(1, 1, 16, 16)).square().sum().backward()
    gradients = [parameter.grad for parameter in group.parameters()]
    return any(gradient is not None and bool(gradient.any()) for gradient in gradients)


@pytest.mark.parametrize("chosen", [0, 1, 2])
def test_all_groups_are_fused_into_a_correction(chosen: int) -> None:
    """Fusing one group's result brings in that group and those before it, and no other."""
    network = small("cgrdn", groups=3)
    with torch.no_grad():
        network.fuse.weight.zero_()
        network.fuse.weight[:, 8 * chosen : 8 * chosen + 8, 0, 0] = torch.eye(8)
    found = [reaches_output(network, group) for group in network.groups]
    assert found == [i <= chosen for i in range(3)]
    nn.init.zeros_(network.fuse.weight)
    assert not any(reaches_output(network, group) for group in network.groups)


def test_plain_form_uses_the_last_group_alone() -> None:
    network = small("grdn", groups=3)
    assert network.fuse is None
    with torch.no_grad():
        network.groups[2].register_forward_hook(lambda module, given, result: 0.0 * result)
    assert not any(reaches_output(network, group) for group in network.groups)


def test_dense_layers_see_all_before_them() -> None:
    network = small("cgrdn", width=8, growth=4, layers=3)
    block = network.groups[0].blocks[0]
    assert [layer.in_channels for layer in block.dense] == [8, 12, 16]
    assert block.fuse.in_channels == 20


def test_gated_network_starts_without_its_blocks() -> None:
    torch.manual_seed(0)
    network = networks.create("nafnet", width=8).eval()
    for block in network.encoder:
        inside = torch.rand(1, block[0].spatial_scale.numel(), 6, 6)
        torch.testing.assert_close(block(inside), inside, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("perceptron", {}, "patch_discriminator"),
        ("fcn1", {"activation": "relu"}, "softmax"),
        ("cgrdn", {"layers": 10**9}, "layers"),
        ("cgrdn", {"groups": 0}, "groups"),
        ("cgrdn", {"channels_in": 2, "channels_out": 3}, "residual"),
        ("apgan_generator", {"blocks": 10**9}, "blocks"),
        ("nafnet", {"encoder": (1, 10**9, 1)}, r"encoder\[1\]"),
        ("nafnet", {"encoder": (1, 1)}, "decoder"),
        ("patch_discriminator", {"widths": (8, 8)}, "widths"),
    ],
)
def test_bad_arguments_are_named(name: str, arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        networks.create(name, **arguments)


@pytest.mark.parametrize(("size", "least"), [((1, 1), 8), ((5, 9), 1), ((8, 16), 8), ((3, 70), 16)])
def test_padding_goes_to_the_next_multiple_and_keeps_the_image(
    size: tuple[int, int], least: int
) -> None:
    image: Tensor = torch.rand(1, 2, *size)
    padded = layers.pad_to_multiple(image, 4, least)
    for before, after in zip(size, padded.shape[-2:], strict=True):
        assert after % 4 == 0
        assert max(before, least) <= after < max(before + 4, least + 1)
    torch.testing.assert_close(padded[..., : size[0], : size[1]], image, rtol=0, atol=0)
