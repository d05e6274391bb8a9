"""Readers and writers: microscope images and tables of columns as layers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from napari.layers import Points

from napari_atomseg import io
from napari_atomseg._napari.columns.layers import LEADING, write_layer
from napari_atomseg._napari.layers import Placement, points_layer, sampled
from napari_atomseg._napari.opened import file_layers, knows
from napari_atomseg._napari.writers import keep_inputs
from napari_atomseg.io import MicroscopeImage, read_columns
from napari_atomseg.io.columns.files import HDF5_SUFFIXES, XYZ_SUFFIXES
from napari_atomseg.io.columns.foreign import is_table
from napari_atomseg.io.columns.hdf5 import holds_columns
from napari_atomseg.io.columns.sheet import decode
from napari_atomseg.io.columns.text import RECORD
from napari_atomseg.io.images.image import ImageFileError
from napari_atomseg.io.images.read import FOLDERS

_HEAD = 100_000
"""Characters of a table from which its columns are recognized."""

LayerData = tuple[Any, dict[str, Any], str]
Paths = str | Sequence[str]
Reader = Callable[[Paths], list[LayerData]]

TIFFS = (".tif", ".tiff")
SHARED = (*TIFFS, ".zarr", ".h5", ".hdf5", ".txt", ".asc", ".mat")
"""Ends of names of files that napari or another reader may know better."""


def get_image_reader(path: Paths) -> Reader | None:
    """Return the reader of images, or None for files that napari reads as well.

    These are pictures and TIFF files without scale, kind or provenance, and any that cannot be
    read here.
    """
    listed = _listed(path)
    if not all(Path(each).is_file() or Path(each).suffix.lower() in FOLDERS for each in listed):
        return None
    if all(each.lower().endswith(HDF5_SUFFIXES) and holds_columns(Path(each)) for each in listed):
        return read_column_tables
    if not any(each.lower().endswith(SHARED) for each in listed):
        return read_images
    try:
        found = {each: io.read_images(each) for each in listed}
    except ImageFileError:
        return None
    told = [not each.lower().endswith(TIFFS) or knows(images) for each, images in found.items()]
    return partial(_layers, found) if all(told) else None


def get_columns_reader(path: Paths) -> Reader | None:
    """Return the reader of column tables, or None for other tables."""
    if _all_files(path) and all(_has_positions(each) for each in _listed(path)):
        return read_column_tables
    return None


def read_images(path: Paths) -> list[LayerData]:
    """Read the images of files with their calibration, each detector as a layer."""
    return _layers({each: io.read_images(each) for each in _listed(path)}, path)


def _layers(found: Mapping[str, Sequence[MicroscopeImage]], path: Paths) -> list[LayerData]:
    return [
        layer.as_layer_data_tuple()
        for each in _listed(path)
        for layer in file_layers(Path(each), found[each])
    ]


def read_column_tables(path: Paths) -> list[LayerData]:
    """Read column tables as points in their place, with their provenance.

    The image of the columns, where a file of HDF5 has one, comes before them.
    """
    layers: list[LayerData] = []
    for each in _listed(path):
        columns = columns_layer(read_columns(each), Path(each).stem)
        if each.lower().endswith(HDF5_SUFFIXES):
            (image, *_) = io.read_images(each)
            if np.any(image.data):
                (layer,) = file_layers(Path(each), [image])
                place = Placement.of(columns).arguments()
                for name in ("translate", "rotate", "shear", "affine"):
                    if columns.ndim == layer.ndim:
                        setattr(layer, name, place[name])
                layers.append(layer.as_layer_data_tuple())
        layers.append(columns.as_layer_data_tuple())
    return layers


def columns_layer(
    columns: pd.DataFrame, name: str, image: Placement | None = None, **record: Any
) -> Points:
    """Return a table as points, in the place stored in it, or else on an image.

    Rows without a position, as some programs write them, cannot be drawn and are left out.
    """
    attrs = columns.attrs
    placed = np.isfinite(columns[["y", "x"]].to_numpy(dtype=float)).all(axis=1)
    columns = columns if placed.all() else columns[placed].reset_index(drop=True)
    columns.attrs = attrs
    made = {str(key): value for key, value in columns.attrs.items()} | record
    leading: tuple[int, ...] = ()
    if "frame" in columns and len(columns):
        leading = (int(columns["frame"].max()) + 1,)
    place = made.pop("placement", None)
    if isinstance(place, Mapping):
        place = dict(place)
        several = tuple(map(int, place.pop(LEADING, ())))
        if leading and several and leading[0] <= math.prod(several):
            leading = several
        if len(place.get("scale", ())) != 2 + len(leading):
            place = None
    if place is None and image is not None and len(image.scale) == 2 + len(leading):
        place = image.arguments()
    if place is None:
        place = sampled(made.get("sampling"), 2 + len(leading))
    return points_layer(columns, name, place, made, leading=leading, colour_by="volume")


def _has_positions(path: str) -> bool:
    """Whether a file is a table with the names of positions; a table of numbers alone is none.

    Of XYZ it is one of this package: of others the size of the image's pixels is not known.
    """
    try:
        if path.lower().endswith(XYZ_SUFFIXES):
            return RECORD in decode(Path(path))[:_HEAD]
        return is_table(Path(path), decode(Path(path))[:_HEAD])
    except OSError:
        return False


def _listed(path: Paths) -> list[str]:
    return [path] if isinstance(path, str) else list(path)


def _all_files(path: Paths) -> bool:
    return all(Path(each).is_file() for each in _listed(path))


def write_columns(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Write a points layer as a table that `read_columns` restores in its place.

    Points that were moved, added or deleted by hand are written as they are now: a point without
    measurements has empty fields. They are not written over an image that they were made from.
    """
    keep_inputs(path, attributes)
    write_layer(path, data, attributes)
    return [path]
