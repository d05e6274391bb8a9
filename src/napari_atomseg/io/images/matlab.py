"""Images in MATLAB files: variables, and fields of structures and objects, that are numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from napari_atomseg.io.images.contents import Content, images_of
from napari_atomseg.io.images.image import ImageFileError, MicroscopeImage
from napari_atomseg.io.matlab import read_variables, save_as_structure

SUFFIXES = (".mat",)

_SMALLEST = 16
"""Arrays with a shorter side are tables of columns."""
_STATSTEM = ("obs", "model", "pModel")
"""Fields of StatSTEM that are images, of the pixel size `dx` in the same structure, in Å."""


def read_matlab(path: Path) -> list[MicroscopeImage]:
    """Every array of two or three axes; the third axis, which counts images, becomes the first."""
    variables = read_variables(path)
    contents = list(_arrays(variables, ""))
    unread = save_as_structure(variables)
    if not contents and unread:
        raise ImageFileError(f"{path}: {unread}")
    if not contents:
        raise ImageFileError(
            f"{path}: no image in it; it holds {', '.join(variables) or 'nothing'}"
        )
    return images_of(path, contents)


def _arrays(values: Mapping[str, Any], place: str) -> Iterator[Content]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _arrays(value, f"{place}{name}.")
        elif _is_image(value):
            data = np.moveaxis(value, -1, 0) if value.ndim == 3 else value
            step = values.get("dx") if name in _STATSTEM else None
            scale = float(step) if isinstance(step, (int, float)) and step > 0 else None
            leading: list[dict[str, Any]] = [{}] * (data.ndim - 2)
            yield {
                "data": data,
                "axes": [*leading, *({"scale": scale, "units": "Å"} for _ in "yx")],
                "title": f"{place}{name}",
            }


def _is_image(value: Any) -> bool:
    return (
        isinstance(value, np.ndarray)
        and value.ndim in (2, 3)
        and value.dtype.kind in "buifc"
        and min(value.shape[:2]) >= _SMALLEST
    )
