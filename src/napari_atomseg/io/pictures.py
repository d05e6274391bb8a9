"""PNG, JPEG and other pictures, and arrays of NumPy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import imageio.v3 as imageio
import numpy as np
from numpy.typing import NDArray

from napari_atomseg.io.image import MicroscopeImage, luminance, make_image

_CHANNELS = 4
"""A last axis at most this long holds colours."""


def read_picture(path: Path) -> MicroscopeImage:
    """A picture as grey values; colours become their luminance."""
    return make_image(path, grey_values(imageio.imread(path)))


def grey_values(data: NDArray[Any]) -> NDArray[Any]:
    """The luminance of a picture in colours; a grey one as it is."""
    return luminance(data) if data.ndim > 2 and data.shape[-1] <= _CHANNELS else data


def read_array(path: Path) -> MicroscopeImage:
    """An array saved by `numpy.save`; arrays of objects are refused, as they are pickles."""
    return make_image(path, np.load(path, allow_pickle=False))
