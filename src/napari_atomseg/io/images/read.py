"""Read images: every format behind two functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from napari_atomseg.io.images import contents, emd, hdf5, matlab, mrc, nion, rosetta, text
from napari_atomseg.io.images.emd import read_emd
from napari_atomseg.io.images.hdf5 import read_hdf5
from napari_atomseg.io.images.image import ImageFileError, MicroscopeImage
from napari_atomseg.io.images.matlab import read_matlab
from napari_atomseg.io.images.mrc import read_mrc
from napari_atomseg.io.images.nion import read_ndata
from napari_atomseg.io.images.ome_zarr import read_zarr
from napari_atomseg.io.images.pictures import read_array, read_picture
from napari_atomseg.io.images.rosetta import read_microscope
from napari_atomseg.io.images.text import read_text_image
from napari_atomseg.io.images.tia import read_emi, read_series
from napari_atomseg.io.images.tiff.read import read_tiff
from napari_atomseg.io.tried import UnsafeFileError

_PICTURES = (".png", ".jpg", ".jpeg", ".bmp")
_TIFFS = (".tif", ".tiff")

Reader = Callable[[Path], list[MicroscopeImage]]

READERS: dict[str, Reader] = {
    **dict.fromkeys(_TIFFS, read_tiff),
    **dict.fromkeys(_PICTURES, read_picture),
    ".npy": read_array,
    ".ser": read_series,
    ".emi": read_emi,
    **dict.fromkeys(emd.SUFFIXES, read_emd),
    **dict.fromkeys(mrc.SUFFIXES, read_mrc),
    **dict.fromkeys(hdf5.SUFFIXES, read_hdf5),
    **dict.fromkeys(nion.SUFFIXES, read_ndata),
    **dict.fromkeys(rosetta.FORMATS, read_microscope),
    **dict.fromkeys(matlab.SUFFIXES, read_matlab),
    **dict.fromkeys(text.SUFFIXES, read_text_image),
    ".zarr": read_zarr,
}
"""For each suffix, the function that reads all data sets of a file."""

IMAGE_SUFFIXES = tuple(
    suffix for suffix in READERS if suffix not in (".emi", *matlab.SUFFIXES, *text.SUFFIXES)
)
"""Suffixes of images, in lower case; `read_image` also reads those in `READERS`, of files that
more often hold tables, or that belong to images."""

FOLDERS = (".zspy", ".zarr")
"""Suffixes of folders that are read as one file."""

HINTS = {
    ".nslib": "export the data items of Nion Swift as .ndata1 or TIFF",
    ".nsproj": "export the data items of Nion Swift as .ndata1 or TIFF",
    ".pts": "export the maps as TIFF",
    ".gwy": "export the channel in Gwyddion as ASCII data matrix with its header, or as TIFF",
    ".czi": "export it as OME-TIFF",
    ".spm": "export it as TIFF or as text",
    ".npz": "save one of its arrays by numpy.save as .npy",
    ".raw": "its shape and type are not in it; open it in ImageJ (Import, Raw) and save it as TIFF",
    ".vms": "save the image as TIFF",
    ".pdf": "save the figure as an image",
}
"""What to do with files of suffixes that are not read."""


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
    if path.is_dir() and suffix not in FOLDERS:
        raise ImageFileError(f"{path}: a folder; give one of the image files in it")
    if not path.exists():
        raise ImageFileError(f"{path}: no such file")
    if not path.is_dir() and not path.is_file():
        raise ImageFileError(f"{path}: this is no regular file")
    if suffix not in READERS:
        hint = HINTS.get(suffix, f"known suffixes are {', '.join(READERS)}")
        raise ImageFileError(
            f"{path}: files of kind {suffix or 'without suffix'} are not read; {hint}"
        )
    try:
        images = READERS[suffix](path)
    except ImageFileError:
        raise
    except UnsafeFileError as error:
        raise ImageFileError(str(error)) from error
    except Exception as error:  # readers of foreign formats raise any exception on a damaged file
        reason = str(error) or type(error).__name__
        raise ImageFileError(f"{path}: damaged, or not a {suffix} file ({reason})") from error
    if not images:
        raise ImageFileError(f"{path}: no image in it")
    images = _named_apart(images)
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
    image = _in_memory(_chosen(Path(path), read_images(path), dataset))
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
    if found and found[0].data.ndim > 1:
        return found[0]
    wanted = "no image" if dataset is None else f"no dataset {dataset!r}"
    other = dataset is None and any(image.data.ndim > 1 for image in images)
    hint = "; to take what is no image, give its number (dataset= or --dataset)" if other else ""
    raise ImageFileError(f"{path}: {wanted} in it; it has {'; '.join(_labels(images))}{hint}")


def _in_memory(image: MicroscopeImage) -> MicroscopeImage:
    """An image with its pixels, unless these are so many that they stay in the file."""
    if not hasattr(image.data, "dask") or image.data.nbytes > contents.LARGE:
        return image
    return replace(image, data=image.data.compute(scheduler="synchronous"))


def _frame(path: Path, image: MicroscopeImage, frame: int) -> MicroscopeImage:
    count = image.data.shape[0] if image.data.ndim > 2 else 1
    if not -count <= frame < count:
        raise ImageFileError(f"{path}: no frame {frame}; it has {count}, counted from 0")
    if image.data.ndim == 2:
        return image
    return replace(image, data=image.data[frame], axes=image.axes[1:], scales=image.scales[1:])


def _named_apart(images: list[MicroscopeImage]) -> list[MicroscopeImage]:
    """Data sets of one title get numbers, so that each can be chosen by its title."""
    titles = [image.title for image in images]
    return [
        replace(image, title=f"{title} {titles[: number + 1].count(title)}")
        if title and titles.count(title) > 1
        else image
        for number, (image, title) in enumerate(zip(images, titles, strict=True))
    ]


def _labels(images: Sequence[MicroscopeImage]) -> list[str]:
    """Number, title, shape and kind of each data set, for messages and lists."""
    return [
        f"{number}: {image.title or 'untitled'} {tuple(image.data.shape)}"
        + ("" if image.kind == "image" else f", {image.kind}")
        for number, image in enumerate(images)
    ]
