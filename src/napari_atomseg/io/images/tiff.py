"""TIFF with the pixel size in any of its conventions; also pictures and NumPy arrays."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import imageio.v3 as imageio
import numpy as np
import tifffile
from numpy.typing import ArrayLike, NDArray

from napari_atomseg._shared.files import plain, whole_file
from napari_atomseg._shared.types import Sampling
from napari_atomseg._shared.units import pixel_size, to_angstrom
from napari_atomseg.io.images.image import MicroscopeImage, luminance, make_image

_CHANNELS = 4
"""Longest last axis that is taken as colours."""


def read_picture(path: Path) -> list[MicroscopeImage]:
    """A picture as grey values; colours become their luminance."""
    return [make_image(path, grey_values(imageio.imread(path)))]


def grey_values(data: NDArray[Any]) -> NDArray[Any]:
    """The luminance of a colour picture; a grey one unchanged."""
    return luminance(data) if data.ndim > 2 and data.shape[-1] <= _CHANNELS else data


def read_array(path: Path) -> list[MicroscopeImage]:
    """An array saved by `numpy.save`; arrays of objects, which are pickles, are refused."""
    return [make_image(path, np.load(path, allow_pickle=False))]


Pixel = tuple[float | None, float | None]

UNIT = "nm"
"""Unit of the pixel size in written files: ASCII, and read by every program."""

_AXES = {2: "YX", 3: "TYX", 4: "TZYX"}
_LARGEST_PIXEL = 1e4
"""Larger pixels (Å) in the general resolution tags are those of a printer."""

_RESOLUTION_UNITS = {2: "inch", 3: "cm"}
_GATAN_UNITS, _GATAN_SCALES = (65004, 65003), (65010, 65009)


def read_tiff(path: Path) -> list[MicroscopeImage]:
    """Read every series of a TIFF file.

    The size of a pixel comes from ImageJ, OME, Thermo Fisher or Gatan metadata, or from the
    resolution, where it is one of a microscope.
    """
    with tifffile.TiffFile(path) as file:
        pixel = next(
            (size for size in (way(file) for way in _WAYS) if None not in size), (None,) * 2
        )
        description = _description(file)
        return [
            make_image(path, _series(path, series), pixel, description, title=series.name)
            for series in file.series
        ]


def _series(path: Path, series: tifffile.TiffPageSeries) -> NDArray[Any]:
    try:
        data = series.asarray()
    except ValueError as error:
        if "imagecodecs" not in str(error):
            raise
        return _through_pillow(path)
    return _grey(data, series.axes)


def write_image(
    path: str | Path,
    data: ArrayLike,
    sampling: Sampling | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> None:
    """Write an image, stack or label image as a TIFF with a scale that ImageJ reads.

    Parameters
    ----------
    data : (..., H, W), up to four axes. uint8, uint16 and float32 are kept, other whole
        numbers become uint16 where they fit, and all others float32.
    sampling : Å per pixel, one number or (dy, dx); None where unknown.
    metadata : provenance, written as JSON into the description.

    Raises
    ------
    ValueError
        `data` has more than four axes or fewer than two.
    OSError
        The file cannot be written; an existing one stays as it was.
    """
    array = _storable(np.asarray(data))
    if array.ndim not in _AXES:
        raise ValueError(f"data has {array.ndim} axes; a TIFF file takes from 2 to 4")
    description: dict[str, Any] = {"axes": _AXES[array.ndim]}
    resolution = None
    if sampling is not None:
        dy, dx = (0.1 * size for size in pixel_size(sampling))
        description["unit"], resolution = UNIT, (1.0 / dx, 1.0 / dy)
    if metadata:
        description["provenance"] = json.dumps(plain(metadata))
    with whole_file(path) as partial:
        tifffile.imwrite(partial, array, imagej=True, resolution=resolution, metadata=description)


def _storable(data: NDArray[Any]) -> NDArray[Any]:
    if data.dtype in (np.uint8, np.uint16, np.float32):
        return data
    whole = data.dtype.kind in "bui"
    if whole and (data.size == 0 or (data.min() >= 0 and data.max() < 2**16)):
        return data.astype(np.uint16)
    return data.astype(np.float32)


def _through_pillow(path: Path) -> NDArray[Any]:
    """Grey pages with a compression that tifffile alone cannot decode, such as LZW."""
    pages = [grey_values(page) for page in imageio.imiter(path, plugin="pillow")]
    return pages[0] if len(pages) == 1 else np.stack(pages)


def _grey(data: NDArray[Any], axes: str) -> NDArray[Any]:
    if "S" in axes:
        data = luminance(np.moveaxis(data, axes.index("S"), -1))
        axes = axes.replace("S", "")
    return np.moveaxis(data, (axes.index("Y"), axes.index("X")), (-2, -1))


def _description(file: tifffile.TiffFile) -> dict[str, Any]:
    """Provenance written by `write_image`, or the description as text."""
    record = (file.imagej_metadata or {}).get("provenance")
    if isinstance(record, str):
        try:
            return {"provenance": json.loads(record)}
        except ValueError:
            return {}
    text = file.pages.first.description
    return {"description": text} if text and not file.is_imagej else {}


def _imagej(file: tifffile.TiffFile) -> Pixel:
    unit = (file.imagej_metadata or {}).get("unit")
    return _from_resolution(file, unit)


def _ome(file: tifffile.TiffFile) -> Pixel:
    if not file.ome_metadata:
        return None, None
    images = tifffile.xml2dict(file.ome_metadata)["OME"]["Image"]
    pixels = (images[0] if isinstance(images, list) else images)["Pixels"]
    dy, dx = (
        to_angstrom(pixels.get(f"PhysicalSize{axis}"), pixels.get(f"PhysicalSize{axis}Unit", "µm"))
        for axis in "YX"
    )
    return dy, dx


def _thermo(file: tifffile.TiffFile) -> Pixel:
    scan = (file.fei_metadata or {}).get("Scan", {})
    return to_angstrom(scan.get("PixelHeight"), "m"), to_angstrom(scan.get("PixelWidth"), "m")


def _gatan(file: tifffile.TiffFile) -> Pixel:
    tags = file.pages.first.tags
    dy, dx = (
        to_angstrom(tags.valueof(scale), tags.valueof(unit))
        for scale, unit in zip(_GATAN_SCALES, _GATAN_UNITS, strict=True)
    )
    return dy, dx


def _resolution(file: tifffile.TiffFile) -> Pixel:
    tags = file.pages.first.tags
    dy, dx = _from_resolution(file, _RESOLUTION_UNITS.get(tags.valueof("ResolutionUnit")))
    if dy is None or dx is None or max(dy, dx) > _LARGEST_PIXEL:
        return None, None
    return dy, dx


def _from_resolution(file: tifffile.TiffFile, unit: object) -> Pixel:
    """Å per pixel from the resolution tags, which hold pixels per unit."""
    tags = file.pages.first.tags
    sizes: list[float | None] = []
    for name in ("YResolution", "XResolution"):
        pixels, units = tags.valueof(name, default=(0, 1))
        sizes.append(to_angstrom(units / pixels, unit) if pixels else None)
    return sizes[0], sizes[1]


_WAYS: tuple[Callable[[tifffile.TiffFile], Pixel], ...] = (
    _imagej,
    _ome,
    _thermo,
    _gatan,
    _resolution,
)
