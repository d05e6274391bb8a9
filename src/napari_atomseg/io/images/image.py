"""An image read from a file, with its sampling."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_atomseg._shared.types import Sampling

LUMINANCE = np.array([0.2125, 0.7154, 0.0721])
"""Weights of red, green and blue in luminance (ITU-R BT.709)."""


class ImageFileError(OSError):
    """A file that cannot be read as an image; the message names it and the reason."""


@dataclass(frozen=True)
class MicroscopeImage:
    """An image or stack read from a file.

    Attributes
    ----------
    data : (..., H, W) real numbers, of the file's type (half precision as float32).
    sampling : Å per pixel, one number or (dy, dx); None where unknown.
    axes : a name for each axis of `data`; the last two are "y" and "x".
    metadata : further information in the file; "datasets" lists its data sets.
    name : name of the file without its suffix.
    """

    data: NDArray[Any]
    sampling: Sampling | None
    axes: tuple[str, ...]
    metadata: Mapping[str, Any] = field(default_factory=dict)
    name: str = "image"


def make_image(
    path: Path,
    data: NDArray[Any],
    pixel: tuple[float | None, float | None] = (None, None),
    metadata: Mapping[str, Any] | None = None,
) -> MicroscopeImage:
    """The image of a file, its numbers in the machine's byte order.

    Parameters
    ----------
    pixel : Å per pixel (dy, dx), None, zero or NaN where unknown.

    Raises
    ------
    ImageFileError
        `data` is not an image of real numbers.
    """
    data = np.asarray(data)
    if data.ndim < 2 or min(data.shape[-2:], default=0) < 2 or data.size == 0:
        raise ImageFileError(f"{path}: not an image, but an array of shape {data.shape}")
    if data.dtype.kind not in "buif":
        raise ImageFileError(f"{path}: not an image of real numbers ({data.dtype})")
    leading = ("frame",) if data.ndim == 3 else tuple(f"axis {i}" for i in range(data.ndim - 2))
    return MicroscopeImage(
        data=np.ascontiguousarray(data, dtype=_native(data.dtype)),
        sampling=sampling_of(*pixel),
        axes=(*leading, "y", "x"),
        metadata=dict(metadata or {}),
        name=path.stem,
    )


def sampling_of(dy: float | None, dx: float | None) -> Sampling | None:
    """Sampling of two pixel sizes: one number for square pixels, None where one is unknown."""
    sizes = [float(size) for size in (dy, dx) if size is not None]
    if len(sizes) < 2 or not all(np.isfinite(size) and size > 0 for size in sizes):
        return None
    height, width = sizes
    return height if np.isclose(height, width, rtol=1e-7, atol=0) else (height, width)


def luminance(data: NDArray[Any]) -> NDArray[Any]:
    """Convert colours, or grey and alpha, (..., H, W, C) to grey values (..., H, W).

    Grey images stored as colours keep their type; others become float32. Alpha is ignored.
    """
    if data.shape[-1] in (1, 2):
        return data[..., 0]
    colours = data[..., :3]
    if all(np.array_equal(colours[..., 0], colours[..., i]) for i in (1, 2)):
        return colours[..., 0]
    grey: NDArray[Any] = colours.astype(np.float64) @ LUMINANCE
    return grey.astype(np.float32)


def _native(kind: np.dtype[Any]) -> np.dtype[Any]:
    """Type in the machine's byte order; half precision, which few programs read, becomes single."""
    return np.dtype(np.float32) if kind == np.float16 else kind.newbyteorder("=")
