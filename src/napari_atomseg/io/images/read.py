"""Read images: TIFF and pictures, files of microscopes through RosettaSciIO, plain HDF5."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from napari_atomseg._shared.units import dimension
from napari_atomseg.io.images.hspy import is_hspy, read_hspy, reads_hspy
from napari_atomseg.io.images.image import (
    ImageFileError,
    Kind,
    MicroscopeImage,
    luminance,
    make_image,
)
from napari_atomseg.io.images.ome_zarr import read_zarr
from napari_atomseg.io.images.pictures import read_array, read_picture
from napari_atomseg.io.images.tiff.read import read_tiff

FORMATS = {
    ".dm3": "digitalmicrograph",
    ".dm4": "digitalmicrograph",
    ".emd": "emd",
    ".ser": "tia",
    ".mrc": "mrc",
    ".hspy": "hspy",
    ".hdf5": "hspy",
    ".h5": "hspy",
}
"""The RosettaSciIO plugin of each suffix."""

_PLAIN = (".hdf5", ".h5")
_HYPERSPY = (".hspy", *_PLAIN)
_SMALLEST = 8
"""Arrays with a shorter side are profiles or tables, not images."""

Content = dict[str, Any]


def read_microscope(path: Path) -> list[MicroscopeImage]:
    """Every data set of a microscope's file with two axes or more."""
    if path.suffix.lower() in _HYPERSPY and reads_hspy(path):
        return read_hspy(path)
    return [_image(path, content) for content in _contents(path) if len(content_shape(content)) > 1]


def content_shape(content: Content) -> tuple[int, ...]:
    """Shape of the data of a data set."""
    return tuple(map(int, np.shape(content["data"])))


def _image(path: Path, content: Content) -> MicroscopeImage:
    data = content["data"]
    if data.dtype.names:
        data = luminance(np.stack([data[name] for name in data.dtype.names], axis=-1))
    axes = content["axes"] or [{}] * data.ndim
    metadata = {
        "title": _title(content),
        "metadata": content.get("metadata", {}),
        "original_metadata": content.get("original_metadata", {}),
    }
    return make_image(
        path,
        data,
        metadata=metadata,
        scales=[(axis.get("scale"), axis.get("units")) for axis in axes],
        kind=_kind(data, axes),
        title=_title(content),
    )


def _contents(path: Path) -> list[Content]:
    suffix = path.suffix.lower()
    try:
        if suffix in _PLAIN and not is_hspy(path):
            return _plain_hdf5(path)
        reader = import_module(f"rsciio.{FORMATS[suffix]}")
    except ModuleNotFoundError as error:
        raise ImageFileError(
            f"{path}: {suffix} files need RosettaSciIO, which is not installed "
            f'({error.name} is missing); run: pip install "napari-atomseg[em]"'
        ) from error
    contents: list[Content] = reader.file_reader(str(path))
    return contents


def _plain_hdf5(path: Path) -> list[Content]:
    """Every array of an HDF5 file that has no known layout, without scale."""
    h5py = import_module("h5py")
    contents: list[Content] = []

    def visit(name: str, node: Any) -> None:
        if isinstance(node, h5py.Dataset) and node.ndim > 1 and node.dtype.kind in "buif":
            data = np.squeeze(node[()])
            contents.append({"data": data, "axes": [], "metadata": {"General": {"title": name}}})

    with h5py.File(path) as file:
        file.visititems(visit)
    return contents


def _title(content: Content) -> str:
    general = content.get("metadata", {}).get("General", {})
    return str(general.get("title") or general.get("original_filename") or "")


def _kind(data: Any, axes: Sequence[Mapping[str, Any]]) -> Kind:
    """What the last two axes are, by their units."""
    known = [dimension(axis.get("units")) for axis in axes[-2:]]
    if "energy" in known or min(np.shape(data)[-2:]) < _SMALLEST:
        return "spectrum"
    return "diffraction" if "reciprocal" in known or "angle" in known else "image"


_PICTURES = (".png", ".jpg", ".jpeg", ".bmp")
_TIFFS = (".tif", ".tiff")

Reader = Callable[[Path], list[MicroscopeImage]]

READERS: dict[str, Reader] = {
    **dict.fromkeys(_TIFFS, read_tiff),
    **dict.fromkeys(_PICTURES, read_picture),
    ".npy": read_array,
    **dict.fromkeys(FORMATS, read_microscope),
    ".zarr": read_zarr,
}
"""For each suffix, the function that reads all data sets of a file."""

FOLDERS = (".zarr",)
"""Suffixes of images that are folders."""

IMAGE_SUFFIXES = tuple(READERS)
"""Suffixes of files that `read_image` reads, in lower case."""


def read_images(path: str | Path) -> list[MicroscopeImage]:
    """Read every data set of a file, in the file's order, with its scale and its kind.

    TIFF, PNG, JPEG, BMP and NumPy arrays need no other package; dm3, dm4, emd, ser, mrc, hspy and
    HDF5 need RosettaSciIO (``pip install "napari-atomseg[em]"``).

    Parameters
    ----------
    path : file, whose suffix sets the format.

    Raises
    ------
    ImageFileError
        The file is missing, damaged, of an unknown kind, or holds nothing; it is an `OSError`
        whose message names the file.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if not (path.is_dir() if suffix in FOLDERS else path.is_file()):
        raise ImageFileError(f"{path}: no such file")
    if suffix not in READERS:
        raise ImageFileError(
            f"{path}: files of kind {suffix or 'without suffix'} are not read; "
            f"known suffixes are {', '.join(IMAGE_SUFFIXES)}"
        )
    try:
        images = READERS[suffix](path)
    except ImageFileError:
        raise
    except Exception as error:  # readers of foreign formats raise any exception on a damaged file
        reason = str(error) or type(error).__name__
        raise ImageFileError(f"{path}: damaged, or not a {suffix} file ({reason})") from error
    if not images:
        raise ImageFileError(f"{path}: no image in it")
    labels = _labels(images)
    return [replace(each, metadata={**each.metadata, "datasets": labels}) for each in images]


def read_image(
    path: str | Path, dataset: int | str | None = None, frame: int | None = None
) -> MicroscopeImage:
    """Read one image or stack with its scale.

    Parameters
    ----------
    path : file, whose suffix sets the format.
    dataset : number or title of one data set among several; by default the first image.
        Diffraction patterns, spectra and the like are taken only if asked for.
    frame : number of one image along the first axis of a stack, counted from 0, or from the end
        if negative; by default the whole stack.

    Raises
    ------
    ImageFileError
        As `read_images`, and if the file has no such data set or frame, or no image; the message
        lists its data sets.
    """
    image = _chosen(Path(path), read_images(path), dataset)
    return image if frame is None else _frame(Path(path), image, frame)


def _chosen(
    path: Path, images: list[MicroscopeImage], dataset: int | str | None
) -> MicroscopeImage:
    if dataset is None:
        found = [image for image in images if image.kind == "image"]
    else:
        found = [image for image in images if image.title == dataset]
        if not found and str(dataset).isdecimal():
            found = images[int(dataset) :][:1]
    if found:
        return found[0]
    wanted = "no image" if dataset is None else f"no dataset {dataset!r}"
    raise ImageFileError(f"{path}: {wanted} in it; it has {'; '.join(_labels(images))}")


def _frame(path: Path, image: MicroscopeImage, frame: int) -> MicroscopeImage:
    count = image.data.shape[0] if image.data.ndim > 2 else 1
    if not -count <= frame < count:
        raise ImageFileError(f"{path}: no frame {frame}; it has {count}, counted from 0")
    if image.data.ndim == 2:
        return image
    return replace(image, data=image.data[frame], axes=image.axes[1:], scales=image.scales[1:])


def _labels(images: Sequence[MicroscopeImage]) -> list[str]:
    """Number, title, shape and kind of each data set, for messages and lists."""
    return [
        f"{number}: {image.title or 'untitled'} {tuple(image.data.shape)}"
        + ("" if image.kind == "image" else f", {image.kind}")
        for number, image in enumerate(images)
    ]
