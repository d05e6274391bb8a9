"""EMD files, of Berkeley and of Velox."""

from __future__ import annotations

from pathlib import Path

import h5py

from napari_atomseg.io.images.contents import images_of
from napari_atomseg.io.images.hdf5 import plain_arrays
from napari_atomseg.io.images.image import ImageFileError, MicroscopeImage
from napari_atomseg.io.images.rosetta import rosetta_contents
from napari_atomseg.io.images.velox import is_velox, read_velox
from napari_atomseg.io.tried import try_file

SUFFIXES = (".emd", ".de5")


def read_emd(path: Path) -> list[MicroscopeImage]:
    """Every data set of an EMD file: each detector and map of Velox, each group of Berkeley.

    Spectrum images of Velox, which are streams of counts, are left out; the notes say so.
    """
    try_file(path)
    with h5py.File(path) as file:
        velox, images = "Version" in file, is_velox(file)
    if images:
        return read_velox(path)
    return images_of(path, rosetta_contents(path, "emd")) if velox else _berkeley(path)


def _berkeley(path: Path) -> list[MicroscopeImage]:
    """Groups of a Berkeley file; plain arrays where its axes are not as the format has them."""
    try:
        return images_of(path, rosetta_contents(path, "emd"))
    except ImageFileError:
        raise
    except Exception as error:  # RosettaSciIO raises any where an axis is missing or of odd types
        note = f"Its axes could not be read, and give no scale ({type(error).__name__}: {error})."
        return plain_arrays(path, note)
