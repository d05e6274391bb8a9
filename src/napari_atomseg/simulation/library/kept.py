"""Samples of a slow recipe, kept one by one until their block is written.

A block of samples is stored and resumed as one, which is soon made again. Where a sample takes
minutes, as by multislice, each is kept beside the record of its block, so that a library that is
interrupted loses one sample at most.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from napari_atomseg._shared.plain_json import read_json
from napari_atomseg.simulation.library.files import write_whole
from napari_atomseg.simulation.library.layout import Parts

_TEXTS, _ROW, _MAPS = "texts", "row", "maps"
_PICTURE = "picture:"


def is_slow(recipe: Mapping[str, Any]) -> bool:
    """Whether the samples of a recipe take minutes each."""
    imaging = recipe.get("imaging")
    return isinstance(imaging, Mapping) and bool(imaging.get("multislice"))


def write_kept(path: Path, parts: Parts, row: Mapping[str, Any]) -> None:
    """Keep a sample and its line of the index, exactly."""
    arrays = {f"{_PICTURE}{name}": picture for name, picture in parts.pictures.items()}
    if parts.maps is not None:
        arrays[_MAPS] = parts.maps
    arrays[_TEXTS] = np.array(json.dumps({"name": parts.name, **parts.texts}))
    arrays[_ROW] = np.array(json.dumps(dict(row)))
    stream = BytesIO()
    np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]
    write_whole(path, stream.getvalue())


def read_kept(path: Path) -> tuple[Parts, dict[str, Any]] | None:
    """A sample that was kept, or None where there is none that can be read."""
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as data:
            texts = read_json(str(data[_TEXTS]))
            pictures = {
                name.removeprefix(_PICTURE): data[name]
                for name in data.files
                if name.startswith(_PICTURE)
            }
            maps = data[_MAPS] if _MAPS in data.files else None
            row: dict[str, Any] = read_json(str(data[_ROW]))
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return None
    return Parts(texts.pop("name"), pictures, maps, texts), row
