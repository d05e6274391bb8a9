"""Read images: TIFF and pictures, files of microscopes through RosettaSciIO, plain HDF5."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from napari_atomseg._shared.units import angstroms, to_angstrom
from napari_atomseg.io.images.image import ImageFileError, MicroscopeImage, luminance, make_image
from napari_atomseg.io.images.tiff import read_array, read_picture, read_tiff

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
_SMALLEST = 8
"""Arrays with a shorter side are profiles or tables, not images."""

Content = dict[str, Any]


def read_microscope(path: Path, dataset: int | str | None = None) -> MicroscopeImage:
    """Read the first image of a microscope's file, or that with a number or title."""
    contents = _contents(path)
    titles = [_title(each) for each in contents]
    labels = [
        f"{number}: {title or 'untitled'} {tuple(map(int, np.shape(each['data'])))}"
        for number, (title, each) in enumerate(zip(titles, contents, strict=True))
    ]
    if dataset is None:
        images = [number for number, each in enumerate(contents) if _is_image(each)]
    else:
        images = [n for n, title in enumerate(titles) if dataset in (n, title)]
    if not images:
        wanted = "no image" if dataset is None else f"no dataset {dataset!r}"
        raise ImageFileError(f"{path}: {wanted} in it; it has {'; '.join(labels) or 'nothing'}")
    chosen = contents[images[0]]
    data = chosen["data"]
    if data.dtype.names:
        data = luminance(np.stack([data[name] for name in data.dtype.names], axis=-1))
    rows, columns = (chosen["axes"][-2:]) if len(chosen["axes"]) > 1 else ({}, {})
    pixel = tuple(to_angstrom(axis.get("scale"), axis.get("units")) for axis in (rows, columns))
    metadata = {
        "title": titles[images[0]],
        "datasets": labels,
        "metadata": chosen.get("metadata", {}),
        "original_metadata": chosen.get("original_metadata", {}),
    }
    return make_image(path, data, (pixel[0], pixel[1]), metadata)


def _contents(path: Path) -> list[Content]:
    suffix = path.suffix.lower()
    try:
        if suffix in _PLAIN and not _is_hyperspy(path):
            return _plain_hdf5(path)
        reader = import_module(f"rsciio.{FORMATS[suffix]}")
    except ModuleNotFoundError as error:
        raise ImageFileError(
            f"{path}: {suffix} files need RosettaSciIO, which is not installed "
            f'({error.name} is missing); run: pip install "napari-atomseg[em]"'
        ) from error
    contents: list[Content] = reader.file_reader(str(path))
    return contents


def _is_hyperspy(path: Path) -> bool:
    with import_module("h5py").File(path) as file:
        return "Experiments" in file


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


def _is_image(content: Content) -> bool:
    """Whether the last two axes are rows and columns: with units of length, where they have any."""
    shape = np.shape(content["data"])
    if len(shape) < 2 or min(shape[-2:]) < _SMALLEST:
        return False
    units = [axis.get("units") for axis in content["axes"][-2:]]
    known = [unit for unit in units if isinstance(unit, str) and unit not in ("", "<undefined>")]
    return all(angstroms(unit) is not None for unit in known)


_PICTURES = (".png", ".jpg", ".jpeg", ".bmp")
_TIFFS = (".tif", ".tiff")

IMAGE_SUFFIXES = (*_TIFFS, *_PICTURES, ".npy", *FORMATS)
"""Suffixes of files that `read_image` reads, in lower case."""


def read_image(path: str | Path, dataset: int | str | None = None) -> MicroscopeImage:
    """Read an image or stack with its scale.

    TIFF, PNG, JPEG, BMP and NumPy arrays need no other package; dm3, dm4, emd, ser, mrc, hspy and
    HDF5 need RosettaSciIO (``pip install "napari-atomseg[em]"``).

    Parameters
    ----------
    path : file, whose suffix sets the format.
    dataset : number or title of one image among several; by default the first image.

    Raises
    ------
    ImageFileError
        The file is missing, damaged, of an unknown kind, or holds no image; it is an `OSError`
        whose message names the file.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if not path.is_file():
        raise ImageFileError(f"{path}: no such file")
    if suffix not in IMAGE_SUFFIXES:
        raise ImageFileError(
            f"{path}: files of kind {suffix or 'without suffix'} are not read; "
            f"known suffixes are {', '.join(IMAGE_SUFFIXES)}"
        )
    try:
        if suffix in _TIFFS:
            return read_tiff(path, _number(dataset))
        if suffix in _PICTURES:
            return read_picture(path)
        if suffix == ".npy":
            return read_array(path)
        return read_microscope(path, dataset)
    except ImageFileError:
        raise
    except Exception as error:  # readers of foreign formats raise any exception on a damaged file
        reason = str(error) or type(error).__name__
        raise ImageFileError(f"{path}: damaged, or not a {suffix} file ({reason})") from error


def _number(dataset: int | str | None) -> int | None:
    return None if dataset is None else int(dataset)
