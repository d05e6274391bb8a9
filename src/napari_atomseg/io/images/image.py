"""What reading an image gives."""

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
    """A file that cannot be read as an image; the message names it and says why."""


@dataclass(frozen=True)
class MicroscopeImage:
    """An image or stack of a file.

    Attributes
    ----------
    data : (..., H, W) real numbers, of the file's type (half precision as float32).
    sampling : Å per pixel, one number or (dy, dx); None where the file does not say.
    axes : a name for each axis of `data`; the last two are "y" and "x".
    metadata : what else the file says; "datasets" lists what is in a file that holds several.
    name : of the file, without its suffix.
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
        `data` is not a picture of real numbers.
    """
    data = np.asarray(data)
    if data.ndim < 2 or min(data.shape[-2:], default=0) < 2 or data.size == 0:
        raise ImageFileError(f"{path}: no image, but an array of shape {data.shape}")
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
    """One number for square pixels, (dy, dx) for others, None where a size is unknown."""
    sizes = [float(size) for size in (dy, dx) if size is not None]
    if len(sizes) < 2 or not all(np.isfinite(size) and size > 0 for size in sizes):
        return None
    height, width = sizes
    return height if np.isclose(height, width, rtol=1e-7, atol=0) else (height, width)


def luminance(data: NDArray[Any]) -> NDArray[Any]:
    """(..., H, W, C) with C colours, or grey and alpha, to (..., H, W).

    Grey pictures stored in colours keep their type; others become float32. Alpha is left out.
    """
    if data.shape[-1] in (1, 2):
        return data[..., 0]
    colours = data[..., :3]
    if all(np.array_equal(colours[..., 0], colours[..., i]) for i in (1, 2)):
        return colours[..., 0]
    grey: NDArray[Any] = colours.astype(np.float64) @ LUMINANCE
    return grey.astype(np.float32)


def _native(kind: np.dtype[Any]) -> np.dtype[Any]:
    """In the machine's byte order; half precision, which few programs know, becomes single."""
    return np.dtype(np.float32) if kind == np.float16 else kind.newbyteorder("=")
