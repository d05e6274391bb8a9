"""Zarr with the metadata of OME-Zarr: axes with their type and unit, and the size of a pixel.

Written as version 0.5 of the specification (https://ngff.openmicroscopy.org/0.5), read as that and
as 0.4, or as single arrays.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_atomseg._shared.files import plain, whole_folder
from napari_atomseg._shared.units import dimension, parse_unit
from napari_atomseg._shared.zarr_arrays import require_safe
from napari_atomseg.io.images.contents import Room
from napari_atomseg.io.images.image import ImageFileError, MicroscopeImage, Scale, make_image
from napari_atomseg.io.images.layout import KEY, LABELS, PROVENANCE, describe, restored
from napari_atomseg.progress import CancelToken, Progress, report

if TYPE_CHECKING:
    import zarr

VERSION = "0.5"
_TYPES = {
    "channel": "channel",
    "time": "time",
    "frame": "time",
    "z": "space",
    "y": "space",
    "x": "space",
}
"""Types of axes in the specification; others have none."""
_SHORT = {"c": "channel", "t": "time"}
"""Names of axes that other programs write."""
_CHUNK = 1024
"""Pixels a side of the pieces that are stored apart."""


def write_zarr(
    path: Path,
    image: MicroscopeImage,
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
) -> None:
    """Write an image or stack as a folder of OME-Zarr, at one resolution.

    The frames of an array of dask are computed and written one by one.

    Raises
    ------
    OSError
        The folder cannot be written; what was there stays as it was.
    Cancelled
        `cancel` was raised; nothing is left of the folder.
    """
    if path.is_dir() and any(path.iterdir()) and not _is_zarr(path):
        raise ImageFileError(f"{path}: a folder that is no Zarr is not replaced")
    data = image.data.astype(np.uint8) if image.data.dtype.kind == "b" else image.data
    axes = []
    for axis, (_, unit) in zip(image.axes, image.scales, strict=True):
        about = {"name": axis}
        if axis in _TYPES:
            about["type"] = _TYPES[axis]
        parsed = None if unit is None else parse_unit(unit)
        if parsed is not None and dimension(unit) in ("length", "time"):
            about["unit"] = str(parsed)
        axes.append(about)
    scale = [1.0 if step is None else float(step) for step, _ in image.scales]
    transforms = [{"type": "scale", "scale": scale}]
    multiscales = [
        {
            "name": image.title or image.name,
            "axes": axes,
            "datasets": [{"path": "0", "coordinateTransformations": transforms}],
        }
    ]
    ome: dict[str, Any] = {"version": VERSION, "multiscales": multiscales}
    if image.metadata.get(LABELS):
        ome["image-label"] = {}
    own = {"image": describe(image), PROVENANCE: plain(image.metadata.get(PROVENANCE))}
    import zarr

    with whole_folder(path) as partial:
        group = zarr.open_group(partial, mode="w", zarr_format=3, attributes={"ome": ome, KEY: own})
        chunks = (*[1] * (data.ndim - 2), *(min(_CHUNK, side) for side in data.shape[-2:]))
        array = group.create_array(
            "0",
            shape=data.shape,
            chunks=chunks,
            dtype=data.dtype,
            dimension_names=list(image.axes),
        )
        _fill(array, data, progress, cancel)


def _fill(
    array: Any, data: Any, progress: Progress | None = None, cancel: CancelToken | None = None
) -> None:
    """Write an image or stack into an array, one frame at a time where it is not in memory."""
    if not hasattr(data, "dask"):
        array[:] = np.asarray(data)
        return
    leading = data.shape[:-2]
    count = int(np.prod(leading, dtype=np.int64))
    for number, place in enumerate(np.ndindex(leading)):
        report(progress, cancel, number, count, f"Frame {number + 1} of {count}")
        array[place] = data[place].compute(scheduler="synchronous")
    report(progress, cancel, count, count, "Writing")


def read_zarr(path: Path) -> list[MicroscopeImage]:
    """Read the images of a Zarr, each at its full resolution; pixels are read when they are used.

    Raises
    ------
    ImageFileError
        There is no array of two axes or more in it.
    ValueError
        Its pixels are compressed by a codec that may do more than that.
    """
    import zarr

    node = zarr.open(path, mode="r")
    if isinstance(node, zarr.Array):
        return [_of_array(path, node, "", Room())]
    images: list[MicroscopeImage] = []
    room = Room()
    for name, group in (("", node), *sorted(node.groups())):
        images += _multiscales(path, name, group, room)
    if not images:
        arrays = sorted(node.arrays())
        images = [_of_array(path, array, name, room) for name, array in arrays if array.ndim > 1]
    return images


def _multiscales(path: Path, name: str, group: zarr.Group, room: Room) -> list[MicroscopeImage]:
    """The images that OME metadata of a group describe."""
    attributes: dict[str, Any] = dict(group.attrs)
    ome = attributes.get("ome", attributes)
    ome = ome if isinstance(ome, Mapping) else {}
    return [
        _image(path, group, each, attributes.get(KEY), name, "image-label" in ome, room)
        for each in ome.get("multiscales", ())
    ]


def _image(
    path: Path, group: zarr.Group, about: Any, own: Any, name: str, labels: bool, room: Room
) -> MicroscopeImage:
    import zarr

    finest = about["datasets"][0]
    array = group[finest["path"]]
    if not isinstance(array, zarr.Array):
        raise ImageFileError(f"{path}: {finest['path']} is no array")
    axes = [str(each.get("name", "")) for each in about["axes"]]
    steps = np.ones(array.ndim)
    for transform in (
        *finest.get("coordinateTransformations", ()),
        *about.get("coordinateTransformations", ()),
    ):
        if transform.get("type") == "scale":
            steps = steps * np.asarray(transform["scale"], dtype=float)
    units = [each.get("unit") for each in about["axes"]]
    scales: list[Scale] = [
        (float(step), str(unit)) if unit else (None, None)
        for step, unit in zip(steps, units, strict=True)
    ]
    own = own if isinstance(own, Mapping) else {}
    metadata = {PROVENANCE: own[PROVENANCE]} if own.get(PROVENANCE) else {}
    image = make_image(
        path,
        _lazy(array, room),
        metadata=metadata | ({LABELS: True} if labels else {}),
        axes=[_SHORT.get(axis, axis) for axis in axes],
        scales=scales,
        title=str(about.get("name") or name),
    )
    return restored(image, own.get("image"))


def _of_array(path: Path, array: zarr.Array[Any], name: str, room: Room) -> MicroscopeImage:
    return make_image(path, _lazy(array, room), title=name)


def _lazy(array: zarr.Array[Any], room: Room) -> Any:
    """The pixels of an array: of a large one, or one after many others, when they are used."""
    require_safe(array)
    if room.takes(array.nbytes):
        return np.asarray(array[:])
    from dask import array as lazy

    return lazy.from_array(array, array.chunks, name=False)  # type: ignore[no-untyped-call]


def _is_zarr(path: Path) -> bool:
    return any((path / name).exists() for name in ("zarr.json", ".zgroup", ".zarray"))
