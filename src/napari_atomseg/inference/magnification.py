"""The magnifications at which a network looks for the columns of an image, and restores it.

A network sees columns of the scales that it was trained on. An image may hold several at once: a
faint sublattice between bright columns, or large and small ones; each is looked for at every
magnification at which the image shows columns at all, and what is found is joined
(`localization.joining`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
import torch.nn.functional as functional
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree
from torch import Tensor

from napari_atomseg._shared.geometry import median_spacing
from napari_atomseg._shared.types import Array, Image
from napari_atomseg.inference.scale import estimate_spacing

ColumnMap = Callable[[Tensor], Tensor]
"""A network: (1, 1, h, w) image to (h, w) probabilities of columns."""

REDUCED = (0.5, 0.25)
ENLARGED = 2.0
MAGNIFICATIONS = (1.0, *REDUCED, ENLARGED)
WINDOW = 320
"""Side of the part of the image that magnifications are tried on, pixels after magnification."""
SEEN = 0.3
"""Probability from which on a peak of the column map counts when magnifications are tried."""
SURE = 0.5
"""Probability of a column that a magnification is admitted for."""
FEWEST = 3
"""Columns in the window without which a magnification shows nothing."""
CLOSEST = 3.8
"""Columns found closer than this (pixels of the image) are noise."""
CLOSEST_REDUCED = 7.0
"""Columns closer than this (pixels after magnification) in a reduced image are probably noise,
which looks the same at every magnification."""
CLEAR = 0.7
"""Mean probability that networks do not reach in noise. Columns that are as sure as that may be
closer in a reduced image, and are looked for in an enlarged one."""
NEW = 0.05
"""Fraction of sure columns that the enlarged image must add, as it takes four times as long; and
that the image as it is must add where columns are wide apart."""
TRUSTED = 0.75
"""Magnifications whose mean probability is at least this part of the best one know the spacing."""
ROOMY = 34.0
"""Columns further apart (pixels) are restored better in a reduced image, even by networks trained
on such spacings: on simulated crystals by 1 dB, and by 2 to 4 dB at low dose."""
LEAST_SPACING, LARGEST_SPACING = 0.8, 6.0
"""Å between nearest columns of a projected crystal."""


@dataclass(frozen=True)
class Magnifications:
    """How an image is shown to a network.

    Attributes
    ----------
    restoring : the factor at which intensities are restored.
    detecting : factors at which columns are looked for, the largest first; 1 leaves the image as
        it is.
    spacing : distance between neighbouring columns, pixels of the image.
    """

    restoring: float
    detecting: tuple[float, ...]
    spacing: float


@dataclass(frozen=True)
class _View:
    """Columns that a network sees in a window of an image magnified by a factor.

    Attributes
    ----------
    window : first and last row and column of the window, pixels of the image.
    points, probability : (N, 2) places in pixels of the image, and (N,) peaks of the column map.
    """

    factor: float
    window: tuple[slice, slice]
    points: Array
    probability: Array

    @property
    def empty(self) -> bool:
        """Whether there is nothing like a lattice in it."""
        return len(self.points) < FEWEST

    @cached_property
    def spacing(self) -> float:
        """Median distance of nearest columns, pixels of the image; infinite where `empty`."""
        return np.inf if self.empty else median_spacing(self.points)

    @cached_property
    def sureness(self) -> float:
        """Mean probability."""
        return 0.0 if self.empty else float(self.probability.mean())

    @property
    def credible(self) -> bool:
        """Whether these are columns rather than noise."""
        if self.empty or self.spacing < CLOSEST:
            return False
        near = self.spacing * self.factor < CLOSEST_REDUCED and self.factor < 1.0
        return self.sureness >= CLEAR if near else True

    def adds(self, others: list[_View]) -> float:
        """Fraction of sure columns in it that no other view shows within half a spacing.

        Columns outside the windows of all others are left out.
        """
        seen = [view for view in others if not view.empty]
        mine = self.points[self.probability >= SURE]
        mine = mine[np.any([_within(mine, view.window) for view in others], axis=0)]
        if not len(mine):
            return 0.0
        if not seen:
            return 1.0
        distance = np.asarray(cKDTree(np.concatenate([v.points for v in seen])).query(mine)[0])
        return float((distance > 0.5 * self.spacing).mean())


def choose_magnifications(
    column_map: ColumnMap,
    image: Image,
    sampling: float | None = None,
    trained: tuple[float, float] | None = None,
    spacing: float | None = None,
) -> Magnifications:
    """Try the network on part of the image, as it is, reduced and enlarged.

    Columns are looked for at every magnification that shows some which are not closer than noise
    is. The image as it is is left out only where columns are more than `ROOMY` apart and it shows
    no others; the enlarged one is taken only where it adds to what the image as it is shows.

    Parameters
    ----------
    column_map : the network.
    image : (H, W) finite, bright columns.
    sampling : Å a pixel where known; spacings below 0.8 Å are then noise, and those above 6 Å of
        reduced images no columns.
    trained : spacings of the training, pixels; None where they do not matter.
    spacing : as `estimate_spacing` gives it, where that is known.
    """
    if spacing is None:
        spacing = estimate_spacing(image, sampling)
    native, *reduced = (_view(column_map, image, factor) for factor in (1.0, *REDUCED))
    views = [view for view in (native, *reduced) if view.credible and _real(view, sampling)]
    enlarged = None
    if min(native.spacing, spacing) < 2 * CLOSEST:
        enlarged = _view(column_map, image, ENLARGED)
    if enlarged is not None and enlarged.credible and _real(enlarged, sampling):
        rivals = [native] if native in views else []
        better = enlarged.sureness >= min(CLEAR, native.sureness or CLEAR)
        if better and (not rivals or enlarged.adds(rivals) > NEW):
            views.insert(0, enlarged)
    if not views:
        return Magnifications(1.0, (1.0,), spacing)
    best = max(view.sureness for view in views)
    spacing = next(view.spacing for view in views if view.sureness >= TRUSTED * best)
    smaller = [view for view in views if view.factor < 1.0]
    if native in views and smaller and spacing > ROOMY and native.adds(smaller) <= NEW:
        views.remove(native)
    return Magnifications(
        nearest_magnification(spacing, trained), tuple(view.factor for view in views), spacing
    )


def nearest_magnification(spacing: float, trained: tuple[float, float] | None) -> float:
    """The magnification that brings a spacing (pixels) into the range that is restored well.

    This is the range of the training, up to `ROOMY`. The magnification is 1 where none fits, and
    where the training was not about columns.
    """
    low, high = (trained[0], min(trained[1], ROOMY)) if trained else (0.0, np.inf)
    return next((f for f in MAGNIFICATIONS if low <= spacing * f <= high), 1.0)


def resize(image: Tensor, factor: float) -> Tensor:
    """(1, 1, H, W) resampled by a factor, bicubic, without aliasing."""
    if factor == 1.0:
        return image
    size = [max(1, round(n * factor)) for n in image.shape[-2:]]
    return functional.interpolate(
        image, size=size, mode="bicubic", align_corners=False, antialias=factor < 1.0
    )


def confidence(column_map: ColumnMap, image: Image) -> float:
    """Mean probability (0..1) of the bright columns that a network sees in part of the image.

    That is the mean of two looks, at the image as it is and at half its size.
    """
    return float(np.mean([_view(column_map, image, factor).sureness for factor in (1.0, 0.5)]))


def _real(view: _View, sampling: float | None) -> bool:
    """Whether columns of crystals stand as far apart as those of a view."""
    if sampling is None:
        return True
    distance = view.spacing * sampling
    return distance >= LEAST_SPACING and (view.factor >= 1.0 or distance <= LARGEST_SPACING)


def _view(column_map: ColumnMap, image: Image, factor: float) -> _View:
    """What a network sees in a window of the image magnified by a factor."""
    window = _window(image, int(np.ceil(WINDOW / factor)))
    part = torch.from_numpy(np.ascontiguousarray(image[window]))[None, None]
    probability = column_map(resize(part, factor))
    surface: NDArray[np.float32] = probability.float().cpu().numpy()
    peaks = _peaks(surface)
    first = np.array([window[0].start, window[1].start])
    points = (peaks + 0.5) / factor - 0.5 + first
    return _View(factor, window, points, surface[tuple(peaks.T)].astype(np.float64))


def _peaks(surface: Image) -> NDArray[np.intp]:
    """(N, 2) rows and columns of peaks above `SEEN`, the highest ones first.

    A peak is the highest of the five by five pixels about it, and not of the two at the border. Of
    equal pixels side by side the first one is it.
    """
    highest = (surface == ndimage.maximum_filter(surface, 5)) & (surface > SEEN)
    inner = highest[2:-2, 2:-2]
    peaks = np.argwhere(inner) + 2
    if not len(peaks) or np.ptp(surface) == 0:
        return np.empty((0, 2), dtype=np.intp)
    peaks = peaks[np.argsort(-surface[tuple(peaks.T)], kind="stable")]
    kept = np.ones(len(peaks), dtype=bool)
    for first, second in sorted(cKDTree(peaks).query_pairs(1.0, p=np.inf)):
        kept[second] &= not kept[first]
    return peaks[kept]


def _window(image: Image, side: int) -> tuple[slice, slice]:
    """The part of the image, `side` pixels square at most, with the strongest fine structure."""
    height, width = (min(n, side) for n in image.shape)
    if (height, width) == image.shape:
        return slice(0, height), slice(0, width)
    coarse = max(1, min(side // 64, *image.shape))
    small = image[: image.shape[0] // coarse * coarse, : image.shape[1] // coarse * coarse]
    small = small.reshape(small.shape[0] // coarse, coarse, -1, coarse)
    activity = ndimage.uniform_filter(small.var(axis=(1, 3)), max(1, side // coarse))
    row, col = (int(i) * coarse for i in np.unravel_index(activity.argmax(), activity.shape))
    top = int(np.clip(row - height // 2, 0, image.shape[0] - height))
    left = int(np.clip(col - width // 2, 0, image.shape[1] - width))
    return slice(top, top + height), slice(left, left + width)


def _within(points: Array, window: tuple[slice, slice]) -> NDArray[np.bool_]:
    """(N,) points (N, 2) that lie in a window."""
    inside = np.ones(len(points), dtype=bool)
    for place, span in zip(points.T, window, strict=True):
        inside &= (place >= span.start - 0.5) & (place < span.stop - 0.5)
    return inside
