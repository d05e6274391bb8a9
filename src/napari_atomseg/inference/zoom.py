"""At which magnification the network sees the columns best."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as functional
from numpy.typing import NDArray
from scipy import ndimage
from skimage.feature import peak_local_max
from torch import Tensor

from napari_atomseg.inference.arrays import Image
from napari_atomseg.inference.scale import estimate_spacing
from napari_atomseg.specimen.neighbours import nearest_distances

ZOOMS = (1.0, 0.5, 0.25, 2.0)
"""Magnifications tried, the image as it is first."""
WINDOW = 320
"""Side, in pixels after zooming, of the part of the image that is tried."""
CLOSEST = 3.8
"""Columns found closer than this (pixels of the image) are noise."""
CLOSEST_REDUCED = 7.0
"""Little is gained by reducing an image so far that its columns stand closer than this (pixels
after zooming): noise does, whatever the magnification."""
CLEAR = 0.7
"""Confidence that the network does not have in noise: where it has that, and clearly more than in
the image as it is, its columns may stand closer."""
GAIN = 0.87
"""The confidence in the image as it is over that clearly higher one, at most."""
LOYALTY = 0.93
"""The image is left as it is where that is within this factor of the best confidence."""
ROOMY = 34.0
"""Columns further apart (pixels) are restored better in a reduced image, even by networks that saw
such in training: on simulated crystals by 1 dB, and by 2 to 4 where electrons are few."""


@dataclass(frozen=True)
class Zoom:
    """The magnification chosen and the column spacing, in pixels of the image, that was seen."""

    factor: float
    spacing: float


def choose_zoom(
    column_map: Callable[[Tensor], Tensor],
    image: Image,
    sampling: float | None = None,
) -> Zoom:
    """Try the network on part of the image at several magnifications and take the surest.

    At the right one it marks columns with high probability and at a distance it was trained on;
    at the others it sees noise or slow shades, and says so.

    Parameters
    ----------
    column_map : (1, 1, h, w) image to (h, w) probabilities.
    image : (H, W) finite, bright columns.
    sampling : Å a pixel where known; spacings outside 0.8-6 Å are then not believed.
    """
    best, most, native = None, 0.0, 0.0
    for factor in ZOOMS:
        found = _seen(column_map, image, factor)
        if found is None:
            continue
        spacing, sureness = found[0] / factor, found[1]
        native = sureness if factor == 1.0 else native
        if found[0] < _closest(factor, clear=sureness >= CLEAR and native <= GAIN * sureness) or (
            sampling and not 0.8 <= spacing * sampling <= 6.0
        ):
            continue
        # The first, the image as it is, is given up only for a clear gain.
        if best is None or sureness * (LOYALTY if best.factor == 1.0 else 1.0) > most:
            best, most = Zoom(factor, spacing), sureness
        if factor == 1.0 and sureness >= LOYALTY:
            break  # Nothing else could be chosen.
    return best or Zoom(1.0, estimate_spacing(image, sampling))


def _closest(factor: float, *, clear: bool) -> float:
    """Pixels after zooming that columns must stand apart not to be noise."""
    if factor >= 1.0:
        return CLOSEST * factor
    return CLOSEST if clear else CLOSEST_REDUCED


def nearest_zoom(spacing: float, trained: tuple[float, float] | None) -> Zoom:
    """The magnification that brings a spacing (pixels) to where images are restored well.

    That is the range of the training, up to `ROOMY`. It is 1 where no zoom does it, and where the
    training was not of columns.
    """
    low, high = (trained[0], min(trained[1], ROOMY)) if trained else (0.0, np.inf)
    fitting = [factor for factor in ZOOMS if low <= spacing * factor <= high]
    return Zoom(fitting[0] if fitting else 1.0, spacing)


def resize(image: Tensor, factor: float) -> Tensor:
    """(1, 1, H, W) resampled by a factor, bicubic, without aliasing."""
    if factor == 1.0:
        return image
    size = [max(1, round(n * factor)) for n in image.shape[-2:]]
    return functional.interpolate(
        image, size=size, mode="bicubic", align_corners=False, antialias=factor < 1.0
    )


def confidence(column_map: Callable[[Tensor], Tensor], image: Image) -> float:
    """How sure (0..1) the network is of the bright columns it sees in part of the image."""
    found = _seen(column_map, image, 1.0)
    return found[1] if found else 0.0


def _window(image: Image, side: int) -> Image:
    """The part of the image, `side` pixels square at most, with the strongest fine structure."""
    height, width = (min(n, side) for n in image.shape)
    if (height, width) == image.shape:
        return np.ascontiguousarray(image)
    coarse = max(1, min(side // 64, *image.shape))
    small = image[: image.shape[0] // coarse * coarse, : image.shape[1] // coarse * coarse]
    small = small.reshape(small.shape[0] // coarse, coarse, -1, coarse)
    activity = ndimage.uniform_filter(small.var(axis=(1, 3)), max(1, side // coarse))
    row, col = (int(i) * coarse for i in np.unravel_index(activity.argmax(), activity.shape))
    top = int(np.clip(row - height // 2, 0, image.shape[0] - height))
    left = int(np.clip(col - width // 2, 0, image.shape[1] - width))
    return np.ascontiguousarray(image[top : top + height, left : left + width])


def _seen(
    column_map: Callable[[Tensor], Tensor], image: Image, factor: float
) -> tuple[float, float] | None:
    """Median distance to the nearest neighbour (pixels after zooming) and mean probability of the
    columns that the network sees in part of the magnified image; None of fewer than three.
    """
    window = _window(image, int(np.ceil(WINDOW / factor)))
    probability = column_map(resize(torch.from_numpy(window)[None, None], factor))
    surface: NDArray[np.float32] = probability.float().cpu().numpy()
    peaks = peak_local_max(surface, min_distance=2, threshold_abs=0.3)
    if len(peaks) < 3:
        return None
    return float(np.median(nearest_distances(peaks))), float(surface[tuple(peaks.T)].mean())
