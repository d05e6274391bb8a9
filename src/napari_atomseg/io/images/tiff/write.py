"""TIFF that ImageJ opens with its scale, and this package with everything."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from napari_atomseg._shared.files import plain, whole_file
from napari_atomseg._shared.units import pixel_size
from napari_atomseg.io.images.image import MicroscopeImage
from napari_atomseg.io.images.layout import KEY, PROVENANCE, describe

UNIT = "nm"
"""Unit of lengths in written files: ASCII, and read by every program."""

_IMAGEJ = (np.uint8, np.uint16, np.float32)
"""Types of ImageJ's own files; it opens whole numbers of 32 bits, too, and double precision."""
_LETTERS = {"time": "T", "frame": "T", "z": "Z", "channel": "C"}
_ORDER = "TZC"
_ORDERED = ("", "T", "Z", "C", "TZ", "TC", "ZC", "TZC")
"""Axes before rows and columns in ImageJ's order."""


def write_tiff(path: Path, image: MicroscopeImage) -> None:
    """Write an image or stack, whose axes, scales and provenance stand in the description.

    Every type of real numbers is kept but for those that few programs read: truth values become
    uint8, half precision becomes single, and whole numbers of 64 bits become such of 32 bits where
    they fit.

    Raises
    ------
    OSError
        The file cannot be written; an existing one stays as it was.
    """
    array = _storable(np.asarray(image.data))
    letters, array = _imagej_axes(image.axes[:-2], array)
    metadata: dict[str, Any] = {}
    unit, resolution = _resolution(image)
    if unit is not None:
        metadata["unit"] = unit
    for axis, (step, _) in zip(image.axes, image.scales, strict=False):
        if axis == "time" and step is not None:
            metadata["finterval"] = step
    metadata[KEY] = json.dumps(describe(image))
    if image.metadata.get(PROVENANCE):
        metadata[PROVENANCE] = json.dumps(plain(image.metadata[PROVENANCE]))
    axes = f"{letters}YX"
    with whole_file(path) as partial:
        if array.dtype in _IMAGEJ:
            tifffile.imwrite(
                partial,
                array,
                imagej=True,
                resolution=resolution,
                metadata={"axes": axes, **metadata},
            )
        else:
            tifffile.imwrite(
                partial,
                array,
                photometric="minisblack",
                resolution=resolution,
                resolutionunit="NONE",
                description=tifffile.tifffile.imagej_description(array.shape, axes, **metadata),
                metadata=None,
            )


def _storable(array: NDArray[Any]) -> NDArray[Any]:
    """An array in the nearest type that programs read in TIFF files."""
    if array.dtype.kind == "b":
        return array.astype(np.uint8)
    if array.dtype.kind == "f":
        nearest = np.float32 if array.dtype.itemsize <= 4 else np.float64
        return array.astype(nearest, copy=False)
    if array.dtype.itemsize == 8 and array.size:
        low, high = int(array.min()), int(array.max())
        for narrow in (np.int32, np.uint32) if array.dtype.kind == "i" else (np.uint32,):
            if np.iinfo(narrow).min <= low and high <= np.iinfo(narrow).max:
                return array.astype(narrow)
    return array


def _imagej_axes(leading: Sequence[str], array: NDArray[Any]) -> tuple[str, NDArray[Any]]:
    """The letters of axes in ImageJ's order, or all of them as the frames of one."""
    letters = "".join(_LETTERS.get(axis, "?") for axis in leading)
    if letters == "?" * len(leading):
        letters = _ORDER[: len(leading)]
    if len(letters) == len(leading) and letters in _ORDERED:
        return letters, array
    return "T", array.reshape(-1, *array.shape[-2:])


def _resolution(image: MicroscopeImage) -> tuple[str | None, tuple[float, float] | None]:
    """Unit of length, and pixels per unit along x and y."""
    if image.sampling is not None:
        dy, dx = (0.1 * size for size in pixel_size(image.sampling))
        return UNIT, (1.0 / dx, 1.0 / dy)
    (dy_, unit), (dx_, other) = image.scales[-2:] if len(image.scales) > 1 else ((None, None),) * 2
    if not dy_ or not dx_ or unit is None or unit != other:
        return None, None
    return unit.replace("Å", "angstrom").replace("µ", "u"), (1.0 / dx_, 1.0 / dy_)
