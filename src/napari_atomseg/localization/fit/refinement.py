"""Measure columns at given positions by one of the refinements."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from napari_atomseg._shared.device import choose_device
from napari_atomseg._shared.geometry import nearest_pixels
from napari_atomseg._shared.types import Array
from napari_atomseg.inference.frames import holds
from napari_atomseg.localization.fit.centroids import centres_of_mass, centroids, saturated
from napari_atomseg.localization.fit.independent import Fits, fit_gaussians
from napari_atomseg.localization.fit.joint.solve import fit_jointly
from napari_atomseg.localization.fit.windows import (
    nearest_neighbours,
)
from napari_atomseg.localization.settings import FitSettings
from napari_atomseg.progress import CancelToken
from napari_atomseg.trust.correlation import NoiseCorrelation

SHELLS = 2
"""Shells of neighbours that are measured again together with a column."""
ONE_PLACE = 1.0
"""Pixels; columns nearer than this cannot be told apart."""
MARGIN = 1.5
"""Margin of the part of an image that is cut out, over the columns' largest neighbour distance."""

_LONGEST = 20.0
"""Sides of a pixel, the longer over the shorter."""


@dataclass(frozen=True)
class Refinement:
    """How columns are measured.

    Attributes
    ----------
    fit : the method, and the options of fits.
    device : where fits run.
    common : `sigma` and `background` of all columns of a joint fit that are fixed already.
    frames : (H, W) how many frames lie in each pixel of their mean; by default the number of `fit`.
        Pixels without any are not measured.
    pixel : (dy, dx) in Å; columns are round in Å. None for square pixels.
    noise : how far pixels share their noise, where that is known; else fits learn it.
    """

    fit: FitSettings
    device: str = "auto"
    common: Mapping[str, float] = field(default_factory=dict)
    frames: Array | None = None
    pixel: tuple[float, float] | None = None
    noise: NoiseCorrelation | None = None

    def __post_init__(self) -> None:
        """Refuse pixels in which columns that are round in Å would be as long as the image."""
        if self.pixel is not None and max(self.pixel) > _LONGEST * min(self.pixel):
            raise ValueError(
                f"sampling={self.pixel}: in pixels more than {_LONGEST:g} times as long as wide, "
                "columns are not measured"
            )

    @property
    def aspect(self) -> float:
        """Logarithm of dx over dy of the pixels."""
        return 0.0 if self.pixel is None else float(np.log(self.pixel[1] / self.pixel[0]))

    def __call__(
        self,
        image: NDArray[np.float64],
        y: Array,
        x: Array,
        cancel: CancelToken | None = None,
        former: Fits | None = None,
    ) -> Fits:
        """Measure columns at y and x (N,), pixels, of an (H, W) image of bright columns.

        With `former` (N,), Gaussians one by one start from those that were fitted before.
        Pixels that are not finite, or saturated, do not count. Columns beyond the border of the
        image, and all but the first at one place, come back at their start, without errors.
        """
        sound = _sound(image.shape, y, x)
        method = self.fit.refine
        if method == "none" or not sound.any():
            return Fits.of(np.full((10, len(y)), np.nan), y, x)
        if not sound.all():
            known = None if former is None else former.only(sound)
            fits = self(image, y[sound], x[sound], cancel, known)
            return fits.among(sound, y, x)
        finite = np.where(np.isfinite(image) & ~saturated(image), image, np.nan)
        if self.frames is not None:
            finite = np.where(self.frames > 0, finite, np.nan)
        there = torch.from_numpy(np.ascontiguousarray(finite)).to(self._where())
        often = None
        if self.frames is not None:
            often = torch.from_numpy(np.ascontiguousarray(self.frames)).to(there)
        elif self.fit.frames is not None:
            often = torch.full_like(there, float(self.fit.frames))
        if method == "centroid":
            return centroids(there, y, x)
        if method == "centre_of_mass":
            return centres_of_mass(there, y, x)
        if method == "joint":
            fit = partial(
                fit_jointly,
                widths=self.fit.widths,
                backgrounds=self.fit.backgrounds,
                common=self.common,
            )
        else:
            fit = partial(fit_gaussians, shape=method, former=former)
        return fit(
            *(there, y, x, cancel),
            likelihood=self.fit.likelihood,
            frames=often,
            aspect=self.aspect,
            correlation=self.noise,
        )

    def some(
        self,
        image: NDArray[np.float64],
        y: Array,
        x: Array,
        only: NDArray[np.bool_],
        cancel: CancelToken | None = None,
    ) -> Fits:
        """Measure some columns of all at y and x (N,): those for which `only` (N,) is true.

        Their neighbours are measured with them, on the pixels nearer to one of these than to any
        other column. Columns that were not asked for come back at their start, without errors.
        """
        sound = _sound(image.shape, y, x)
        if not sound.all():
            fits = self.some(image, y[sound], x[sound], only[sound], cancel)
            return fits.among(sound, y, x)
        if not only.any():
            return Fits.of(np.full((10, len(y)), np.nan), y, x)
        spacing, neighbours = nearest_neighbours(y, x)
        measured = only.copy()
        for _ in range(SHELLS):
            near = neighbours[measured]
            measured[near[near >= 0]] = True
        index = np.flatnonzero(measured)
        finite = spacing[index][np.isfinite(spacing[index])]
        box = _box(image.shape, y[index], x[index], float(finite.max(initial=0.0)))
        top, left = box[0].start, box[1].start
        part = image[box].copy()
        part[~_nearest(image.shape, y, x, measured)[box]] = np.nan
        often = None if self.frames is None else self.frames[box]
        there = replace(self, frames=often)
        fits = there(part, y[index] - top, x[index] - left, cancel)
        fits = replace(fits, y=fits.y + top, x=fits.x + left).among(measured, y, x)
        return fits.only(only).among(only, y, x)

    def _where(self) -> torch.device:
        """Fits need double precision, which mps does not have."""
        device = choose_device(self.device)
        return torch.device("cpu") if device.type == "mps" else device


def levelled(image: Array, fit: FitSettings) -> tuple[Array, float]:
    """An image without its offset where that is so large that fits would suffer, and the offset.

    Counts are not shifted: their zero is their own.
    """
    known = image[np.isfinite(image)]
    if (
        fit.likelihood == "poisson"
        or not len(known)
        or holds(float(known.mean()), float(known.std()))
    ):
        return image, 0.0
    offset = float(np.median(known))
    return image - offset, offset


def _sound(shape: tuple[int, ...], y: Array, x: Array) -> NDArray[np.bool_]:
    """(N,) columns that are in the image, and the first of those at one place."""
    first = np.ones(len(y), dtype=bool)
    if len(y) > 1:
        close = cKDTree(np.stack([y, x], axis=1)).query_pairs(ONE_PLACE, output_type="ndarray")
        first[close.max(axis=1)] = False
    sound: NDArray[np.bool_] = first & within_image(shape, y, x)
    return sound


def within_image(shape: tuple[int, ...], y: Array, x: Array) -> NDArray[np.bool_]:
    """(N,) positions that lie on a pixel of the image."""
    inside: NDArray[np.bool_] = (np.abs(y - (shape[0] - 1) / 2) <= shape[0] / 2) & (
        np.abs(x - (shape[1] - 1) / 2) <= shape[1] / 2
    )
    return inside


def _nearest(
    shape: tuple[int, ...], y: Array, x: Array, some: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """(H, W) pixels whose nearest column, to the pixel, is one of some."""
    if some.all():
        return np.ones(shape, dtype=bool)
    owner = np.full(shape, -1)
    owner[nearest_pixels(shape, y, x)] = np.arange(len(y))
    place = ndimage.distance_transform_edt(owner < 0, return_distances=False, return_indices=True)
    nearest: NDArray[np.bool_] = some[owner[tuple(place)]]
    return nearest


def _box(shape: tuple[int, ...], y: Array, x: Array, spacing: float) -> tuple[slice, slice]:
    """The part of an image around columns; all of it for a single column."""
    margin = MARGIN * spacing if spacing > 0 else max(shape)
    rows = slice(max(0, int(y.min() - margin)), min(shape[0], int(y.max() + margin) + 2))
    cols = slice(max(0, int(x.min() - margin)), min(shape[1], int(x.max() + margin) + 2))
    return rows, cols
