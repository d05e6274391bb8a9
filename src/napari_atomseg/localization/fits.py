"""Independent Gaussian fits of all columns of an image."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_atomseg.localization.gaussian import GaussianProblem, gaussian_values
from napari_atomseg.localization.least_squares import Solution, covariance, levenberg_marquardt
from napari_atomseg.localization.noise import NoiseModel, estimate_noise
from napari_atomseg.localization.windows import (
    Windows,
    cut_windows,
    nearer_to_another,
    nearest_neighbours,
    typical_width,
)
from napari_atomseg.progress import CancelToken, report

Vector = NDArray[np.float64]
Index = NDArray[np.intp]

BATCH_PIXELS = 300_000
"""Pixels fitted at once; bounds the memory of a batch to some tens of megabytes."""
NOISE_COLUMNS = 1_000
"""Columns whose residuals are enough to know the noise."""
CELL = 0.75
"""Radius of a window over the distance to the nearest column: the corners of a square cell."""
TAILS = 4.0
"""Radius of a window over sigma, at most."""
FREE_WIDTH = (0.35, 2.8)
"""Sigma may leave the typical sigma by these factors."""
FARTHEST = 0.5
"""A fit that walks farther than this fraction of the spacing has found something else."""
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


@dataclass(frozen=True)
class Survey:
    """What the fits of an image start from.

    Attributes
    ----------
    y, x, spacing, radius : (N,) start, distance to the nearest column, radius of the window.
    neighbours : (N, K) indices of the nearest columns, -1 where there is none.
    sigma : the typical width.
    """

    y: Vector
    x: Vector
    spacing: Vector
    neighbours: Index
    radius: Vector
    sigma: float

    @property
    def step(self) -> Vector:
        """(N,) how far a fit may walk."""
        return FARTHEST * np.minimum(self.spacing, TAILS * self.sigma)

    def others(self, share: Index) -> tuple[Vector, Vector]:
        """Positions y and x (n, K) of the neighbours of some columns, NaN where there is none."""
        index = self.neighbours[share]
        return np.append(self.y, np.nan)[index], np.append(self.x, np.nan)[index]


def survey(image: Tensor, y: Vector, x: Vector) -> Survey:
    """Measure distances and the typical width of columns of an (H, W) image before a fit."""
    spacing, neighbours = nearest_neighbours(y, x)
    widest = 0.5 * min(image.shape)
    near = spacing[np.isfinite(spacing)]
    typical = min(float(np.median(near)), widest) if len(near) else widest
    sigma = typical_width(image, on(image, y), on(image, x), CELL * typical)
    sigma = float(np.clip(sigma, 0.5, max(0.5, 0.5 * typical)))
    radius = np.minimum(CELL * np.minimum(spacing, 1.5 * typical), TAILS * sigma)
    return Survey(y, x, spacing, neighbours, np.maximum(radius, 2.3), sigma)


def fit_gaussians(image: Tensor, y: Vector, x: Vector, cancel: CancelToken | None = None) -> Fits:
    """Fit a Gaussian and a local background to each column of an image of bright columns.

    Every column is fitted to the pixels nearer to it than to any other, within three quarters of
    the distance to the nearest one. A first fit gives every pixel one weight; its residuals give
    the noise as a function of intensity, and a second fit weighs by it, which is the score
    equation of a Poisson likelihood of unknown gain and offset. Standard errors are those of the
    Fisher information under that noise, scaled by the column's own χ², moderated (Smyth, Stat.
    Appl. Genet. Mol. Biol. 3, 3, 2004) by the image's: a column that a Gaussian does not describe
    has larger errors.

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
    theta = torch.zeros(len(y), 5, dtype=image.dtype, device=image.device)
    fitted = torch.zeros(len(y), dtype=torch.bool, device=image.device)
    for share, windows in windows_of(image, known):
        report(None, cancel, 0, 1)
        start = _first_guess(windows, known, share)
        solution = _solve(windows, windows.inside.to(image), known, share, start)
        theta[share], fitted[share] = solution.parameters, solution.converged
    noise = _noise(image, known, theta, fitted)
    table = np.full((7, len(y)), np.nan)
    for share, windows in windows_of(image, known):
        report(None, cancel, 0, 1)
        expected = gaussian_values(theta[share], windows.step)
        weight = windows.inside / noise.variance(expected)
        solution = _solve(windows, weight, known, share, theta[share])
        table[:, share] = _measured(windows, solution, known, share, noise)
    failed = np.isnan(table[0])
    table[0, failed], table[1, failed] = y[failed], x[failed]
    return Fits(*table)


def windows_of(
    image: Tensor, known: Survey, only: Index | None = None
) -> Iterator[tuple[Index, Windows]]:
    """Batches of columns of similar radius with the pixels that are theirs."""
    columns = np.arange(len(known.y)) if only is None else only
    for share in _shares(columns, known.radius):
        y, x, radius = (on(image, v[share]) for v in (known.y, known.x, known.radius))
        windows = cut_windows(image, y, x, radius)
        others_y, others_x = (on(image, v) for v in known.others(share))
        taken = nearer_to_another(windows, y, x, others_y, others_x)
        windows.inside.masked_fill_(taken, False)
        windows.values.masked_fill_(taken, 0.0)
        yield share, windows


def on(image: Tensor, values: Vector) -> Tensor:
    """Values as a tensor where the image is."""
    return torch.from_numpy(values).to(image)


def _shares(columns: Index, radius: Vector) -> Iterator[Index]:
    order = columns[np.argsort(radius[columns], kind="stable")]
    pixels = (2 * np.ceil(radius[order]) + 1) ** 2
    start = 0
    while start < len(order):
        # The last, widest window sets the size of all in a batch.
        counts = np.arange(1, len(order) - start + 1)
        stop = start + max(1, int(np.sum(counts * pixels[start:] <= BATCH_PIXELS)))
        yield order[start:stop]
        start = stop


def _solve(
    windows: Windows, weight: Tensor, known: Survey, share: Index, start: Tensor
) -> Solution:
    step = on(weight, known.step[share])[:, None]
    place = _place(windows, known, share)
    wide = torch.full_like(step, math.log(known.sigma))
    free = torch.full_like(start[:, 3:], torch.inf)
    bounds = (
        torch.cat([place - step, wide + math.log(FREE_WIDTH[0]), -free], dim=1),
        torch.cat([place + step, wide + math.log(FREE_WIDTH[1]), free], dim=1),
    )
    problem = GaussianProblem(windows.step, windows.values, weight)
    freedom = (windows.inside.sum((1, 2)) - start.shape[1]).clamp_min(1)
    return levenberg_marquardt(problem, start, bounds, freedom, problem.negligible)


def _place(windows: Windows, known: Survey, share: Index) -> Tensor:
    y, x = (on(windows.values, v[share]) for v in (known.y, known.x))
    return torch.stack(windows.relative(y, x), dim=1)


def _first_guess(windows: Windows, known: Survey, share: Index) -> Tensor:
    """Background, amplitude by linear least squares with the typical width at the start."""
    place = _place(windows, known, share)
    wide = torch.full_like(place[:, :1], math.log(known.sigma))
    unit = torch.cat([place, wide, torch.ones_like(wide), torch.zeros_like(wide)], dim=1)
    inside = windows.inside.to(windows.values)
    shape = gaussian_values(unit, windows.step) * inside
    pixels = inside.sum((1, 2)).clamp_min(1)
    mean, level = shape.sum((1, 2)) / pixels, windows.values.sum((1, 2)) / pixels
    spread = (shape**2).sum((1, 2)) / pixels - mean**2
    common = (shape * windows.values).sum((1, 2)) / pixels - mean * level
    amplitude = common / spread.clamp_min(1e-12)
    return torch.cat([unit[:, :3], amplitude[:, None], (level - amplitude * mean)[:, None]], dim=1)


def _noise(image: Tensor, known: Survey, theta: Tensor, fitted: Tensor) -> NoiseModel:
    good = np.flatnonzero(fitted.cpu().numpy())
    some = good[:: max(1, len(good) // NOISE_COLUMNS)]
    expected, squared = [torch.zeros(0).to(image)], [torch.zeros(0).to(image)]
    for share, windows in windows_of(image, known, some):
        values = gaussian_values(theta[share], windows.step)
        pixels = windows.inside.sum((1, 2), keepdim=True)
        spent = pixels / (pixels - theta.shape[1]).clamp_min(1)
        expected.append(values[windows.inside])
        squared.append((spent * (windows.values - values) ** 2)[windows.inside])
    return estimate_noise(torch.cat(expected), torch.cat(squared))


def _excess(windows: Windows, theta: Tensor, noise: NoiseModel) -> Tensor:
    """(n,) factors by which columns are noisier than the image; pixels at the floor do not say."""
    expected = gaussian_values(theta, windows.step)
    variance = noise.variance(expected)
    telling = windows.inside & (variance > noise.floor)
    chi = ((windows.values - expected) ** 2 / variance).masked_fill_(~telling, 0.0).sum((1, 2))
    freedom = (telling.sum((1, 2)) - theta.shape[1]).clamp_min(0)
    return moderated(torch.where(freedom > 0, chi, 0.0), freedom)


def moderated(chi: Tensor, freedom: Tensor) -> Tensor:
    """χ² for one degree of freedom, drawn towards 1 where little is known."""
    return (chi + PRIOR_FREEDOM) / (freedom + PRIOR_FREEDOM)


def _measured(
    windows: Windows, solution: Solution, known: Survey, share: Index, noise: NoiseModel
) -> Vector:
    """Rows of `Fits` (7, n); NaN where a fit failed."""
    theta = solution.parameters
    freedom = windows.inside.sum((1, 2)) - theta.shape[1]
    chi = _excess(windows, theta, noise)
    variance = covariance(solution.normal.matrix).diagonal(dim1=1, dim2=2) * chi[:, None]
    walked = (theta[:, :2] - _place(windows, known, share)).abs().amax(1)
    limit = on(theta, known.step[share])
    error, sigma, amplitude = variance[:, :2].sqrt(), theta[:, 2].exp(), theta[:, 3]
    good = solution.converged & (freedom > 0) & (amplitude > 0)
    good &= (walked < 0.99 * limit) & (error.amax(1) < limit)
    good &= sigma > 1.01 * FREE_WIDTH[0] * known.sigma
    good &= sigma < 0.99 * FREE_WIDTH[1] * known.sigma
    rows = [
        theta[:, 0] + windows.row[:, 0],
        theta[:, 1] + windows.col[:, 0],
        *error.T,
        sigma,
        amplitude,
        theta[:, 4],
    ]
    values: Vector = torch.where(good, torch.stack(rows), torch.nan).cpu().numpy()
    return values
