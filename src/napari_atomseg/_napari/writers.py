"""Writers of image and labels layers: TIFF, HDF5 and Zarr with their scale, axes and record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from napari_atomseg._napari.layers import PROVENANCE
from napari_atomseg._shared.units import dimension
from napari_atomseg.io.images.image import MicroscopeImage, Scale
from napari_atomseg.io.images.write import write_image

_UNNAMED = "axis "
"""Start of the names of axes that a file does not name."""


def write_image_layer(path: str, data: Any, attributes: Mapping[str, Any]) -> list[str]:
    """Write an image layer as `read_image` and this plugin's reader give it back.

    Raises
    ------
    TypeError
        It is a picture in colours, or has no real numbers; a sentence for the user. (napari takes a
        `ValueError` for a sign that a writer does not know the suffix.)
    OSError
        The file cannot be written; an existing one stays as it was.
    """
    if attributes.get("rgb"):
        raise TypeError(
            f"{attributes.get('name')!r} is in colours, which have no scale in these files: save "
            "it by napari's own writer, as PNG"
        )
    return _write(path, data, attributes, labels=False)


def write_labels_layer(path: str, data: Any, attributes: Mapping[str, Any]) -> list[str]:
    """Write a labels layer with whole numbers, as `write_image_layer` does."""
    return _write(path, data, attributes, labels=True)


def _write(path: str, data: Any, attributes: Mapping[str, Any], *, labels: bool) -> list[str]:
    pixels = np.asarray(data[0] if attributes.get("multiscale") else data)
    image = MicroscopeImage(
        pixels,
        None,
        _axes(attributes.get("axis_labels"), pixels.ndim),
        title=str(attributes.get("name", "")),
    )
    record = attributes.get("metadata", {}).get(PROVENANCE)
    units = attributes.get("units") or ("pixel",) * pixels.ndim
    steps = attributes.get("scale", np.ones(pixels.ndim))
    scales = [_scale(step, unit) for step, unit in zip(steps, units, strict=True)]
    # The reader counts frames as pixels, for the slider, and keeps the file's steps beside.
    known = attributes.get("metadata", {}).get("file", {}).get("scales", ())
    if len(known) == len(scales):
        leading = zip(scales[:-2], known[:-2], strict=True)
        scales[:-2] = [kept if own == (None, None) else own for own, kept in leading]
    try:
        write_image(path, image, None, record, scales=scales, labels=labels)
    except ValueError as error:
        raise TypeError(str(error)) from error
    return [path]


def _axes(labels: Any, ndim: int) -> tuple[str, ...]:
    """Names of axes as files have them: the last two are rows and columns."""
    leading = ndim - 2
    given = [str(each) for each in labels][:leading] if labels is not None else []
    if len(given) < leading or any(map(_is_number, given)):
        given = ["frame"] if leading == 1 else [f"{_UNNAMED}{number}" for number in range(leading)]
    return (*given, "y", "x")


def _is_number(label: str) -> bool:
    """Whether napari, or this plugin, only counts an axis: as "-3", or as "axis 0"."""
    bare = label.removeprefix(_UNNAMED).removeprefix("-").strip()
    return not bare or bare.isdecimal()


def _scale(step: float, unit: Any) -> Scale:
    """Step and unit of an axis; nothing where they are pixels."""
    name = f"{unit:~C}" if hasattr(unit, "dimensionality") else str(unit)
    return (None, None) if dimension(name) in (None, "pixel", "none") else (float(step), name)
