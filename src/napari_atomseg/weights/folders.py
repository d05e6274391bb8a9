"""Where model files lie."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

CACHE_VARIABLE = "NAPARI_ATOMSEG_CACHE"
"""Environment variable that moves the cache folder; read anew at each use."""

BUNDLED = Path(__file__).parent / "files"
"""Files that come with the package."""


def cache_folder() -> Path:
    """The folder of downloaded files; it need not exist."""
    moved = os.environ.get(CACHE_VARIABLE)
    if moved:
        return Path(moved).expanduser()
    return platformdirs.user_cache_path("napari-atomseg", appauthor=False)


def models_folder() -> Path:
    """The folder of downloaded models and of models that the user put there."""
    return cache_folder() / "models"
