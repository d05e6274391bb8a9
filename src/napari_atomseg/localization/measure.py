"""The columns of a frame measured on the raw image, on the restored one, or on both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_atomseg._shared.types import Array, Labels
from napari_atomseg.localization.completion.frame import Completed
from napari_atomseg.localization.fit.correlation import NoiseFound
from napari_atomseg.localization.fit.independent import Fits
from napari_atomseg.localization.fit.refinement import Refinement, levelled
from napari_atomseg.localization.fit.windows import nearest_neighbours
from napari_atomseg.localization.regions import regions_at
from napari_atomseg.localization.table import measured_columns
from napari_atomseg.progress import CancelToken

EDGE = 0.5
"""Columns nearer to the border than this fraction of the typical spacing are cut by it."""


@dataclass(frozen=True)
class Measure:
    """Measures the columns that were found in a frame, on the images that were asked for.

    `noise` is what the fits of the raw frames so far have shown of it.
    """

    refinement: Refinement
    signs: Sequence[float]
    raw: Array
    restored: Array | None
    on: str
    regions: NDArray[np.int32] | None
    noise: list[NoiseFound | None] = field(default_factory=list)

    def __call__(
        self, number: int, found: Completed, cancel: CancelToken | None
    ) -> tuple[dict[str, Any], NDArray[np.bool_]]:
        """Columns of the table, and (N,) which of the columns are in a region."""
        inside = np.ones(len(found), dtype=bool)
        numbers = {}
        if self.regions is not None:
            numbers["region"] = regions_at(self.regions, found.y, found.x)
            inside = numbers["region"] > 0

        refine, sign = self.refinement.fit.refine, self.signs[number]

        def fits(frames: Array) -> Fits:
            image, offset = levelled(frames[number], self.refinement.fit)
            if frames is self.raw and refine == "gaussian":
                made = found.fits
            elif inside.all():
                made = self.refinement(sign * image, found.y, found.x, cancel)
            else:
                made = self.refinement.some(sign * image, found.y, found.x, inside, cancel)
            if frames is self.raw:
                self.noise.append(made.noise)
            made = _in_the_image(made, found, image.shape)
            return replace(made, background=made.background + sign * offset)

        if self.restored is None:
            return measured_columns(fits(self.raw), sign, refine) | numbers, inside
        there = measured_columns(_without_errors(fits(self.restored)), sign, refine)
        if self.on == "restored":
            return there | numbers, inside
        names = ("y", "x", "sigma", "amplitude", "background", "volume")
        also = {f"{name}_restored": there[name] for name in names}
        return measured_columns(fits(self.raw), sign, refine) | also | numbers, inside


def _in_the_image(fits: Fits, found: Completed, shape: tuple[int, ...]) -> Fits:
    """Fits whose middle has not left the image: beyond it there is no light to be measured."""
    height, width = shape
    inside = (np.abs(fits.y - 0.5 * (height - 1)) <= 0.5 * height) & (
        np.abs(fits.x - 0.5 * (width - 1)) <= 0.5 * width
    )
    return fits if inside.all() else fits.only(inside).among(inside, found.y, found.x)


def _without_errors(fits: Fits) -> Fits:
    missing = np.full(len(fits.y), np.nan)
    return replace(fits, y_err=missing, x_err=missing, volume_err=missing)


def cut_by_border(found: Completed, labels: Labels, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """(N,) columns whose light the border of the image cuts."""
    spacing, _ = nearest_neighbours(found.y, found.x)
    near = spacing[np.isfinite(spacing)]
    area = np.bincount(labels.ravel(), minlength=int(found.label.max(initial=0)) + 1)[found.label]
    radius = EDGE * float(np.median(near)) if len(near) else np.sqrt(area / np.pi)
    height, width = shape
    border = np.minimum.reduce([found.y, found.x, height - 1 - found.y, width - 1 - found.x])
    cut: NDArray[np.bool_] = border < radius
    return cut
