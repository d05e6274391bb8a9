"""HDF5 in its layouts: HyperSpy, Velox, Berkeley EMD, NeXus, Delmic, Nion, or plain arrays."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from napari_atomseg._shared.plain_json import read_json
from napari_atomseg.io.images.contents import Axis, Content, Room, images_of
from napari_atomseg.io.images.image import ImageFileError, MicroscopeImage
from napari_atomseg.io.images.layout import KEY, PROVENANCE, restored
from napari_atomseg.io.images.nion import nion_content
from napari_atomseg.io.images.rosetta import rosetta_contents
from napari_atomseg.io.images.velox import is_velox, read_velox
from napari_atomseg.io.tried import try_file

SUFFIXES = (".hspy", ".hdf5", ".h5", ".nxs")

_DETECTOR = "entry/instrument/detector/detectorSpecific"
"""Where detectors of Dectris, as in Arina and Eiger, keep what is theirs alone."""


def read_hdf5(path: Path) -> list[MicroscopeImage]:
    """Every data set of an HDF5 file; those of HyperSpy need no other package."""
    if find_spec("hdf5plugin"):
        import_module("hdf5plugin")  # makes its filters known to h5py
    try_file(path)
    with h5py.File(path) as file:
        if is_velox(file):
            return read_velox(path)
        plugin, options = _plugin(file)
        contents = list(_own(file)) if plugin is None else []
    room = Room()
    found = images_of(path, [_loaded(path, each, room) for each in contents])
    if plugin is not None:
        found = _by_layout(path, plugin, options)
    return [_with_record(image) for image in found]


def _by_layout(path: Path, plugin: str, options: dict[str, Any]) -> list[MicroscopeImage]:
    """Data sets as RosettaSciIO reads them, or plain arrays where it finds none or is missing."""
    try:
        found = images_of(path, rosetta_contents(path, plugin, **options))
    except ImageFileError as error:
        return plain_arrays(path, f"Its arrays have no scale here: {error}")
    return found or plain_arrays(path)


def _with_record(image: MicroscopeImage) -> MicroscopeImage:
    """An image with what this package wrote beside it."""
    further = image.metadata["original_metadata"]
    if KEY not in further:
        return image
    record, made = (_decoded(further.get(key)) for key in (KEY, PROVENANCE))
    if made is not None:
        image = replace(image, metadata={**image.metadata, PROVENANCE: made})
    return restored(image, record)


def _decoded(text: object) -> Any:
    try:
        return read_json(text) if isinstance(text, str) else None
    except ValueError:
        return None


def plain_arrays(path: Path, *notes: str) -> list[MicroscopeImage]:
    """Every array of an HDF5 file as it is, with notes on why it has no scale."""
    with h5py.File(path) as file:
        contents = list(_plain(file))
    room = Room()
    return images_of(path, [_loaded(path, each, room) | {"notes": notes} for each in contents])


def _own(file: h5py.File) -> Iterator[Content]:
    """Data sets of the layouts that are read here."""
    if "Experiments" in file:
        yield from _hyperspy(file)
    elif _DETECTOR in file:
        yield from _pixelated(file)
    else:
        yield from _plain(file)


def _plugin(file: h5py.File) -> tuple[str | None, dict[str, Any]]:
    """The RosettaSciIO plugin for the layout of a file, with its options; None for our own."""
    if "Experiments" in file or _DETECTOR in file:
        return None, {}
    if "version_major" in file.attrs or any(
        "emd_group_type" in group.attrs for group in _groups(file)
    ):
        return "emd", {"stack_group": False}
    if any(name in file for name in ("4DSTEM_experiment", "4DSTEM_simulation")):
        return "emd", {}
    if "Acquisition0/ImageData" in file or "Acquisition0/PhysicalData" in file:
        return "delmic", {"signal": "all"}
    if any(group.attrs.get("NX_class") in ("NXentry", b"NXentry") for group in _groups(file)):
        return "nexus", {"nxdata_only": True}
    return None, {}


def _groups(file: h5py.File) -> Iterator[h5py.Group]:
    return (node for node in file.values() if isinstance(node, h5py.Group))


def _hyperspy(file: h5py.File) -> Iterator[Content]:
    """Signals of a HyperSpy file (its layout "hspy", versions 1.0 to 3.3)."""
    for name, group in file["Experiments"].items():
        data = group.get("data")
        if not isinstance(data, h5py.Dataset) or data.dtype.kind not in "buifcV":
            continue
        metadata = _tree(group.get("metadata", group.get("mapped_parameters")))
        yield {
            "data": _Stored(data),
            "axes": [_axis(group.get(f"axis-{number}")) for number in range(data.ndim)],
            "metadata": metadata,
            "original_metadata": _tree(group.get("original_metadata")),
            "title": metadata.get("General", {}).get("title") or metadata.get("title") or name,
        }


def _axis(group: h5py.Group | None) -> Axis:
    """Name, unit and step of an axis, or its points where it is given by these."""
    axis = _tree(group)
    points = group.get("axis") if isinstance(group, h5py.Group) else None
    return axis | {"axis": points[()]} if isinstance(points, h5py.Dataset) else axis


def _plain(file: h5py.File) -> Iterator[Content]:
    """Every array with two axes or more, without scale where the file has no layout we know."""
    found: list[tuple[str, h5py.Dataset]] = []

    def visit(name: str, node: Any) -> None:
        if isinstance(node, h5py.Dataset) and node.ndim > 1 and node.dtype.kind in "buifc":
            found.append((name, node))

    file.visititems(visit)
    for name, data in found:
        stored: Content = {"data": _Stored(data), "title": name}
        if "image_nr_low" in data.attrs:  # a part of what a detector of Dectris recorded
            stored["kind"] = "diffraction"
        properties = data.attrs.get("properties")
        if isinstance(properties, (str, bytes)):
            yield nion_content(read_json(properties), stored["data"], name)
        else:
            yield stored | {"axes": _extents(data)}


def _pixelated(file: h5py.File) -> Iterator[Content]:
    """Patterns of a detector of Dectris, which may be in files beside, and its corrections."""
    group = file.get("entry/data")
    for name in group if isinstance(group, h5py.Group) else ():
        try:
            data = group[name]
        except KeyError:  # a link to a file that is not there
            continue
        if isinstance(data, h5py.Dataset) and data.ndim > 1:
            yield {"data": _Stored(data), "axes": [], "title": name, "kind": "diffraction"}
    for name, data in file[_DETECTOR].items():
        if isinstance(data, h5py.Dataset) and data.ndim > 1 and data.dtype.kind in "buif":
            yield {"data": _Stored(data), "axes": [], "title": name}


def _extents(data: h5py.Dataset) -> list[Axis]:
    """Steps that Fiji and ilastik write (z, y, x in µm); none in other files."""
    steps = data.attrs.get("element_size_um")
    if steps is None or np.shape(steps) != (3,):
        return []
    known = [{"scale": float(step), "units": "µm"} for step in steps]
    return [*({} for _ in range(data.ndim - 3)), *known[-data.ndim :]]


class _Stored:
    """An array in an HDF5 file, which is open only while numbers are read from it."""

    def __init__(self, data: h5py.Dataset) -> None:
        self.path, self.place = data.file.filename, data.name
        self.shape, self.dtype, self.ndim = data.shape, data.dtype, data.ndim
        self.nbytes = data.nbytes

    def __getitem__(self, key: Any) -> Any:
        with h5py.File(self.path) as file:
            return file[self.place][key]


def _loaded(path: Path, content: Content, room: Room) -> Content:
    """The content with its numbers, which stay in the file if they, or those before, are many."""
    stored = content["data"]
    if room.takes(stored.nbytes):
        try:
            return {**content, "data": stored[()]}
        except OSError as error:
            if "filter" not in str(error) and "plugin" not in str(error):
                raise
            raise ImageFileError(
                f"{path}: its numbers are compressed by a filter that is not installed; "
                "run: pip install hdf5plugin"
            ) from error
    from dask import array

    lazy = array.from_array(stored, name=False)  # type: ignore[no-untyped-call]
    return {**content, "data": lazy}


def _tree(group: h5py.Group | None) -> dict[str, Any]:
    """Attributes of a group and of the groups in it; their arrays are left out."""
    if not isinstance(group, h5py.Group):
        return {}
    values = {name: _plain_value(value) for name, value in group.attrs.items()}
    branches = {name: _tree(each) for name, each in group.items() if isinstance(each, h5py.Group)}
    return values | branches


def _plain_value(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace")
    return value.item() if isinstance(value, np.generic) else value
