"""Measure columns whose places are known, by one of the refinements."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from napari_atomseg.localization.centroids import centres_of_mass, centroids
from napari_atomseg.localization.fits import SHAPES, Fits, fit_gaussians
from napari_atomseg.localization.joint import fit_jointly
from napari_atomseg.localization.joint_system import WIDTHS
from napari_atomseg.localization.noise import LIKELIHOODS
from napari_atomseg.localization.saturation import saturated
from napari_atomseg.localization.survey import Vector
from napari_atomseg.localization.windows import nearest_neighbours
from napari_atomseg.networks.device import choose_device
from napari_atomseg.progress import CancelToken

REFINEMENTS = ("none", "centroid", "centre_of_mass", *SHAPES, "joint")
SHELLS = 2
"""Neighbours, and neighbours' neighbours, that are measured with a column that is measured anew."""
MARGIN = 1.5
"""Of the part of an image cut out about columns, over their largest distance to a neighbour."""


def check_choices(**arguments: tuple[str, tuple[str, ...]]) -> None:
    """Raise ValueError for the first value that is not among what is accepted, its pair."""
    for name, (value, accepted) in arguments.items():
        if value not in accepted:
            raise ValueError(f"{name}={value!r}; choose one of {', '.join(accepted)}")


@dataclass(frozen=True)
class Refinement:
    """How columns are measured.

    Attributes
    ----------
    refine : one of `REFINEMENTS`.
    widths : of a joint fit, one of `joint_system.WIDTHS`.
    likelihood : of fits, one of `noise.LIKELIHOODS`.
    device : where fits run.

    Raises
    ------
    ValueError
        A choice is none of these.
    """

    refine: str = "gaussian"
    widths: str = "shared"
    likelihood: str = "auto"
    device: str = "auto"

    def __post_init__(self) -> None:
        check_choices(
            refine=(self.refine, REFINEMENTS),
            widths=(self.widths, WIDTHS),
            likelihood=(self.likelihood, LIKELIHOODS),
        )

    def __call__(
        self, image: NDArray[np.float64], y: Vector, x: Vector, cancel: CancelToken | None = None
    ) -> Fits:
        """Measure columns at y and x (N,), pixels, of an (H, W) image of bright columns.

        Pixels that are not finite, or saturated, do not count.
        """
        if self.refine == "none" or len(y) == 0:
            return Fits.of(np.full((10, len(y)), np.nan), y, x)
        finite = np.where(np.isfinite(image) & ~saturated(image), image, np.nan)
        there = torch.from_numpy(finite).to(self._where())
        if self.refine == "centroid":
            return centroids(there, y, x)
        if self.refine == "centre_of_mass":
            return centres_of_mass(there, y, x)
        if self.refine == "joint":
            fit = partial(fit_jointly, widths=self.widths)
        else:
            fit = partial(fit_gaussians, shape=self.refine)
        return fit(there, y, x, cancel, likelihood=self.likelihood)

    def some(
        self,
        image: NDArray[np.float64],
        y: Vector,
        x: Vector,
        only: NDArray[np.bool_],
        cancel: CancelToken | None = None,
    ) -> Fits:
        """Measure some columns of all at y and x (N,): those for which `only` (N,) is true.

        Their neighbours are measured with them, on the part of the image about them. Columns that
        were not asked for come back at their start, without errors.
        """
        missing = np.full((10, len(y)), np.nan)
        if not only.any():
            return Fits.of(missing, y, x)
        spacing, neighbours = nearest_neighbours(y, x)
        share = only.copy()
        for _ in range(SHELLS):
            near = neighbours[share]
            share[near[near >= 0]] = True
        index = np.flatnonzero(share)
        finite = spacing[index][np.isfinite(spacing[index])]
        box = _box(image.shape, y[index], x[index], float(finite.max(initial=0.0)))
        top, left = box[0].start, box[1].start
        fits = self(image[box], y[index] - top, x[index] - left, cancel)
        wanted = only[index]
        rows = missing
        rows[:, index[wanted]] = fits.rows()[:, wanted]
        rows[0] += top
        rows[1] += left
        at_rest = np.zeros(len(y), dtype=bool)
        at_rest[index[wanted]] = fits.converged[wanted]
        return Fits.of(rows, y, x, at_rest)

    def _where(self) -> torch.device:
        """Fits need double precision, which mps does not have."""
        device = choose_device(self.device)
        return torch.device("cpu") if device.type == "mps" else device


def _box(shape: tuple[int, ...], y: Vector, x: Vector, spacing: float) -> tuple[slice, slice]:
    """The part of an image about columns; all of it where their distances are not known."""
    margin = MARGIN * spacing if spacing > 0 else max(shape)
    rows = slice(max(0, int(y.min() - margin)), min(shape[0], int(y.max() + margin) + 2))
    cols = slice(max(0, int(x.min() - margin)), min(shape[1], int(x.max() + margin) + 2))
    return rows, cols
