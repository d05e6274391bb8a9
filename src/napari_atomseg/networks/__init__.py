"""Networks by name. Each maps (B, C_in, H, W) to (B, C_out, H, W) for any H and W."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

_NETWORKS = {"unet": ("unet", "UNet")}
"""Module and class of each architecture, loaded when one is made: model cards need no PyTorch."""


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
    module, kind = _NETWORKS[name]
    network: nn.Module = getattr(import_module(f"{__name__}.{module}"), kind)(**kwargs)
    return network
