"""Networks by name. Each maps (B, C_in, H, W) to (B, C_out, H, W) for any H and W."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from napari_atomseg.networks.unet import UNet

_NETWORKS: dict[str, Callable[..., nn.Module]] = {"unet": UNet}


def names() -> list[str]:
    """Names that `create` knows."""
    return list(_NETWORKS)


def create(name: str, **kwargs: Any) -> nn.Module:
    """A new network of the named architecture.

    Raises
    ------
    ValueError
        The name is not in `names()`.
    """
    if name not in _NETWORKS:
        raise ValueError(f"network {name!r} is not known; choose one of {', '.join(_NETWORKS)}")
    return _NETWORKS[name](**kwargs)
