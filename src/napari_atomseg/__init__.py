"""Restore, segment and localize atomic columns in electron microscope images.

Every public name is loaded when it is first used, so that importing the package costs nothing.
"""

from __future__ import annotations

from importlib import import_module, metadata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_atomseg import analysis as analyze
    from napari_atomseg.inference import restore
    from napari_atomseg.localization.localize import localize
    from napari_atomseg.localization.segment import segment
    from napari_atomseg.simulation import simulate
    from napari_atomseg.specimen import crystals
    from napari_atomseg.training import train
    from napari_atomseg.trust import consistency
    from napari_atomseg.weights import models

__version__: str

__all__ = [
    "analyze",
    "consistency",
    "crystals",
    "localize",
    "models",
    "restore",
    "segment",
    "simulate",
    "train",
]

_HOMES = {
    "consistency": "trust",
    "crystals": "specimen",
    "localize": "localization",
    "models": "weights",
    "restore": "inference",
    "segment": "localization",
    "simulate": "simulation",
    "train": "training",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return metadata.version("napari-atomseg")
    if name == "analyze":
        return import_module("napari_atomseg.analysis")
    if name in _HOMES:
        return getattr(import_module(f"napari_atomseg.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
