"""Gaussian fits of all columns of an image, each in its own cell."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from napari_atomseg._shared.types import Array
from napari_atomseg.localization.fit.iterations import Rounds
from napari_atomseg.localization.fit.neighbourhood import Survey, survey
from napari_atomseg.progress import CancelToken

SHAPES = ("gaussian", "elliptic", "rotated")
"""Round columns, ellipses along the axes of the image, and ellipses along any axes."""


@dataclass(frozen=True)
class Fits:
    """Fitted columns, each array (N,): pixels, pixels and units of intensity.

    `sigma` of an ellipse is the geometric mean of its widths; `volume_err` is the standard error
    of 2π sigma² amplitude, `ellipticity` the long over the short width, and `angle` that of the
    long axis in degrees from x towards y. All are NaN where a fit failed or does not measure them;
    `y` and `x` are then the start. `converged` tells whether the fit came to rest.
    """

    y: Array
    x: Array
    y_err: Array
    x_err: Array
    sigma: Array
    amplitude: Array
    background: Array
    volume_err: Array
    ellipticity: Array
    angle: Array
    converged: NDArray[np.bool_]

    @property
    def volume(self) -> Array:
        """(N,) integrated intensity 2π sigma² amplitude, intensity times px²."""
        return 2 * np.pi * self.sigma**2 * self.amplitude

    @classmethod
    def of(cls, rows: Array, y: Array, x: Array, at_rest: NDArray[np.bool_] | None = None) -> Fits:
        """Fits of K rows (K, N) in the order of the fields, the first 7 to 10 of them.

        Where a row is NaN in its first number, the fit failed and the start `y`, `x` (N,) stays.
        """
        table = np.full((10, len(y)), np.nan)
        table[: len(rows)] = rows
        failed = np.isnan(table[0])
        table[0, failed], table[1, failed] = y[failed], x[failed]
        converged = ~failed if at_rest is None else ~failed & at_rest
        names = [field.name for field in fields(cls)][:-1]
        return cls(**dict(zip(names, table, strict=True)), converged=converged)

    def only(self, some: NDArray[np.bool_]) -> Fits:
        """The fits of some columns (N,) of all."""
        return Fits.of(self.rows()[:, some], self.y[some], self.x[some], self.converged[some])

    def among(self, some: NDArray[np.bool_], y: Array, x: Array) -> Fits:
        """These fits as those of some columns (M,) of all, which start at y and x (M,).

        The others come back as if their fits had failed.
        """
        rows, at_rest = np.full((10, len(y)), np.nan), np.zeros(len(y), dtype=bool)
        rows[:, some], at_rest[some] = self.rows(), self.converged
        return Fits.of(rows, y, x, at_rest)

    def rows(self) -> Array:
        """(10, N) the arrays of numbers, in the order of the fields."""
        return np.stack([getattr(self, field.name) for field in fields(self)[:-1]])


def fit_gaussians(
    image: Tensor,
    y: Array,
    x: Array,
    cancel: CancelToken | None = None,
    *,
    shape: str = "gaussian",
    likelihood: str = "auto",
) -> Fits:
    """Fit a Gaussian and a local background to each column of an image of bright columns.

    Every column is fitted to the pixels nearer to it than to any other, within three quarters of
    the distance to the nearest one. A first round gives every pixel one weight and every column
    the typical width. The next ones free the widths and take away the neighbours' light as the
    round before saw it. The last weighs the pixels by the noise, which is known as a function of
    intensity from the residuals; that is the score equation of a Poisson likelihood of unknown
    gain and offset. Standard errors are those of the Fisher information under that noise, scaled
    by the column's own χ², moderated (Smyth, Stat. Appl. Genet. Mol. Biol. 3, 3, 2004) by the
    image's: a column that a Gaussian does not describe has larger errors. Ellipses start from
    round columns, and have a last round more, which takes away ellipses.

    Parameters
    ----------
    image : (H, W) float64; NaN pixels do not count.
    y, x : (N,) float64 starting positions, pixels.
    shape : one of `SHAPES`.
    likelihood : one of `noise.LIKELIHOODS`.

    Raises
    ------
    Cancelled
        `cancel` was raised.
    """
    rounds = _rough_rounds(image, survey(image, y, x), cancel)
    rounds.estimate_noise(likelihood)
    rounds.reshape(shape)
    last = 1 if shape == "gaussian" else 2
    for number in range(last):
        rounds.turn(cancel, free_width=True)
        if number + 1 < last:
            rounds.shine()
    return Fits.of(rounds.table, y, x)


def rough_fits(image: Tensor, known: Survey, cancel: CancelToken | None = None) -> Tensor:
    """(N, 5) round Gaussians, parameters as of `GaussianProblem` but y and x of the image.

    They are fitted one by one, with their neighbours' light taken away, and without regard to the
    noise: what a joint fit starts from. NaN where a fit failed.
    """
    return _rough_rounds(image, known, cancel).parameters()


def _rough_rounds(image: Tensor, known: Survey, cancel: CancelToken | None) -> Rounds:
    rounds = Rounds(image, known)
    for free_width in (False, True):
        rounds.turn(cancel, free_width=free_width)
        rounds.shine()
    return rounds
