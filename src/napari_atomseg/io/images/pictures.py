"""Pictures as grey values, and NumPy arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import imageio.v3 as imageio
import numpy as np
from numpy.typing import NDArray

from napari_atomseg.io.images import contents
from napari_atomseg.io.images.image import (
    ImageFileError,
    MicroscopeImage,
    luminance,
    make_image,
)

_CHANNELS = 4
"""Longest last axis that is taken as colours."""


def read_picture(path: Path) -> list[MicroscopeImage]:
    """A picture as grey values; colours become their luminance.

    Raises
    ------
    ImageFileError
        It is no picture that can be read.
    """
    try:
        pixels = imageio.imread(path)
    except OSError as error:
        if "backend" not in str(error):
            raise
        # It would name packages that read films.
        raise ImageFileError(f"{path}: damaged, or not a {path.suffix} file") from error
    return [make_image(path, grey_values(pixels))]


def grey_values(data: NDArray[Any]) -> NDArray[Any]:
    """The luminance of a colour picture; a grey one unchanged."""
    return luminance(data) if data.ndim > 2 and data.shape[-1] <= _CHANNELS else data


def read_array(path: Path) -> list[MicroscopeImage]:
    """An array saved by `numpy.save`; arrays of objects, which are pickles, are refused."""
    if path.stat().st_size <= contents.LARGE:
        return [make_image(path, np.load(path, allow_pickle=False))]
    from dask import array

    mapped = np.load(path, mmap_mode="r", allow_pickle=False)
    lazy = array.from_array(mapped, name=False)  # type: ignore[no-untyped-call]
    return [make_image(path, lazy)]
