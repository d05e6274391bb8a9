"""One function for every kind of image file."""

from __future__ import annotations

from pathlib import Path

from napari_atomseg.io.image import ImageFileError, MicroscopeImage
from napari_atomseg.io.microscope import FORMATS, read_microscope
from napari_atomseg.io.pictures import read_array, read_picture
from napari_atomseg.io.tiff import read_tiff

_PICTURES = (".png", ".jpg", ".jpeg", ".bmp")
_TIFFS = (".tif", ".tiff")

IMAGE_SUFFIXES = (*_TIFFS, *_PICTURES, ".npy", *FORMATS)
"""Suffixes of files that `read_image` reads, in lower case."""


def read_image(path: str | Path, dataset: int | str | None = None) -> MicroscopeImage:
    """Read an image or stack with its scale.

    TIFF, PNG, JPEG, BMP and NumPy arrays are read as they are; dm3, dm4, emd, ser, mrc, hspy and
    HDF5 need RosettaSciIO (``pip install "napari-atomseg[em]"``).

    Parameters
    ----------
    path : of the file; its suffix says what it is.
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
            f"these are: {', '.join(IMAGE_SUFFIXES)}"
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
    except Exception as error:  # readers of foreign formats raise anything on a damaged file
        reason = str(error) or type(error).__name__
        raise ImageFileError(f"{path}: damaged, or not a {suffix} file ({reason})") from error


def _number(dataset: int | str | None) -> int | None:
    return None if dataset is None else int(dataset)
