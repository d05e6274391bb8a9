"""Restore, segment and localize atomic columns in electron microscope images.

Every public name is loaded when it is first used, so that importing the package costs nothing.
"""

from importlib import import_module
from typing import Any

import lazy_loader

_load, _, _names = lazy_loader.attach_stub(__name__, __file__)
_ROOMS = {"analyze": "analysis", "measurements": "measurements", "workflow": "workflow"}
"""Packages that are public as they are."""

__all__ = sorted([*_ROOMS, *_names])


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib import metadata

        return metadata.version("napari-atomseg")
    if name in _ROOMS:
        return import_module(f"{__name__}.{_ROOMS[name]}")
    return _load(name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
