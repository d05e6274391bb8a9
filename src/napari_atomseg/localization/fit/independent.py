"""Gaussian fits of all columns of an image, each in its own cell."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_atomseg._shared.types import Array
from napari_atomseg.localization.fit.correlation import (
    NoiseFound,
    Shared,
)
from napari_atomseg.localization.fit.gaussian import (
    ROUND,
    EllipticProblem,
    GaussianProblem,
    axes_of,
    column_values,
    derivatives,
    elongated,
    volume_error,
)
from napari_atomseg.localization.fit.learning import NoiseLearning, noise_excess
from napari_atomseg.localization.fit.least_squares import (
    TOLERANCE,
    Solution,
    covariance,
    levenberg_marquardt,
)
from napari_atomseg.localization.fit.noise import Frames, ResidualNoise
from napari_atomseg.localization.fit.rounds import ENDS, Cells
from napari_atomseg.localization.fit.slopes import Slopes
from napari_atomseg.localization.fit.windows import (
    Index,
    InitialEstimates,
    Windows,
    initial_estimates,
    tensor_like,
)
from napari_atomseg.localization.settings import Likelihood, Shape
from napari_atomseg.progress import CancelToken, report, tell
from napari_atomseg.trust.correlation import NoiseCorrelation

LARGEST_RATIO = 3.0
"""Long over short width, at most."""
ROUGH = 1e-2
"""Tolerance of the rounds before the noise is estimated: a tenth of a standard error."""
FREE_WIDTH = 2.0
"""Largest factor between sigma and the typical sigma, up or down."""
CREDIBLE_WIDTH = 1.5
"""Beyond this factor the width describes something else; such a column gets the typical sigma."""


def linear_guess(
    step: Tensor, inside: Tensor, data: Tensor, place: Tensor, sigma: float, aspect: float
) -> Tensor:
    """(n, 5 or 7) amplitude and background by linear least squares, with the typical width at the
    start.

    Parameters
    ----------
    step, inside, data : as of `Windows` and `Cells`.
    place : (n, 2) relative to the windows' centres.
    """
    wide = torch.full_like(place[:, :1], math.log(sigma))
    unit = torch.cat([place, wide, torch.ones_like(wide), torch.zeros_like(wide)], dim=1)
    shape = column_values(elongated(unit, aspect), step) * inside
    pixels = inside.sum((1, 2)).clamp_min(1)
    mean, level = shape.sum((1, 2)) / pixels, data.sum((1, 2)) / pixels
    spread = (shape**2).sum((1, 2)) / pixels - mean**2
    common = (shape * data).sum((1, 2)) / pixels - mean * level
    amplitude = common / spread.clamp_min(1e-12)
    guess = torch.cat([unit[:, :3], amplitude[:, None], (level - amplitude * mean)[:, None]], dim=1)
    return elongated(guess, aspect)


class IndependentFit(NoiseLearning):
    """Rounds of fits; each starts from the last one and subtracts the neighbours as it found them.

    `table` (10, N) holds the numbers of `Fits` of the last round.
    """

    _passes = 0

    def fit_all(self, cancel: CancelToken | None, free_width: bool) -> None:
        """Fit all columns once."""
        done, count = 0, len(self._good)
        # How many rounds there will be follows from the image: each is half of what is left.
        before = 1.0 - 0.5**self._passes
        self._passes += 1
        for batch, cells in self.cells():
            report(None, cancel, 0, 1)
            part = before + 0.5**self._passes * done / count
            tell(f"Fitting {count} columns: {100 * done // count} %", part)
            done += len(self._good[batch])
            self.fit_batch(batch, cells, free_width)

    def fit_batch(self, batch: Index, cells: Cells, free_width: bool) -> None:
        """Fit some columns; once the noise is estimated, also fill their part of the table."""
        windows = cells.windows
        start = self._theta[batch]
        new = torch.nonzero(~self._good[batch])[:, 0]
        start[new] = self._guess(cells, batch, new)
        weight = windows.inside.to(cells.data)
        if self._noise is not None:
            weight = weight / cells.variance(column_values(start, windows.step), self._noise)
            self._weighting = self._noise
        solution, held = self._solve(cells, weight, batch, start, free_width)
        self._theta[batch] = solution.parameters
        self._good[batch] = solution.converged & (solution.parameters[:, 3] > 0)
        if self._noise is not None:
            self.table[:, batch] = self._measured(cells, solution, held, batch, self._noise)

    def _guess(self, cells: Cells, batch: Index, some: Tensor) -> Tensor:
        """(n, K) where some columns of a batch start that have no fit yet."""
        windows = cells.windows
        place = self._place(windows, batch)[some]
        pixels = windows.inside[some], cells.data[some]
        guess = linear_guess(windows.step, *pixels, place, self._initial.sigma, self._aspect)
        return torch.nn.functional.pad(guess, (0, self._theta.shape[1] - guess.shape[1]))

    def _place(self, windows: Windows, batch: Index) -> Tensor:
        y, x = (tensor_like(self._image, v[batch]) for v in (self._initial.y, self._initial.x))
        return torch.stack(windows.relative(y, x), dim=1)

    def _solve(
        self,
        cells: Cells,
        weight: Tensor,
        batch: Index,
        start: Tensor,
        free_width: bool,
    ) -> tuple[Solution, Tensor]:
        """Fit some columns; fits without a credible width are repeated with the typical one.

        Returns the solution and (n, K) which parameters were held.
        """
        step = tensor_like(weight, self._initial.step[batch])[:, None]
        place = self._place(cells.windows, batch)
        wide = torch.full_like(step, math.log(self._initial.sigma))
        any_ = torch.full_like(start[:, 3:5], torch.inf)
        ratio = torch.full_like(start[:, 5:], math.log(LARGEST_RATIO))
        middle = torch.zeros_like(ratio)
        middle[:, :1] = self._aspect
        factor = math.log(FREE_WIDTH)
        lower = torch.cat([place - step, wide - factor, -any_, middle - ratio], dim=1)
        upper = torch.cat([place + step, wide + factor, any_, middle + ratio], dim=1)
        free = torch.ones_like(start, dtype=torch.bool)
        free[:, 2] = free_width
        free[:, 5:], free[:, 6:] = self._shaped, self._free_axes
        freedom = (cells.windows.inside.sum((1, 2)) - start.shape[1]).clamp_min(1)
        problem = _problem(cells, weight, free)

        def solve(some: Tensor, first: Tensor) -> Solution:
            return levenberg_marquardt(
                lambda theta, index, bent: problem(theta, some[index], bent),
                first,
                (lower[some], upper[some]),
                freedom[some],
                problem.negligible[some],
                tolerance=TOLERANCE if self._noise is not None else ROUGH,
            )

        solution = solve(torch.arange(len(start), device=start.device), start)
        theta = solution.parameters
        lost = (theta[:, 2:3] - wide).abs()[:, 0] > math.log(CREDIBLE_WIDTH)
        lost |= ((theta[:, 5:] - middle).abs() >= 0.999 * ratio).any(1)
        again = torch.nonzero(~solution.converged | lost)[:, 0]
        if free_width and len(again):
            free[again, 2], free[again, 5:] = False, False
            solution.replace(again, solve(again, self._guess(cells, batch, again)))
        return solution, ~free

    def _measured(
        self, cells: Cells, solution: Solution, held: Tensor, batch: Index, noise: ResidualNoise
    ) -> Array:
        """The numbers of `Fits`, in their order (10, n); NaN where a fit failed."""
        theta, windows, initial = solution.parameters, cells.windows, self._initial
        fixed = held[:, :, None] | held[:, None, :]
        spread = covariance(solution.normal.matrix).masked_fill(fixed, 0.0)
        if self.correlation.white:
            chi = noise_excess(cells, theta, noise, parameters=int(self._free(theta).sum()))
        else:
            variance = cells.variance(column_values(theta, windows.step), noise)
            slopes = derivatives(theta, windows.step) * ~held[:, :, None, None]
            slopes = slopes * (windows.inside / variance.sqrt())[:, None]
            shared = Shared(slopes, spread, self.correlation)
            chi = noise_excess(cells, theta, noise, shared.left(), self.correlation.patch)
            spread = shared.covariance()
        if self._counted is not None:
            chi = chi.clamp_min(1.0)
        spread = spread * chi[:, None, None]
        if self._slopes is not None:
            spread[:, :2, :2] += self._slopes.spread[batch]
        walked = (theta[:, :2] - self._place(windows, batch)).abs().amax(1)
        limit = tensor_like(theta, initial.step[batch])
        error = spread[:, :2, :2].diagonal(dim1=1, dim2=2).sqrt()
        sigma, amplitude = theta[:, 2].exp(), theta[:, 3]
        good = solution.converged & (amplitude > 0)
        good &= windows.inside.sum((1, 2)) > theta.shape[1]
        good &= (walked < ENDS * limit) & (error.amax(1) < limit)
        y, x = theta[:, 0] + windows.row[:, 0], theta[:, 1] + windows.col[:, 0]
        missing = torch.full_like(y, torch.nan)
        ratio, angle = missing, missing
        if self._shaped:
            axes = axes_of(theta, self._aspect)
            ratio, angle = (torch.where(held[:, 5], missing, each) for each in axes)
        volume = volume_error(sigma, amplitude, spread[:, 2:4, 2:4])
        rows = torch.stack([y, x, *error.T, sigma, amplitude, theta[:, 4], volume, ratio, angle])
        values: Array = torch.where(good, rows, torch.nan).cpu().numpy()
        return values


def _problem(cells: Cells, weight: Tensor, free: Tensor) -> GaussianProblem | EllipticProblem:
    step, data = cells.windows.step, cells.data
    if free.shape[1] == ROUND:
        return GaussianProblem(step, data, weight, free[:, 2])
    return EllipticProblem(step, data, weight, free)


ROWS = (
    *("y", "x", "y_err", "x_err", "sigma", "amplitude"),
    *("background", "volume_err", "ellipticity", "angle"),
)
"""Arrays of numbers of `Fits`, in their order."""


@dataclass(frozen=True)
class Fits:
    """Fitted columns, each array (N,): pixels, pixels and units of intensity.

    `sigma` of an ellipse is the geometric mean of its widths; `volume_err` is the standard error
    of 2π sigma² amplitude, `ellipticity` the long over the short width, and `angle` that of the
    long axis in degrees from x towards y. All are NaN where a fit failed or does not measure them;
    `y` and `x` are then the start. `converged`: whether the fit came to rest. `noise`: what was
    found out about the noise, None where it was not looked at.
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
    noise: NoiseFound | None = None

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
        values: dict[str, Any] = dict(zip(ROWS, table, strict=True))
        return cls(**values, converged=converged)

    def only(self, some: NDArray[np.bool_]) -> Fits:
        """The fits of some columns (N,) of all."""
        fits = Fits.of(self.rows()[:, some], self.y[some], self.x[some], self.converged[some])
        return replace(fits, noise=self.noise)

    def among(self, some: NDArray[np.bool_], y: Array, x: Array) -> Fits:
        """These fits as those of some columns (M,) of all, which start at y and x (M,).

        The others come back as if their fits had failed.
        """
        rows, at_rest = np.full((10, len(y)), np.nan), np.zeros(len(y), dtype=bool)
        rows[:, some], at_rest[some] = self.rows(), self.converged
        return replace(Fits.of(rows, y, x, at_rest), noise=self.noise)

    def rows(self) -> Array:
        """(10, N) the arrays of numbers, in the order of the fields."""
        return np.stack([getattr(self, name) for name in ROWS])


def fit_gaussians(
    image: Tensor,
    y: Array,
    x: Array,
    cancel: CancelToken | None = None,
    *,
    shape: Shape = "gaussian",
    likelihood: Likelihood = "auto",
    frames: Tensor | None = None,
    aspect: float = 0.0,
    correlation: NoiseCorrelation | None = None,
    former: Fits | None = None,
) -> Fits:
    """Fit a Gaussian and a local background to each column of an image of bright columns.

    Every column is fitted to the pixels nearer to it than to any other, within three quarters of
    the distance to the nearest one. A first round gives every pixel one weight and every column
    the typical width. The next ones free the widths and subtract the neighbours as the round
    before found them. Where the background slopes (see `find_slopes`), a plane is subtracted from
    then on, and the error of its slope adds to that of the position. The last weights the pixels
    by the noise, which is estimated from the residuals as a function of intensity; that is the
    score equation of a Poisson likelihood of unknown gain and offset. Standard errors are those of
    the Fisher information under that noise, scaled by the column's own χ², moderated (Smyth, Stat.
    Appl. Genet. Mol. Biol. 3, 3, 2004) by the image's: a column that a Gaussian does not describe
    has larger errors. Ellipses start from round columns and take one more round, which subtracts
    ellipses.

    Parameters
    ----------
    image : (H, W) float64; NaN pixels do not count.
    y, x : (N,) float64 starting positions, pixels.
    shape : of the columns.
    likelihood : see `estimate_noise`.
    frames : (H, W) how many frames lie in each pixel of their mean, see `Frames`.
    aspect : ln of dx over dy of pixels that are not square: columns are round in Å.
    correlation : how far pixels share their noise, where that is known; else it is learned.
    former : (N,) round Gaussians of the same columns to start from, which failed where there are
        none; they take the place of the first round.

    Raises
    ------
    Cancelled
        `cancel` was raised.
    """
    often = None if frames is None else Frames.of(frames)
    fits = _unweighted_fits(image, initial_estimates(image, y, x), cancel, often, aspect, former)
    fits.known_correlation = correlation
    fits.estimate_noise(likelihood)
    fits.set_shape(shape)
    last = 1 if shape == "gaussian" else 2
    for number in range(last):
        fits.fit_all(cancel, free_width=True)
        if number + 1 < last:
            fits.render_light()
    if fits.learn_correlation(likelihood):
        fits.fit_all(cancel, free_width=True)
    return replace(Fits.of(fits.table, y, x), noise=fits.found)


def unweighted_fits(
    image: Tensor,
    initial: InitialEstimates,
    cancel: CancelToken | None = None,
    aspect: float = 0.0,
) -> tuple[Tensor, Slopes | None]:
    """(N, 5) round Gaussians, parameters as of `GaussianProblem` but y and x of the image.

    They are fitted one by one, with the neighbours subtracted and equal weights; joint fits start
    from them, and from the slopes of the background that they show. NaN where a fit failed.
    """
    fits = _unweighted_fits(image, initial, cancel, aspect=aspect)
    return fits.parameters(), fits.slopes


def _unweighted_fits(
    image: Tensor,
    initial: InitialEstimates,
    cancel: CancelToken | None,
    frames: Frames | None = None,
    aspect: float = 0.0,
    former: Fits | None = None,
) -> IndependentFit:
    fits = IndependentFit(image, initial, frames, aspect)
    if former is not None:
        fits.begin(former.rows()[[0, 1, 4, 5, 6]].T)
    for free_width in (False, True) if former is None else (True,):
        fits.fit_all(cancel, free_width=free_width)
        fits.render_light()
    fits.learn_slopes()
    if fits.slopes is not None:
        # Neighbours were subtracted where slopes had moved them, which bends the backgrounds.
        fits.fit_all(cancel, free_width=True)
        fits.render_light()
        fits.learn_slopes()
    return fits
