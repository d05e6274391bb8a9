"""Gaussian fits of all columns of an image, each in its own cell."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from napari_atomseg.localization.canvas import Canvas
from napari_atomseg.localization.gaussian import GaussianProblem, gaussian_values
from napari_atomseg.localization.least_squares import Solution, covariance, levenberg_marquardt
from napari_atomseg.localization.noise import NoiseModel, estimate_noise
from napari_atomseg.localization.survey import Index, Survey, Vector, on, survey, windows_of
from napari_atomseg.localization.windows import Windows
from napari_atomseg.progress import CancelToken, report

NOISE_COLUMNS = 1_000
"""Columns whose residuals are enough to know the noise."""
FREE_WIDTH = 2.0
"""Sigma leaves the typical sigma by no more than this factor, up or down."""
CREDIBLE_WIDTH = 1.5
"""Beyond this factor it has taken up something else: such a column gets the typical sigma."""
PRIOR_FREEDOM = 30.0
"""Degrees of freedom with which the noise of the whole image speaks for a single column."""


@dataclass(frozen=True)
class Fits:
    """Fitted columns, each array (N,): pixels, pixels and units of intensity.

    All are NaN where a fit failed; `y` and `x` are then the start.
    """

    y: Vector
    x: Vector
    y_err: Vector
    x_err: Vector
    sigma: Vector
    amplitude: Vector
    background: Vector


def fit_gaussians(image: Tensor, y: Vector, x: Vector, cancel: CancelToken | None = None) -> Fits:
    """Fit a Gaussian and a local background to each column of an image of bright columns.

    Every column is fitted to the pixels nearer to it than to any other, within three quarters of
    the distance to the nearest one. A first round gives every pixel one weight and every column
    the typical width. The next ones free the widths and take away the neighbours' light as the
    round before saw it. The last weighs the pixels by the noise, which is known as a function of
    intensity from the residuals; that is the score equation of a Poisson likelihood of unknown
    gain and offset. Standard errors are those of the Fisher information under that noise, scaled
    by the column's own χ², moderated (Smyth, Stat. Appl. Genet. Mol. Biol. 3, 3, 2004) by the
    image's: a column that a Gaussian does not describe has larger errors.

    Parameters
    ----------
    image : (H, W) float64; NaN pixels do not count.
    y, x : (N,) float64 starting positions, pixels.

    Raises
    ------
    Cancelled
        `cancel` was raised.
    """
    known = survey(image, y, x)
    rounds = _Rounds(image, known)
    for number in range(3):
        if number == 2:
            rounds.estimate_noise()
        for share, cell in rounds.cells():
            report(None, cancel, number, 3)
            rounds.fit(share, cell, free_width=number > 0)
        rounds.shine()
    table = rounds.table
    failed = np.isnan(table[0])
    table[0, failed], table[1, failed] = y[failed], x[failed]
    return Fits(*table)


@dataclass(frozen=True)
class _Cells:
    """Pixels of n columns: the data without the neighbours' light, and that light."""

    windows: Windows
    data: Tensor
    neighbours: Tensor


class _Rounds:
    """Fits that start where the last round ended, and take its light for the neighbours'.

    Parameters are those of `GaussianProblem`, positions relative to the windows' centres.
    """

    def __init__(self, image: Tensor, known: Survey) -> None:
        y, x = on(image, known.y), on(image, known.x)
        self._image, self._known = image, known
        self._canvas = Canvas((image.shape[0], image.shape[1]), y, x, known.sigma)
        self._light = torch.zeros_like(image)
        self._theta = torch.full((len(y), 5), torch.nan, dtype=image.dtype, device=image.device)
        self._theta[:, 3] = 0.0
        self._good = torch.zeros(len(y), dtype=torch.bool, device=image.device)
        self._noise: NoiseModel | None = None
        self.table = np.full((7, len(y)), np.nan)

    def cells(self, only: Index | None = None) -> Iterator[tuple[Index, _Cells]]:
        """Batches of columns with the pixels that are theirs."""
        for share, windows in windows_of(self._image, self._known, only):
            own = self._theta[share].clone()
            own[:, 4] = 0.0
            shape = gaussian_values(own, windows.step)
            shape = torch.where(self._good[share, None, None], shape, 0.0)
            neighbours = (windows.sample(self._light) - shape).masked_fill_(~windows.inside, 0.0)
            yield share, _Cells(windows, windows.values - neighbours, neighbours)

    def estimate_noise(self) -> None:
        """Learn the noise from the residuals of the last round."""
        good = np.flatnonzero(self._good.cpu().numpy())
        some = good[:: max(1, len(good) // NOISE_COLUMNS)]
        nothing = torch.zeros(0).to(self._image)
        expected, squared = [nothing], [nothing]
        for share, cells in self.cells(some):
            inside = cells.windows.inside
            values = gaussian_values(self._theta[share], cells.windows.step)
            pixels = inside.sum((1, 2), keepdim=True)
            spent = pixels / (pixels - self._theta.shape[1]).clamp_min(1)
            expected.append((values + cells.neighbours)[inside])
            squared.append((spent * (cells.data - values) ** 2)[inside])
        self._noise = estimate_noise(torch.cat(expected), torch.cat(squared))

    def fit(self, share: Index, cells: _Cells, free_width: bool) -> None:
        """Fit some columns, and measure them where the noise is known."""
        windows = cells.windows
        guess = _linear_guess(cells, self._place(windows, share), self._known.sigma)
        start = torch.where(self._good[share, None], self._theta[share], guess)
        weight = windows.inside.to(cells.data)
        if self._noise is not None:
            expected = gaussian_values(start, windows.step) + cells.neighbours
            weight = weight / self._noise.variance(expected)
        solution = self._solve(cells, weight, share, start, guess, free_width)
        self._theta[share] = solution.parameters
        self._good[share] = solution.converged & (solution.parameters[:, 3] > 0)
        if self._noise is not None:
            self.table[:, share] = self._measured(cells, solution, share, self._noise)

    def shine(self) -> None:
        """Render the light of all columns that were fitted."""
        canvas, theta = self._canvas, self._theta
        amplitude = torch.where(self._good, theta[:, 3], 0.0)
        y, x = canvas.row + theta[:, 0], canvas.col + theta[:, 1]
        self._light = canvas.image(canvas.gaussians(y, x, theta[:, 2].exp(), amplitude))

    def _place(self, windows: Windows, share: Index) -> Tensor:
        y, x = (on(windows.values, v[share]) for v in (self._known.y, self._known.x))
        return torch.stack(windows.relative(y, x), dim=1)

    def _solve(
        self,
        cells: _Cells,
        weight: Tensor,
        share: Index,
        start: Tensor,
        guess: Tensor,
        free_width: bool,
    ) -> Solution:
        """Fit some columns; those that do not keep a credible width again, with the typical one."""
        step = on(weight, self._known.step[share])[:, None]
        place = self._place(cells.windows, share)
        wide = torch.full_like(step, math.log(self._known.sigma))
        any_ = torch.full_like(start[:, 3:], torch.inf)
        lower = torch.cat([place - step, wide - math.log(FREE_WIDTH), -any_], dim=1)
        upper = torch.cat([place + step, wide + math.log(FREE_WIDTH), any_], dim=1)
        free = torch.full_like(self._good[share], free_width)
        problem = GaussianProblem(cells.windows.step, cells.data, weight, free)
        freedom = (cells.windows.inside.sum((1, 2)) - start.shape[1]).clamp_min(1)

        def solve(some: Tensor, first: Tensor) -> Solution:
            return levenberg_marquardt(
                lambda theta, index: problem(theta, some[index]),
                first,
                (lower[some], upper[some]),
                freedom[some],
                problem.negligible[some],
            )

        solution = solve(torch.arange(len(start), device=start.device), start)
        factor = (solution.parameters[:, 2:3] - wide).abs()[:, 0]
        again = torch.nonzero(~solution.converged | (factor > math.log(CREDIBLE_WIDTH)))[:, 0]
        if free_width and len(again):
            free[again] = False
            solution.replace(again, solve(again, guess[again]))
        return solution

    def _measured(
        self, cells: _Cells, solution: Solution, share: Index, noise: NoiseModel
    ) -> Vector:
        """Rows of `Fits` (7, n); NaN where a fit failed."""
        theta, windows, known = solution.parameters, cells.windows, self._known
        chi = _excess(cells, theta, noise)
        variance = covariance(solution.normal.matrix).diagonal(dim1=1, dim2=2) * chi[:, None]
        walked = (theta[:, :2] - self._place(windows, share)).abs().amax(1)
        limit = on(theta, known.step[share])
        error, sigma, amplitude = variance[:, :2].sqrt(), theta[:, 2].exp(), theta[:, 3]
        good = solution.converged & (amplitude > 0)
        good &= windows.inside.sum((1, 2)) > theta.shape[1]
        good &= (walked < 0.99 * limit) & (error.amax(1) < limit)
        y, x = theta[:, 0] + windows.row[:, 0], theta[:, 1] + windows.col[:, 0]
        rows = torch.stack([y, x, *error.T, sigma, amplitude, theta[:, 4]])
        values: Vector = torch.where(good, rows, torch.nan).cpu().numpy()
        return values


def _linear_guess(cells: _Cells, place: Tensor, sigma: float) -> Tensor:
    """Amplitude and background by linear least squares, with the typical width at the start."""
    windows, data = cells.windows, cells.data
    wide = torch.full_like(place[:, :1], math.log(sigma))
    unit = torch.cat([place, wide, torch.ones_like(wide), torch.zeros_like(wide)], dim=1)
    shape = gaussian_values(unit, windows.step) * windows.inside
    pixels = windows.inside.sum((1, 2)).clamp_min(1)
    mean, level = shape.sum((1, 2)) / pixels, data.sum((1, 2)) / pixels
    spread = (shape**2).sum((1, 2)) / pixels - mean**2
    common = (shape * data).sum((1, 2)) / pixels - mean * level
    amplitude = common / spread.clamp_min(1e-12)
    return torch.cat([unit[:, :3], amplitude[:, None], (level - amplitude * mean)[:, None]], dim=1)


def _excess(cells: _Cells, theta: Tensor, noise: NoiseModel) -> Tensor:
    """(n,) factors by which columns are noisier than the image; pixels at the floor do not say."""
    values = gaussian_values(theta, cells.windows.step)
    variance = noise.variance(values + cells.neighbours)
    telling = cells.windows.inside & (variance > noise.floor)
    chi = ((cells.data - values) ** 2 / variance).masked_fill_(~telling, 0.0).sum((1, 2))
    freedom = (telling.sum((1, 2)) - theta.shape[1]).clamp_min(0)
    return moderated(torch.where(freedom > 0, chi, 0.0), freedom)


def moderated(chi: Tensor, freedom: Tensor) -> Tensor:
    """χ² for one degree of freedom, drawn towards 1 where little is known."""
    return (chi + PRIOR_FREEDOM) / (freedom + PRIOR_FREEDOM)
