"""Restore, segment and localize atomic columns in electron microscope images.

Every public name is loaded when it is first used, so that importing the package costs nothing.
"""

from importlib import import_module, metadata
from typing import Any

import lazy_loader

_load, _, _names = lazy_loader.attach_stub(__name__, __file__)
__all__ = sorted(["analyze", *_names])


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return metadata.version("napari-atomseg")
    if name == "analyze":
        return import_module("napari_atomseg.analysis")
    return _load(name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
