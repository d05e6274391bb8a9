"""What the user set on the plugin's page of napari's Preferences."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from napari_atomseg.weights.store import CACHE_VARIABLE

_OUTSIDE = os.environ.get(CACHE_VARIABLE)
"""Cache folder that was set before napari started; holds where Preferences name none."""


@dataclass(frozen=True)
class Preferences:
    """Settings shared by all panels; the defaults hold where napari has no such page (< 0.9)."""

    device: str = "auto"
    precision: str = "auto"
    tile_size: int = 1024
    cache_folder: str = ""


def preferences() -> Preferences:
    """Read the preferences as they are now, and keep files where they say."""
    page = _page()
    chosen = Preferences()
    if page is not None:
        chosen = Preferences(page.device, page.precision, page.tile_size, page.cache_folder)
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
