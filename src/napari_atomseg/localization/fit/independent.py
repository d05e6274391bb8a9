"""Gaussian fits of all columns of an image, each in its own cell."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_atomseg._shared.types import Array
from napari_atomseg.localization.fit.correlation import (
    TOUCHING,
    NoiseFound,
    Shared,
    Standardised,
    estimate_correlation,
    looked_at,
    looks_white,
)
from napari_atomseg.localization.fit.gaussian import (
    ROUND,
    EllipticProblem,
    GaussianProblem,
    axes_of,
    column_values,
    derivatives,
    leverage,
    volume_error,
)
from napari_atomseg.localization.fit.least_squares import (
    TOLERANCE,
    Solution,
    covariance,
    levenberg_marquardt,
)
from napari_atomseg.localization.fit.noise import Frames, ResidualNoise, estimate_noise
from napari_atomseg.localization.fit.windows import (
    Canvas,
    Index,
    InitialEstimates,
    Windows,
    initial_estimates,
    tensor_like,
    windows_of,
)
from napari_atomseg.localization.settings import Likelihood, Shape
from napari_atomseg.progress import CancelToken, report
from napari_atomseg.trust.correlation import NoiseCorrelation, white_beyond_optics

PRIOR_FREEDOM = 30.0
"""Degrees of freedom of the prior on a column's noise, which is the noise of the whole image."""


@dataclass(frozen=True)
class Cells:
    """Pixels of n columns: the data without the neighbours' light, and that light.

    `frames` is how many frames lie in each pixel, over their mean.
    """

    windows: Windows
    data: Tensor
    neighbours: Tensor
    frames: Tensor | float = 1.0

    def variance(self, values: Tensor, noise: ResidualNoise) -> Tensor:
        """(n, S, S) of the noise, for columns with these values."""
        return noise.variance(values + self.neighbours) / self.frames


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


def noise_excess(
    cells: Cells,
    theta: Tensor,
    noise: ResidualNoise,
    left: Tensor | None = None,
    patch: float = 1.0,
) -> Tensor:
    """(n,) factors by which residuals exceed the noise; pixels at its floor are left out.

    Where pixels share their noise, `left` (n, S, S) of its variance is expected in each residual,
    and `patch` pixels fluctuate as one.
    """
    values = column_values(theta, cells.windows.step)
    informative = noise.variance(values + cells.neighbours) > noise.floor
    informative &= cells.windows.inside
    chi = (
        ((cells.data - values) ** 2 / cells.variance(values, noise))
        .masked_fill_(~informative, 0.0)
        .sum((1, 2))
    )
    if left is None:
        freedom = (informative.sum((1, 2)) - theta.shape[1]).clamp_min(0)
    else:
        freedom = left.masked_fill(~informative, 0.0).sum((1, 2)).clamp_min(0.0)
    return moderated(torch.where(freedom > 0, chi, 0.0) / patch, freedom / patch)


def moderated(chi: Tensor, freedom: Tensor) -> Tensor:
    """Reduced χ², shrunk towards 1 for few degrees of freedom."""
    return (chi + PRIOR_FREEDOM) / (freedom + PRIOR_FREEDOM)


LARGEST_RATIO = 3.0
"""Long over short width, at most."""
ROUGH = 1e-2
"""Tolerance of the rounds before the noise is estimated: a tenth of a standard error."""
NOISE_COLUMNS, SHARED_COLUMNS = 1_000, 300
"""Columns whose residuals are enough to estimate the noise, and how far pixels share it."""
NOISE_PIXELS = 120_000
"""Pixels in their windows that are enough, where columns are wide."""
FEWEST_COLUMNS = 100
"""Columns that are looked at, however wide they are."""
LEAST_LEFT = 0.2
"""Smallest part of a pixel's noise that is assumed to remain in its residual."""
ROUNDS = 3
"""Alternating estimates of how noise is shared, and of how large it is."""
SAMPLES = 8
"""Columns whose surroundings are enough to know what fits leave of correlated noise."""
LARGE = 30.0
"""Pixels; in larger windows neighbours do not matter for what fits leave of the noise."""
HIDDEN = 1e-3
"""The same where pixels share their noise, and such pixels have little weight."""
FREE_WIDTH = 2.0
"""Largest factor between sigma and the typical sigma, up or down."""
CREDIBLE_WIDTH = 1.5
"""Beyond this factor the width describes something else; such a column gets the typical sigma."""
ENDS = 0.99
"""Part of the allowed distance; a fit that ends beyond it was stopped by its bound."""


class IndependentFit:
    """Rounds of fits; each starts from the last one and subtracts the neighbours as it found them.

    Parameters are those of `GaussianProblem` or `EllipticProblem`, positions relative to the
    windows' centres.
    """

    def __init__(
        self, image: Tensor, initial: InitialEstimates, frames: Frames | None = None
    ) -> None:
        y, x = tensor_like(image, initial.y), tensor_like(image, initial.x)
        self._image, self._initial = image, initial
        self._windows = list(windows_of(image, initial))
        self._canvas = Canvas((image.shape[0], image.shape[1]), y, x, initial.sigma)
        self._light = torch.zeros_like(image)
        self._theta = torch.full((len(y), 5), torch.nan, dtype=image.dtype, device=image.device)
        self._theta[:, 3] = 0.0
        self._good = torch.zeros(len(y), dtype=torch.bool, device=image.device)
        self._frames = frames
        self._noise: ResidualNoise | None = None
        self._weighting: ResidualNoise | None = None
        self._counted: ResidualNoise | None = None
        self.found = NoiseFound()
        self._free_axes = False
        self.table = np.full((10, len(y)), np.nan)

    @property
    def correlation(self) -> NoiseCorrelation:
        """How far pixels share their noise."""
        return self.found.correlation

    def cells(self, only: Index | None = None) -> Iterator[tuple[Index, Cells]]:
        """Batches of all or some columns, with the pixels of each."""
        some = self._windows if only is None else windows_of(self._image, self._initial, only)
        for batch, windows in some:
            own = self._theta[batch].clone()
            own[:, 4] = 0.0
            shape = column_values(own, windows.step)
            # Beyond its margin the canvas has no light of the column that could be subtracted.
            near = windows.step.abs() <= self._canvas.margin
            seen = self._good[batch, None, None] & near[:, None] & near
            shape = torch.where(seen, shape, 0.0)
            neighbours = (windows.sample(self._light) - shape).masked_fill_(~windows.inside, 0.0)
            data = windows.sample(self._image) - neighbours
            often = 1.0 if self._frames is None else self._frames.at(windows)
            yield batch, Cells(windows, data, neighbours, often)

    def set_shape(self, shape: Shape) -> None:
        """Fit another shape from now on, starting from round columns."""
        if shape != "gaussian":
            self._theta = torch.nn.functional.pad(self._theta, (0, 2))
            self._free_axes = shape == "rotated"

    def estimate_noise(self, likelihood: Likelihood) -> None:
        """Estimate the noise from the residuals of the last round."""
        nothing = torch.zeros(0).to(self._image)
        expected, squared, sure = [nothing], [nothing], [nothing]
        enough = NOISE_COLUMNS if self.correlation.white else SHARED_COLUMNS
        for batch, cells in self.cells(self._some(enough)):
            inside = cells.windows.inside
            values = column_values(self._theta[batch], cells.windows.step)
            white = self.correlation.white
            left = self._left(batch, cells, values).clamp_min(LEAST_LEFT if white else HIDDEN)
            expected.append((values + cells.neighbours)[inside])
            squared.append((cells.frames * (cells.data - values) ** 2 / left)[inside])
            sure.append(torch.ones_like(left[inside]) if white else left[inside] ** 2)
        self._noise = estimate_noise(
            torch.cat(expected), torch.cat(squared), likelihood, torch.cat(sure)
        )
        if self._frames is not None and likelihood == "poisson":
            self._counted = self._frames.counted(self._noise)
            self._noise = self._counted or self._noise

    def _some(self, enough: int) -> Index:
        """Columns that are enough to estimate the noise."""
        good = np.flatnonzero(self._good.cpu().numpy())
        side = 2.0 * float(np.median(self._initial.radius)) + 1.0
        enough = min(enough, max(FEWEST_COLUMNS, round(NOISE_PIXELS / side**2)))
        return good[:: max(1, len(good) // enough)]

    def _left(self, batch: Index, cells: Cells, values: Tensor) -> Tensor:
        """(n, S, S) part of the noise's variance that is left in the residuals of a round."""
        theta, windows = self._theta[batch], cells.windows
        if self.correlation.white or self._noise is None:
            return 1.0 - leverage(theta, windows.step, windows.inside)
        part = self._standardised(batch, cells)
        slopes = derivatives(theta, windows.step) * (windows.inside / part.deviation)[:, None]
        held = ~self._free(slopes)
        slopes[:, held] = 0.0
        matrix = (slopes * part.weights[:, None]).flatten(2) @ slopes.flatten(2).mT
        matrix.diagonal(dim1=1, dim2=2)[:, held] = 1.0
        inverse = torch.nan_to_num(covariance(matrix))
        return Shared(slopes, inverse, self.correlation, part.weights).left()

    def _free(self, like: Tensor) -> Tensor:
        """(K,) parameters that the last rounds fit."""
        free = torch.ones(self._theta.shape[1], dtype=torch.bool, device=like.device)
        free[6:] = self._free_axes
        return free

    def learn_correlation(self, likelihood: Likelihood) -> bool:
        """Estimate how far pixels share their noise, and the noise anew; whether they do.

        Noise that pixels share hides in the fits, the more so the smoother it is: its variance has
        been estimated too low, and more so where columns are bright.
        """
        some = self._some(SHARED_COLUMNS)
        if not len(some):
            return False
        if self._counted is not None:
            self.found = NoiseFound(counted=True)
            return False
        residuals = [self._standardised(batch, cells) for batch, cells in self.cells(some)]
        self.found = looked_at(residuals)
        if looks_white(residuals, self._free(self._theta)) or white_beyond_optics(
            self._image.cpu().numpy(), self._initial.sigma
        ):
            return False
        self.render_light()
        for number in range(ROUNDS):
            self._estimate_correlation(some, SAMPLES if number + 1 == ROUNDS else SAMPLES // 2)
            if self.correlation.white:
                break
            self.estimate_noise(likelihood)
        return not self.correlation.white

    def _estimate_correlation(self, some: Index, count: int) -> None:
        residuals = [self._standardised(batch, cells) for batch, cells in self.cells(some)]
        samples = []
        for number in some[:: max(1, len(some) // count)][:count]:
            near = self._initial.touching(number, TOUCHING * 2 * self._initial.sigma)
            near = near[self._good[near].cpu().numpy()]
            if self._initial.radius[number] > LARGE:
                near = near[:0]
            batch, cells = next(self.cells(np.append(near, number)))
            part = self._standardised(batch, cells)
            samples.append(part.beginning(int(np.argmax(batch == number))))
        self.found = estimate_correlation(residuals, samples, self._free(self._theta), joint=False)

    def _standardised(self, batch: Index, cells: Cells) -> Standardised:
        """Residuals of the last round, over the noise as it is known now."""
        if self._noise is None or self._weighting is None:
            raise RuntimeError("the noise is not estimated yet")
        theta = self._theta[batch]
        values = column_values(theta, cells.windows.step)
        variance = cells.variance(values, self._noise)
        residual = (cells.data - values) / variance.sqrt() * cells.windows.inside
        weights = variance / cells.variance(values, self._weighting)
        return Standardised(cells.windows, residual, variance.sqrt(), theta, weights)

    def fit_all(self, cancel: CancelToken | None, free_width: bool) -> None:
        """Fit all columns once."""
        for batch, cells in self.cells():
            report(None, cancel, 0, 1)
            self.fit_batch(batch, cells, free_width)

    def parameters(self) -> Tensor:
        """(N, 5) of round columns, positions in the image; NaN where a fit failed."""
        canvas, initial, theta = self._canvas, self._initial, self._theta[:, :ROUND].clone()
        theta[:, :2] += torch.stack([canvas.row, canvas.col], dim=1)
        start = torch.stack([tensor_like(theta, initial.y), tensor_like(theta, initial.x)], dim=1)
        near = (theta[:, :2] - start).abs().amax(1) < ENDS * tensor_like(theta, initial.step)
        return torch.where((self._good & near)[:, None], theta, torch.nan)

    def fit_batch(self, batch: Index, cells: Cells, free_width: bool) -> None:
        """Fit some columns; once the noise is estimated, also fill their part of the table."""
        windows = cells.windows
        guess = linear_guess(cells, self._place(windows, batch), self._initial.sigma)
        guess = torch.nn.functional.pad(guess, (0, self._theta.shape[1] - guess.shape[1]))
        start = torch.where(self._good[batch, None], self._theta[batch], guess)
        weight = windows.inside.to(cells.data)
        if self._noise is not None:
            weight = weight / cells.variance(column_values(start, windows.step), self._noise)
            self._weighting = self._noise
        solution, held = self._solve(cells, weight, batch, start, guess, free_width)
        self._theta[batch] = solution.parameters
        self._good[batch] = solution.converged & (solution.parameters[:, 3] > 0)
        if self._noise is not None:
            self.table[:, batch] = self._measured(cells, solution, held, batch, self._noise)

    def render_light(self) -> None:
        """Render all columns that were fitted."""
        canvas, theta = self._canvas, self._theta
        lit = torch.where(self._good[:, None], theta, 0.0)
        self._light = canvas.image(canvas.light(lit)).contiguous()

    def _place(self, windows: Windows, batch: Index) -> Tensor:
        y, x = (tensor_like(self._image, v[batch]) for v in (self._initial.y, self._initial.x))
        return torch.stack(windows.relative(y, x), dim=1)

    def _solve(
        self,
        cells: Cells,
        weight: Tensor,
        batch: Index,
        start: Tensor,
        guess: Tensor,
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
        factor = math.log(FREE_WIDTH)
        lower = torch.cat([place - step, wide - factor, -any_, -ratio], dim=1)
        upper = torch.cat([place + step, wide + factor, any_, ratio], dim=1)
        free = torch.ones_like(start, dtype=torch.bool)
        free[:, 2], free[:, 6:] = free_width, self._free_axes
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
        self, cells: Cells, solution: Solution, held: Tensor, batch: Index, noise: ResidualNoise
    ) -> Array:
        """The numbers of `Fits`, in their order (10, n); NaN where a fit failed."""
        theta, windows, initial = solution.parameters, cells.windows, self._initial
        fixed = held[:, :, None] | held[:, None, :]
        spread = covariance(solution.normal.matrix).masked_fill(fixed, 0.0)
        if self.correlation.white:
            chi = noise_excess(cells, theta, noise)
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
) -> Fits:
    """Fit a Gaussian and a local background to each column of an image of bright columns.

    Every column is fitted to the pixels nearer to it than to any other, within three quarters of
    the distance to the nearest one. A first round gives every pixel one weight and every column
    the typical width. The next ones free the widths and subtract the neighbours as the round
    before found them. The last weights the pixels by the noise, which is estimated from the
    residuals as a function of intensity; that is the score equation of a Poisson likelihood of
    unknown gain and offset. Standard errors are those of the Fisher information under that noise,
    scaled by the column's own χ², moderated (Smyth, Stat. Appl. Genet. Mol. Biol. 3, 3, 2004) by
    the image's: a column that a Gaussian does not describe has larger errors. Ellipses start from
    round columns and take one more round, which subtracts ellipses.

    Parameters
    ----------
    image : (H, W) float64; NaN pixels do not count.
    y, x : (N,) float64 starting positions, pixels.
    shape : of the columns.
    likelihood : see `estimate_noise`.
    frames : (H, W) how many frames lie in each pixel of their mean, see `Frames`.

    Raises
    ------
    Cancelled
        `cancel` was raised.
    """
    often = None if frames is None else Frames.of(frames)
    fits = _unweighted_fits(image, initial_estimates(image, y, x), cancel, often)
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
    image: Tensor, initial: InitialEstimates, cancel: CancelToken | None = None
) -> Tensor:
    """(N, 5) round Gaussians, parameters as of `GaussianProblem` but y and x of the image.

    They are fitted one by one, with the neighbours subtracted and equal weights; joint fits start
    from them. NaN where a fit failed.
    """
    return _unweighted_fits(image, initial, cancel).parameters()


def _unweighted_fits(
    image: Tensor,
    initial: InitialEstimates,
    cancel: CancelToken | None,
    frames: Frames | None = None,
) -> IndependentFit:
    fits = IndependentFit(image, initial, frames)
    for free_width in (False, True):
        fits.fit_all(cancel, free_width=free_width)
        fits.render_light()
    return fits
