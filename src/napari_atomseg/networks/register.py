"""The register of networks: a decorator of their classes, and the list that it makes."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from torch import nn

PACKAGE = "napari_atomseg.networks"
LARGEST_COUNT = 64
"""Largest number of levels, or of blocks of one kind; a card with more is damaged."""
AnyNetwork = TypeVar("AnyNetwork", bound="type[nn.Module]")


@dataclass(frozen=True)
class Architecture:
    """A network by name.

    Attributes
    ----------
    name : in recipes and on model cards.
    network : its class.
    preset : arguments that differ from the defaults of the class.
    judges : whether it is a discriminator, which maps an image to one value a patch.
    """

    name: str
    network: type[nn.Module]
    preset: dict[str, Any] = field(default_factory=dict)
    judges: bool = False

    def takes(self, argument: str) -> bool:
        """Whether the class has an argument of that name."""
        return argument in inspect.signature(self.network).parameters


_FOUND: dict[str, Architecture] = {}


def network(name: str, **preset: Any) -> Callable[[AnyNetwork], AnyNetwork]:
    """Register a class as a network, which recipes name; with presets, one of several sizes."""
    return _register(name, preset, judges=False)


def discriminator(name: str, **preset: Any) -> Callable[[AnyNetwork], AnyNetwork]:
    """Register a class as a discriminator for adversarial training."""
    return _register(name, preset, judges=True)


def _register(
    name: str, preset: dict[str, Any], *, judges: bool
) -> Callable[[AnyNetwork], AnyNetwork]:
    def register(kind: AnyNetwork) -> AnyNetwork:
        if name in _FOUND:
            raise ValueError(f"there are two networks {name!r}")
        _FOUND[name] = Architecture(name, kind, preset, judges)
        return kind

    return register


@cache
def architectures() -> dict[str, Architecture]:
    """Every registered class of the modules of this package, by name; the first call imports torch.

    A new module is found without being listed anywhere.
    """
    for module in iter_modules(import_module(PACKAGE).__path__, f"{PACKAGE}."):
        import_module(module.name)
    return dict(sorted(_FOUND.items()))
