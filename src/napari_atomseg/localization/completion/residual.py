"""What the fitted columns leave of an image, as heights of columns in units of their noise."""

from __future__ import annotations

from copy import copy
from functools import cached_property, partial

import numpy as np
import torch
from scipy import ndimage
from scipy.spatial import cKDTree

from napari_atomseg._shared.geometry import median_spacing
from napari_atomseg._shared.types import Array, Mask
from napari_atomseg.localization.completion.cells import Cells, find_cells
from napari_atomseg.localization.completion.heights import HeightFilter, LocalNoise
from napari_atomseg.localization.completion.sublattices import SOFT
from napari_atomseg.localization.completion.tails import Tail, shared_tail
from napari_atomseg.localization.fit.independent import Fits
from napari_atomseg.localization.fit.windows import Canvas
from napari_atomseg.progress import checkpoint

COVERED = 1.5
"""Pixels nearer to a column than this, over sigma, have lost their noise to its fit."""
NEAREST, NEAREST_SPACING = 2.2, 0.35
"""Least distance between columns over sigma, and over their spacing, whichever is larger."""
HIGHEST = 2.0
"""Height of a column over the range of the image, at most."""
FITTED = 0.2
"""Part of the columns whose fits have to succeed, or the residual means nothing."""
OTHER_KIND = 2.5
"""Deviations by which the light of a column without a fit differs from that of the others."""
LONE = 6.0
"""Spacing over sigma that is assumed of a column that is alone."""
TAKEN = -0.3
"""Height of a tail over that of its column, below which it is none: those of probes are above -0.2.
Where columns are so wide that their tails fill the cell, the sum of tails of any height may be
even, and is not told from a background..."""
MIDWAY = 0.5
"""...but not if they have any shape only to this part of the spacing."""
TAILED = 4
"""Columns that show a tail that they share."""


class Residual:
    """The residual of an image of bright columns.

    Parameters
    ----------
    image : (H, W) float64; NaN pixels do not count.
    fits : Gaussians of N columns; those that failed stay in the residual.
    believed : (N,) columns that are there; the light of the others stays in the residual.

    Attributes
    ----------
    points : (M, 2) positions y, x of the columns believed.
    fitted : (M,) whether their fits came to an end.
    amplitude : (M,) heights; where a fit failed that of the others, or what the residual shows if
        it is clearly another.
    sigma, spacing : typical width, and distance of nearest columns, pixels.
    heights : (H, W) height of a column at each pixel of the residual.
    """

    def __init__(self, image: Array, fits: Fits, believed: Mask) -> None:
        self.points = np.stack([fits.y, fits.x], axis=1)[believed]
        amplitude, width = fits.amplitude[believed], fits.sigma[believed]
        finite = image[np.isfinite(image)]
        highest = HIGHEST * float(np.ptp(finite)) if len(finite) else 0.0
        # Fits to next to no counts may run away.
        self.fitted: Mask = (np.abs(amplitude) <= highest) & np.isfinite(width)
        self.usable = bool(self.fitted.mean() >= FITTED) if len(self.fitted) else False
        if not self.usable:
            return
        self.sigma = float(np.median(width[self.fitted]))
        self.spacing = LONE * self.sigma
        if len(self.points) > 1:
            self.spacing = median_spacing(self.points)
        self.amplitude = np.where(self.fitted, amplitude, np.median(amplitude[self.fitted]))
        self._width = np.where(self.fitted, width, self.sigma)
        self.tree = cKDTree(self.points)
        measured = np.isfinite(image)
        self._filter = HeightFilter(measured, self.sigma)
        places = self.points[self.fitted]
        self._gaussians = np.where(measured, image, 0.0) - _light(
            image.shape, places, amplitude[self.fitted], width[self.fitted]
        )
        self._measured = measured
        checkpoint()
        self._look(None)
        # What a failed fit leaves is there to be measured; noise alone makes no other kind of it.
        failed = np.flatnonzero(~self.fitted)
        there = self.points[failed].T
        height, noise = np.nan_to_num(self.at(*there)), self.deviation(*there)
        other = np.abs(height - self.amplitude[failed]) > OTHER_KIND * noise
        self.amplitude[failed[other]] = np.maximum(height, noise)[other]

    def cleared(self, places: Array) -> Residual:
        """The same residual without the light at places (S, 2) in the shape of the shared tail.

        There columns may be missing, and their light is not that of the tails of others.
        """
        other = copy(self)
        other._look(places)
        return other

    def _look(self, clear: Array | None) -> None:
        """Take the shared tail out, and measure heights and their noise."""
        shape = self._gaussians.shape
        places, heights = self.points[self.fitted], self.amplitude[self.fitted]
        rest = self._gaussians
        self.tail: Tail | None = None
        if len(places) >= TAILED:
            used = self._measured
            for some in (self.points[~self.fitted], clear):
                used = used & ~self._near(some, shape)
            y, x = places.T
            shared = partial(shared_tail, rest, used, y, x, heights, self.sigma, self.spacing)
            self.tail = shared()
            if self._tail_height() < TAKEN:
                self.tail = shared(MIDWAY * self.spacing / self.sigma)
            rest = rest - self.tail.light(shape, places[:, 0], places[:, 1], heights)
        self._rest = rest
        checkpoint()
        self.heights = self._filter(rest)
        checkpoint()
        free = _beyond(shape, self.points, COVERED * self.sigma) & self._filter.known
        self.noise = LocalNoise(self.heights, free, self.spacing, self.sigma)

    @cached_property
    def cells(self) -> list[Cells]:
        """Local unit cells of the columns."""
        return find_cells(self.points, self.amplitude)

    @property
    def least(self) -> float:
        """Distance that columns have at least, pixels."""
        return max(NEAREST * self.sigma, NEAREST_SPACING * self.spacing)

    def soft(self) -> Array:
        """(H, W) residual that is smoothed a little, NaN at and next to what is not measured."""
        width = SOFT * self.sigma
        smooth = ndimage.gaussian_filter(self._rest, width, mode="nearest")
        if self._measured.all():
            return np.asarray(smooth)
        bad = ndimage.binary_dilation(~self._measured, iterations=max(1, round(2 * width)))
        return np.where(bad, np.nan, smooth)

    def occupied(self) -> Mask:
        """(H, W) pixels that are too near to the columns for others."""
        return ~_beyond(self.heights.shape, self.points, self.least)

    def z(self, y: Array, x: Array) -> Array:
        """(N,) heights at places over their noise; NaN where they are not measured."""
        return np.asarray(self.at(y, x) / self.deviation(y, x))

    def at(self, y: Array, x: Array) -> Array:
        """(N,) heights at places, pixels."""
        if not len(y):
            return np.zeros(0)
        near = ndimage.map_coordinates(self.heights, [y, x], order=1, mode="nearest")
        row, col = (
            np.clip(np.rint(v), 0, n - 1).astype(int)
            for v, n in zip((y, x), self.heights.shape, strict=True)
        )
        return np.asarray(np.where(np.isfinite(near), near, self.heights[row, col]))

    def deviation(self, y: Array, x: Array) -> Array:
        """(N,) noise of heights at places, never zero."""
        tiny = np.finfo(float).eps * float(np.abs(self.amplitude).max())
        return np.maximum(self.noise.at(y, x), max(tiny, np.finfo(float).tiny))

    def inside(self, y: Array, x: Array, margin: float = 0.0) -> Mask:
        """(...) places in the image, so many pixels from its border."""
        height, width = self.heights.shape
        low: Mask = (y >= margin) & (x >= margin)
        high: Mask = (y <= height - 1 - margin) & (x <= width - 1 - margin)
        return low & high

    def significance(self) -> Array:
        """(M,) heights of the columns themselves over their noise.

        What the fit took out of the image, as the filter measures it, and what it left there.
        """
        own = np.where(self.fitted, self.amplitude * self._filter.response(self._width), 0.0)
        y, x = self.points.T
        left = self.at(y, x)
        if self.tail is not None:
            # The part of the tail about its own column belongs to the column.
            left = left + np.where(self.fitted, self.amplitude * self._tail_height(), 0.0)
        return np.asarray((own + left) / self.deviation(y, x))

    def _tail_height(self) -> float:
        if self.tail is None:
            return 0.0
        half = int(np.ceil(self.tail.knots[-1] + 3 * self.sigma))
        side = 2 * half + 1
        centre = np.array([float(half)])
        tail = self.tail.light((side, side), centre, centre, np.ones(1))
        return float(HeightFilter(np.ones((side, side), bool), self.sigma)(tail)[half, half])

    def _near(self, places: Array | None, shape: tuple[int, ...]) -> Mask:
        if places is None or len(places) == 0:
            return np.zeros(shape, dtype=bool)
        return ~_beyond(shape, places, 2.5 * self.sigma)


def _light(shape: tuple[int, ...], points: Array, amplitude: Array, sigma: Array) -> Array:
    """(H, W) light of Gaussians without their backgrounds."""
    inside = ((points > -0.5) & (points < np.array(shape) - 0.5)).all(axis=1)
    points, amplitude, sigma = points[inside], amplitude[inside], sigma[inside]
    if not len(points):
        return np.zeros(shape)
    y, x = (torch.from_numpy(np.ascontiguousarray(v)) for v in points.T)
    canvas = Canvas((shape[0], shape[1]), y, x, float(np.quantile(sigma, 0.9)))
    theta = torch.stack(
        [
            y - canvas.row,
            x - canvas.col,
            torch.from_numpy(np.log(sigma)),
            torch.from_numpy(amplitude),
            torch.zeros_like(y),
        ],
        dim=1,
    )
    light: Array = canvas.image(canvas.light(theta)).numpy()
    return light


def _beyond(shape: tuple[int, ...], points: Array, distance: float) -> Mask:
    """(H, W) pixels farther than a distance from all points."""
    half = int(np.ceil(distance))
    step = np.arange(-half, half + 1)
    disc = np.argwhere(np.hypot(step[:, None], step) <= distance) - half
    place = (np.rint(points).astype(int)[:, None] + disc).reshape(-1, 2)
    place = place[((place >= 0) & (place < shape)).all(axis=1)]
    free = np.ones(shape, dtype=bool)
    free[tuple(place.T)] = False
    return free
