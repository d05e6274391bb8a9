"""Where model files lie."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

CACHE_VARIABLE = "NAPARI_ATOMSEG_CACHE"
"""Environment variable that moves the cache folder; read anew at each use."""

BUNDLED = Path(__file__).parent / "files"
"""Models in an installed package."""

_REPOSITORY = Path(__file__).parents[3]


def clone_folder() -> Path | None:
    """The folder `models` of the repository, if the package runs from a clone of it."""
    folder = _REPOSITORY / "models"
    is_clone = (_REPOSITORY / "pyproject.toml").is_file() and folder.is_dir()
    return folder if is_clone else None


def shipped_folders() -> list[Path]:
    """Folders of models that came with the package or its repository, and are only read."""
    clone = clone_folder()
    return [BUNDLED] if clone is None else [BUNDLED, clone]


def cache_folder() -> Path:
    """The folder of downloaded files; it need not exist."""
    moved = os.environ.get(CACHE_VARIABLE)
    if moved:
        return Path(moved).expanduser()
    return platformdirs.user_cache_path("napari-atomseg", appauthor=False)


def models_folder() -> Path:
    """The folder of the user's own models, and of published ones that were put there by hand."""
    return cache_folder() / "models"


def downloads_folder() -> Path:
    """The folder of downloaded models: a download never meets a file of the user's own."""
    return models_folder() / "published"
