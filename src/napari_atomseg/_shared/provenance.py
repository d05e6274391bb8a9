"""Provenance of a result: how it was made, in plain values for files and layers."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np


def package_version() -> str:
    """Version of the installed package."""
    return metadata.version("napari-atomseg")


def provenance(
    action: str,
    source: str,
    settings: Mapping[str, Any],
    *,
    model: str = "",
    sha256: str = "",
) -> dict[str, Any]:
    """Provenance of one result, in values that JSON can hold.

    Parameters
    ----------
    action : "simulate", "restore", "segment" or "localize".
    source : name of the image or crystal that the result was made from.
    settings : all settings needed to repeat it.
    model, sha256 : name of the trained network and hash of its file, where one was used.
    """
    record: dict[str, Any] = {
        "package": "napari-atomseg",
        "version": package_version(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "action": action,
        "source": source,
        "settings": {name: plain(value) for name, value in settings.items()},
    }
    return record | ({"model": model, "sha256": sha256} if model else {})


def plain(value: Any) -> Any:
    """`value` in the types of JSON: arrays become lists, paths and other objects strings."""
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    if isinstance(value, (np.ndarray, np.generic)):
        return plain(value.tolist())
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return str(value.as_posix() if isinstance(value, Path) else value)
