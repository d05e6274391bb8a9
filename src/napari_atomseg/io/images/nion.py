"""Data of Nion Swift: .ndata files, and the properties that its HDF5 files carry."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from napari_atomseg._shared.plain_json import read_json
from napari_atomseg.io.images.contents import LARGE, Content, images_of
from napari_atomseg.io.images.image import ImageFileError, Kind, MicroscopeImage

SUFFIXES = (".ndata", ".ndata1")
RATIO = 10
"""Bytes of an array over those of the file that it is in, at most, where it is large."""


def read_ndata(path: Path) -> list[MicroscopeImage]:
    """The data set of an .ndata file: a ZIP archive of an array and of its properties in JSON."""
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        arrays = [name for name in names if name.endswith(".npy")]
        if not arrays:
            raise ImageFileError(f"{path}: no array in it; it holds {', '.join(names)}")
        for name in (arrays[0], "metadata.json"):
            size = archive.getinfo(name).file_size if name in names else 0
            if size > RATIO * path.stat().st_size + LARGE:
                raise ImageFileError(
                    f"{path}: damaged, {name} in it would take {size / 2**30:.1f} GiB"
                )
        data = np.load(BytesIO(archive.read(arrays[0])), allow_pickle=False)
        properties = read_json(archive.read("metadata.json")) if "metadata.json" in names else {}
    return images_of(path, [nion_content(properties, data, "")])


def nion_content(properties: Mapping[str, Any], data: Any, name: str) -> Content:
    """A data set with the calibrations and the title in its properties."""
    source = _source(properties)
    calibrations = next(
        (
            each[key]
            for each in (source, properties)
            for key in ("dimensional_calibrations", "spatial_calibrations")
            if isinstance(each.get(key), Sequence)
        ),
        (),
    )
    axes = [
        {"scale": each.get("scale"), "units": each.get("units"), "name": ""}
        for each in calibrations
        if isinstance(each, Mapping)
    ]
    content: Content = {
        "data": data,
        "axes": axes,
        "original_metadata": dict(properties),
        "title": properties.get("title") or source.get("title") or name,
    }
    kind = _kind(source or properties)
    return content if kind is None else {**content, "kind": kind}


def _source(properties: Mapping[str, Any]) -> Mapping[str, Any]:
    """Properties of the array itself, which stand in a list in files of the older kind."""
    sources = properties.get("data_sources")
    if isinstance(sources, Sequence) and sources and isinstance(sources[0], Mapping):
        return sources[0]
    return {}


def _kind(source: Mapping[str, Any]) -> Kind | None:
    """Spectra where each datum has one axis; otherwise units and names decide."""
    return "spectrum" if source.get("datum_dimension_count") == 1 else None
