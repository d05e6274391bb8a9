"""Settings of the plugin in napari's Preferences."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from napari_atomseg.weights.store import CACHE_VARIABLE

_OUTSIDE = os.environ.get(CACHE_VARIABLE)
"""Cache folder set before napari started, used where Preferences have none."""


@dataclass(frozen=True)
class Preferences:
    """Settings shared by all panels; napari before 0.9 has no such page, and uses the defaults."""

    device: str = "auto"
    quality: str = "standard"
    precision: str = "auto"
    tile_size: int = 1024
    cache_folder: str = ""


def preferences() -> Preferences:
    """Read the current preferences, and set the cache folder accordingly."""
    page = _page()
    chosen = Preferences()
    if page is not None:
        chosen = Preferences(
            page.device, page.quality, page.precision, page.tile_size, page.cache_folder
        )
    _move_cache(chosen.cache_folder or _OUTSIDE)
    return chosen


def _move_cache(folder: str | None) -> None:
    if folder:
        os.environ[CACHE_VARIABLE] = folder
    else:
        os.environ.pop(CACHE_VARIABLE, None)


def _page() -> Any:
    try:
        from napari.settings import get_plugin_settings
    except ImportError:
        return None
    try:
        return get_plugin_settings("napari-atomseg").computing
    except KeyError:
        return None
