"""The intensity of an image along a line, averaged over a width across it."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.ndimage import map_coordinates

from napari_atomseg._shared.objects import takes_images
from napari_atomseg._shared.types import Sampling
from napari_atomseg._shared.units import pixel_scale


@takes_images("image")
def line_profile(
    image: ArrayLike,
    start: tuple[float, float],
    end: tuple[float, float],
    width: float = 0.0,
    sampling: Sampling | None = None,
) -> pd.DataFrame:
    """Mean intensity along a line.

    The image is interpolated linearly at steps of a pixel along the line and across it. Where part
    of the width lies outside of the image, or is NaN, the rest is averaged.

    Parameters
    ----------
    image : (H, W).
    start, end : (y, x) px of the ends.
    width : over which the intensity is averaged across the line, Å, or px without a sampling; 0 for
        the line alone.
    sampling : Å a pixel, one number or (dy, dx), or None.

    Returns
    -------
    A row a step: ``distance`` from the start (Å, or px), ``y``, ``x`` (px), ``intensity``,
    ``intensity_err``, the standard error of the mean by the scatter across the line, of as many
    values as pixels are averaged (NaN below two), and ``count`` of these.

    Raises
    ------
    ValueError
        The image is not two-dimensional, the ends are one place or not finite, or the width is
        negative.
    """
    picture = np.asarray(image, dtype=np.float64)
    if picture.ndim != 2:
        raise ValueError(f"image must be two-dimensional, not of shape {picture.shape}")
    first, last = np.asarray(start, dtype=np.float64), np.asarray(end, dtype=np.float64)
    unit = pixel_scale(sampling)
    way = (last - first) * unit
    length = float(np.hypot(*way))
    if not (np.isfinite(length) and length > 0):
        raise ValueError(f"start={start!r} and end={end!r} must be two places, (y, x) in px")
    if not width >= 0:
        raise ValueError(f"width={width!r} must be 0 or more")
    step = float(unit.min())
    along = np.linspace(0.0, length, int(np.ceil(length / step)) + 1)
    lanes = max(1, round(width / step))
    across = (np.arange(lanes) - 0.5 * (lanes - 1)) * (width / lanes)
    direction = way / length
    normal = np.array([-direction[1], direction[0]])
    middle = first + along[:, None] * direction / unit
    places = middle[:, None] + across[:, None] * normal / unit
    values = map_coordinates(
        picture, np.moveaxis(places, -1, 0), order=1, mode="constant", cval=np.nan
    )
    there = np.isfinite(values)
    count = there.sum(axis=1)
    total = np.where(there, values, 0.0).sum(axis=1)
    mean = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    squares = np.where(there, (values - mean[:, None]) ** 2, 0.0).sum(axis=1)
    several = count > 1
    spare = np.maximum(count * (count - 1), 1)
    return pd.DataFrame(
        {
            "distance": along,
            "y": middle[:, 0],
            "x": middle[:, 1],
            "intensity": mean,
            "intensity_err": np.where(several, np.sqrt(squares / spare), np.nan),
            "count": count,
        }
    )
