"""Networks by name. Each maps (B, C_in, H, W) to (B, C_out, H, W) for any H and W.

All take `channels_in` (1), `channels_out` (1) and `activation`: what follows the last layer,
"none", "sigmoid", "tanh" or "softmax"; by default what the source has. Discriminators take
`channels_in` and map images to one value a patch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

_NETWORKS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "unet": ("unet", "UNet", {}),
    "atomsegnet_unet": ("atomsegnet", "AtomSegNetUNet", {}),
    "atomsegnet_nested": ("atomsegnet", "AtomSegNetNested", {}),
    "cgrdn": ("cgrdn", "CGRDN", {}),
    "cgrdn_small": (
        "cgrdn",
        "CGRDN",
        {"growth": 16, "layers": 4, "blocks": 3, "groups": 3, "stem": 2},
    ),
    "cgrdn_spectral": (
        "cgrdn",
        "CGRDN",
        {"growth": 16, "layers": 4, "blocks": 3, "groups": 3, "stem": 2, "spectral": 16},
    ),
    "grdn": ("cgrdn", "CGRDN", {"concatenate": False}),
    "apgan_generator": ("apgan", "Generator", {}),
    "fcn1": ("fcn", "EncoderDecoder", {}),
    "fcn2": ("fcn", "LeakyUNet", {}),
    "nafnet": ("nafnet", "NAFNet", {}),
}
"""Module, class and preset arguments of each; modules are imported when a network is made."""

_DISCRIMINATORS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "patch_discriminator": ("apgan", "PatchDiscriminator", {}),
    "apgan_discriminator": ("apgan", "Discriminator", {}),
}


def names() -> list[str]:
    """Names of the networks that map images to images."""
    return list(_NETWORKS)


def discriminators() -> list[str]:
    """Names of the discriminators for adversarial training."""
    return list(_DISCRIMINATORS)


def linear(name: str) -> dict[str, Any]:
    """Arguments for a network without a final activation, whose channels are those of tasks."""
    residual = {"residual": False} if _NETWORKS[name][1] == "CGRDN" else {}
    return {"activation": "none", **residual}


def akin(one: str, other: str) -> bool:
    """Whether two names are networks of the same class, of whatever size."""
    kinds = [_NETWORKS[name][:2] if name in _NETWORKS else name for name in (one, other)]
    return kinds[0] == kinds[1]


def create(name: str, **kwargs: Any) -> nn.Module:
    """A new network of the named architecture.

    Raises
    ------
    ValueError
        The name is neither in `names()` nor in `discriminators()`, or an argument is out of range.
    """
    known = _NETWORKS | _DISCRIMINATORS
    if name not in known:
        raise ValueError(f"network {name!r} is not known; choose one of {', '.join(known)}")
    module, kind, preset = known[name]
    network: nn.Module = getattr(import_module(f"{__name__}.{module}"), kind)(**preset | kwargs)
    return network
