"""Layers to files: points as tables of columns, with their sampling and how they were made."""

from __future__ import annotations

from typing import Any

from napari_atomseg._napari.columns_table import write_layer


def write_columns(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Write a points layer as a table that `read_columns` puts back where it was.

    Points that were moved, added or deleted by hand are written as they are now: a point without
    measurements has empty fields.
    """
    write_layer(path, data, attributes)
    return [path]
