"""Rounds of fits of all columns, each of which takes away the light that the last one saw."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from napari_atomseg._shared.types import Array
from napari_atomseg.localization.fit.canvas import Canvas
from napari_atomseg.localization.fit.elliptic import ROUND, EllipticProblem, axes_of, column_values
from napari_atomseg.localization.fit.gaussian import GaussianProblem, leverage, volume_error
from napari_atomseg.localization.fit.least_squares import (
    TOLERANCE,
    Solution,
    covariance,
    levenberg_marquardt,
)
from napari_atomseg.localization.fit.neighbourhood import Index, Survey, on, windows_of
from napari_atomseg.localization.fit.noise import NoiseModel, estimate_noise
from napari_atomseg.localization.fit.windows import Windows
from napari_atomseg.progress import CancelToken, report

PRIOR_FREEDOM = 30.0
"""Degrees of freedom with which the noise of the whole image speaks for a single column."""


@dataclass(frozen=True)
class Cells:
    """Pixels of n columns: the data without the neighbours' light, and that light."""

    windows: Windows
    data: Tensor
    neighbours: Tensor


def linear_guess(cells: Cells, place: Tensor, sigma: float) -> Tensor:
    """Amplitude and background by linear least squares, with the typical width at the start."""
    windows, data = cells.windows, cells.data
    wide = torch.full_like(place[:, :1], math.log(sigma))
    unit = torch.cat([place, wide, torch.ones_like(wide), torch.zeros_like(wide)], dim=1)
    shape = column_values(unit, windows.step) * windows.inside
    pixels = windows.inside.sum((1, 2)).clamp_min(1)
    mean, level = shape.sum((1, 2)) / pixels, data.sum((1, 2)) / pixels
    spread = (shape**2).sum((1, 2)) / pixels - mean**2
    common = (shape * data).sum((1, 2)) / pixels - mean * level
    amplitude = common / spread.clamp_min(1e-12)
    return torch.cat([unit[:, :3], amplitude[:, None], (level - amplitude * mean)[:, None]], dim=1)


def excess(cells: Cells, theta: Tensor, noise: NoiseModel) -> Tensor:
    """(n,) factors by which columns are noisier than the image; pixels at the floor do not say."""
    values = column_values(theta, cells.windows.step)
    variance = noise.variance(values + cells.neighbours)
    telling = cells.windows.inside & (variance > noise.floor)
    chi = ((cells.data - values) ** 2 / variance).masked_fill_(~telling, 0.0).sum((1, 2))
    freedom = (telling.sum((1, 2)) - theta.shape[1]).clamp_min(0)
    return moderated(torch.where(freedom > 0, chi, 0.0), freedom)


def moderated(chi: Tensor, freedom: Tensor) -> Tensor:
    """χ² for one degree of freedom, drawn towards 1 where little is known."""
    return (chi + PRIOR_FREEDOM) / (freedom + PRIOR_FREEDOM)


LARGEST_RATIO = 3.0
"""Long over short width, at most."""
ROUGH = 1e-2
"""Tolerance of the rounds before the noise is known: a tenth of a standard error."""
NOISE_COLUMNS = 1_000
"""Columns whose residuals are enough to know the noise."""
LEAST_LEFT = 0.2
"""Of the noise of a pixel, in what a fit leaves of it, at least."""
FREE_WIDTH = 2.0
"""Sigma leaves the typical sigma by no more than this factor, up or down."""
CREDIBLE_WIDTH = 1.5
"""Beyond this factor it has taken up something else: such a column gets the typical sigma."""
ENDS = 0.99
"""Of the way that a fit may walk; one that went farther was held back."""


class Rounds:
    """Fits that start where the last round ended, and take its light for the neighbours'.

    Parameters are those of `GaussianProblem` or `EllipticProblem`, positions relative to the
    windows' centres.
    """

    def __init__(self, image: Tensor, known: Survey) -> None:
        y, x = on(image, known.y), on(image, known.x)
        self._image, self._known = image, known
        self._windows = list(windows_of(image, known))
        self._canvas = Canvas((image.shape[0], image.shape[1]), y, x, known.sigma)
        self._light = torch.zeros_like(image)
        self._theta = torch.full((len(y), 5), torch.nan, dtype=image.dtype, device=image.device)
        self._theta[:, 3] = 0.0
        self._good = torch.zeros(len(y), dtype=torch.bool, device=image.device)
        self._noise: NoiseModel | None = None
        self._turned = False
        self.table = np.full((10, len(y)), np.nan)

    def cells(self, only: Index | None = None) -> Iterator[tuple[Index, Cells]]:
        """Batches of columns, or of some of them, with the pixels that are theirs."""
        some = self._windows if only is None else windows_of(self._image, self._known, only)
        for share, windows in some:
            own = self._theta[share].clone()
            own[:, 4] = 0.0
            shape = column_values(own, windows.step)
            # Light that the canvas does not carry cannot be taken from it.
            near = windows.step.abs() <= self._canvas.margin
            seen = self._good[share, None, None] & near[:, None] & near
            shape = torch.where(seen, shape, 0.0)
            neighbours = (windows.sample(self._light) - shape).masked_fill_(~windows.inside, 0.0)
            yield share, Cells(windows, windows.sample(self._image) - neighbours, neighbours)

    def reshape(self, shape: str) -> None:
        """Let columns be of another of the `SHAPES`, as yet round."""
        if shape != "gaussian":
            self._theta = torch.nn.functional.pad(self._theta, (0, 2))
            self._turned = shape == "rotated"

    def estimate_noise(self, likelihood: str) -> None:
        """Learn the noise from the residuals of the last round."""
        good = np.flatnonzero(self._good.cpu().numpy())
        some = good[:: max(1, len(good) // NOISE_COLUMNS)]
        nothing = torch.zeros(0).to(self._image)
        expected, squared = [nothing], [nothing]
        for share, cells in self.cells(some):
            inside = cells.windows.inside
            values = column_values(self._theta[share], cells.windows.step)
            left = 1.0 - leverage(self._theta[share], cells.windows.step, inside)
            expected.append((values + cells.neighbours)[inside])
            squared.append(((cells.data - values) ** 2 / left.clamp_min(LEAST_LEFT))[inside])
        self._noise = estimate_noise(torch.cat(expected), torch.cat(squared), likelihood)

    def turn(self, cancel: CancelToken | None, free_width: bool) -> None:
        """Fit all columns once."""
        for share, cells in self.cells():
            report(None, cancel, 0, 1)
            self.fit(share, cells, free_width)

    def parameters(self) -> Tensor:
        """(N, 5) of round columns, positions in the image; NaN where a fit failed."""
        canvas, known, theta = self._canvas, self._known, self._theta[:, :ROUND].clone()
        theta[:, :2] += torch.stack([canvas.row, canvas.col], dim=1)
        start = torch.stack([on(theta, known.y), on(theta, known.x)], dim=1)
        near = (theta[:, :2] - start).abs().amax(1) < ENDS * on(theta, known.step)
        return torch.where((self._good & near)[:, None], theta, torch.nan)

    def fit(self, share: Index, cells: Cells, free_width: bool) -> None:
        """Fit some columns, and measure them where the noise is known."""
        windows = cells.windows
        guess = linear_guess(cells, self._place(windows, share), self._known.sigma)
        guess = torch.nn.functional.pad(guess, (0, self._theta.shape[1] - guess.shape[1]))
        start = torch.where(self._good[share, None], self._theta[share], guess)
        weight = windows.inside.to(cells.data)
        if self._noise is not None:
            expected = column_values(start, windows.step) + cells.neighbours
            weight = weight / self._noise.variance(expected)
        solution, held = self._solve(cells, weight, share, start, guess, free_width)
        self._theta[share] = solution.parameters
        self._good[share] = solution.converged & (solution.parameters[:, 3] > 0)
        if self._noise is not None:
            self.table[:, share] = self._measured(cells, solution, held, share, self._noise)

    def shine(self) -> None:
        """Render the light of all columns that were fitted."""
        canvas, theta = self._canvas, self._theta
        lit = torch.where(self._good[:, None], theta, 0.0)
        self._light = canvas.image(canvas.light(lit)).contiguous()

    def _place(self, windows: Windows, share: Index) -> Tensor:
        y, x = (on(self._image, v[share]) for v in (self._known.y, self._known.x))
        return torch.stack(windows.relative(y, x), dim=1)

    def _solve(
        self,
        cells: Cells,
        weight: Tensor,
        share: Index,
        start: Tensor,
        guess: Tensor,
        free_width: bool,
    ) -> tuple[Solution, Tensor]:
        """Fit some columns; those that do not keep a credible width again, with the typical one.

        Returns the solution and (n, K) which parameters were held.
        """
        step = on(weight, self._known.step[share])[:, None]
        place = self._place(cells.windows, share)
        wide = torch.full_like(step, math.log(self._known.sigma))
        any_ = torch.full_like(start[:, 3:5], torch.inf)
        ratio = torch.full_like(start[:, 5:], math.log(LARGEST_RATIO))
        factor = math.log(FREE_WIDTH)
        lower = torch.cat([place - step, wide - factor, -any_, -ratio], dim=1)
        upper = torch.cat([place + step, wide + factor, any_, ratio], dim=1)
        free = torch.ones_like(start, dtype=torch.bool)
        free[:, 2], free[:, 6:] = free_width, self._turned
        freedom = (cells.windows.inside.sum((1, 2)) - start.shape[1]).clamp_min(1)
        problem = _problem(cells, weight, free)

        def solve(some: Tensor, first: Tensor) -> Solution:
            return levenberg_marquardt(
                lambda theta, index: problem(theta, some[index]),
                first,
                (lower[some], upper[some]),
                freedom[some],
                problem.negligible[some],
                tolerance=TOLERANCE if self._noise is not None else ROUGH,
            )

        solution = solve(torch.arange(len(start), device=start.device), start)
        theta = solution.parameters
        lost = (theta[:, 2:3] - wide).abs()[:, 0] > math.log(CREDIBLE_WIDTH)
        lost |= (theta[:, 5:].abs() >= 0.999 * ratio).any(1)
        again = torch.nonzero(~solution.converged | lost)[:, 0]
        if free_width and len(again):
            free[again, 2], free[again, 5:] = False, False
            solution.replace(again, solve(again, guess[again]))
        return solution, ~free

    def _measured(
        self, cells: Cells, solution: Solution, held: Tensor, share: Index, noise: NoiseModel
    ) -> Array:
        """The numbers of `Fits`, in their order (10, n); NaN where a fit failed."""
        theta, windows, known = solution.parameters, cells.windows, self._known
        chi = excess(cells, theta, noise)
        spread = covariance(solution.normal.matrix) * chi[:, None, None]
        spread = spread.masked_fill(held[:, :, None] | held[:, None, :], 0.0)
        walked = (theta[:, :2] - self._place(windows, share)).abs().amax(1)
        limit = on(theta, known.step[share])
        error = spread[:, :2, :2].diagonal(dim1=1, dim2=2).sqrt()
        sigma, amplitude = theta[:, 2].exp(), theta[:, 3]
        good = solution.converged & (amplitude > 0)
        good &= windows.inside.sum((1, 2)) > theta.shape[1]
        good &= (walked < ENDS * limit) & (error.amax(1) < limit)
        y, x = theta[:, 0] + windows.row[:, 0], theta[:, 1] + windows.col[:, 0]
        missing = torch.full_like(y, torch.nan)
        ratio, angle = missing, missing
        if theta.shape[1] > ROUND:
            ratio, angle = (torch.where(held[:, 5], missing, each) for each in axes_of(theta))
        volume = volume_error(sigma, amplitude, spread[:, 2:4, 2:4])
        rows = torch.stack([y, x, *error.T, sigma, amplitude, theta[:, 4], volume, ratio, angle])
        values: Array = torch.where(good, rows, torch.nan).cpu().numpy()
        return values


def _problem(cells: Cells, weight: Tensor, free: Tensor) -> GaussianProblem | EllipticProblem:
    step, data = cells.windows.step, cells.data
    if free.shape[1] == ROUND:
        return GaussianProblem(step, data, weight, free[:, 2])
    return EllipticProblem(step, data, weight, free)
