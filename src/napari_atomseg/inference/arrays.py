"""Any image to frames of finite float32 numbers, with clear refusals."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_atomseg._shared.types import Image


def as_frames(image: Any) -> tuple[Image, tuple[int, ...]]:
    """(N, H, W) float32 frames of an image or stack, and the shape it came in.

    Pixels that are NaN or infinite become the median of their frame.

    Raises
    ------
    TypeError
        The values are not real numbers.
    ValueError
        The array has fewer than two axes, no pixels, or looks like an RGB image.
    """
    array = np.asarray(image)
    if array.dtype == object or array.dtype.kind not in "biuf":
        raise TypeError(f"image has values of type {array.dtype}; real numbers are needed")
    if array.ndim < 2:
        raise ValueError(f"image has shape {array.shape}; two axes (rows, columns) are needed")
    if 0 in array.shape:
        raise ValueError(f"image has shape {array.shape}: it holds no pixels")
    if array.ndim == 3 and array.shape[-1] in (3, 4) and min(array.shape[:2]) > 4:
        raise ValueError(
            f"image has shape {array.shape}, an RGB image; convert it to grey values first"
        )
    frames = array.reshape(-1, *array.shape[-2:]).astype(np.float32)
    bad = ~np.isfinite(frames)
    if bad.any():
        frames = np.where(bad, np.nan, frames)
        for frame in frames:
            holes = np.isnan(frame)
            if holes.any():
                frame[holes] = 0.0 if holes.all() else np.nanmedian(frame)
    return frames, array.shape
