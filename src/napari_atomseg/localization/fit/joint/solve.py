"""The joint fit of all columns of an image: neighbours' light is part of the model."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from napari_atomseg._shared.types import Array
from napari_atomseg.localization.fit.correlation import NoiseFound
from napari_atomseg.localization.fit.gaussian import volume_error
from napari_atomseg.localization.fit.independent import Fits, unweighted_fits
from napari_atomseg.localization.fit.joint.bounds import FAINTEST, JointBounds, shortened
from napari_atomseg.localization.fit.joint.model import (
    BACKGROUND,
    COMMON,
    LOG_SIGMA,
    JointModel,
    Y,
    fisher_blocks,
)
from napari_atomseg.localization.fit.joint.shared_noise import SharedNoise
from napari_atomseg.localization.fit.joint.start import begun, first_parameters
from napari_atomseg.localization.fit.joint.system import JointSystem, shared_parameters
from napari_atomseg.localization.fit.learning import moderated
from napari_atomseg.localization.fit.noise import Frames, ResidualNoise, estimate_noise
from napari_atomseg.localization.fit.rounds import ENDS
from napari_atomseg.localization.fit.windows import InitialEstimates, initial_estimates, tensor_like
from napari_atomseg.localization.settings import Backgrounds, Likelihood, Widths
from napari_atomseg.progress import CancelToken, checkpoint, report, tell
from napari_atomseg.trust.correlation import NoiseCorrelation

ITERATIONS = 24
WEIGHTING_ITERATIONS = 2
"""Iterations after which the noise model, and with it the weights, is fixed."""
FRESH = (0, 2, 7, 14)
"""Iterations that compute a new Fisher matrix. It hardly changes between them; only the slope must
be exact, as it decides where the fit ends."""
SMALL_STEP = 0.01
"""Change of a parameter, in standard errors, that no longer matters."""
OVERSHOOT, SETTLED = 2.0, 7
"""First steps may overshoot the final bound on positions by this factor, but only until this
iteration: after it, a column that still leaves its place is frozen, and the others converge."""
NOISE_PIXELS = 100_000
"""Pixels whose residuals are enough to know the noise."""
PARAMETERS = 4


MERGED = 2.5
"""Columns nearer to each other than this, over sigma, show one maximum or nearly so."""


def fit_jointly(
    image: Tensor,
    y: Array,
    x: Array,
    cancel: CancelToken | None = None,
    *,
    widths: Widths = "shared",
    backgrounds: Backgrounds = "local",
    likelihood: Likelihood = "auto",
    common: Mapping[str, float] | None = None,
    frames: Tensor | None = None,
    aspect: float = 0.0,
    correlation: NoiseCorrelation | None = None,
) -> Fits:
    """Fit Gaussians to all columns together, of one shared width or of a free one each.

    The model is a sum of Gaussians on a background that is constant in the (Voronoi) cell of each
    column, or the same in all, after van Aert et al. (IEEE Trans. Signal Process. 57, 4604 (2009))
    and StatSTEM (De Backer et al., Ultramicroscopy 171, 104 (2016)), whose background is constant.
    Steps are Fisher scoring with a sparse matrix; pixels are weighted as in `fit_gaussians`.
    Standard errors are those of the Fisher information of all columns, their backgrounds and
    widths together. A fit has converged when its last step was less than a hundredth of its
    standard error, and no column failed whose light merges with its own.

    Parameters
    ----------
    image : (H, W) float64 of bright columns; NaN pixels do not count.
    y, x : (N,) float64 starting positions, pixels.
    widths, backgrounds, likelihood : as in `localize`.
    common : `sigma` (pixels) and `background` of all columns where they are fixed: those are not
        fitted and count as exact.
    frames : (H, W) how many frames lie in each pixel of their mean, see `Frames`.
    aspect : ln of dx over dy of pixels that are not square: columns are round in Å.
    correlation : how far pixels share their noise, where that is known; else it is learned.

    Raises
    ------
    Cancelled
        `cancel` was raised.
    """
    initial = initial_estimates(image, y, x)
    single, slopes = unweighted_fits(image, initial, cancel, aspect)
    if bool(single.isnan().all()):
        return Fits.of(np.full((10, len(y)), np.nan), y, x)
    shared = shared_parameters(widths, backgrounds)
    theta = first_parameters(single, initial, shared)
    held = torch.zeros_like(theta, dtype=torch.bool)
    for name, value in (common or {}).items():
        theta[:, COMMON[name]] = math.log(value) if name == "sigma" else value
        held[:, COMMON[name]] = True
    often = None if frames is None else Frames.of(frames)
    relative = None if often is None else often.relative
    theta, initial, model, merged = begun(image, theta, initial, shared, held, relative, aspect)
    if slopes is not None:
        model.take_slopes(slopes, level="background" in (common or {}) or BACKGROUND in shared)
    counted = often if likelihood == "poisson" else None
    scoring = _Scoring(model, initial, likelihood, counted, cancel)
    if LOG_SIGMA not in shared and bool(merged.any()):
        # Widths of columns that merge are hardly told from their places: first one for all.
        alike = sorted({LOG_SIGMA, *shared})
        one = theta.clone()
        one[:, LOG_SIGMA] = theta[merged, LOG_SIGMA].median()
        first = scoring(one, alike, held)
        found = merged & ~first.held[:, Y]
        theta = torch.where(found[:, None], first.theta, theta)
    fit = scoring(theta, shared, held)
    pixels = SharedNoise(model, fit.theta, fit.expected, fit.noise, shared, fit.held)
    if correlation is not None:
        pixels.take(correlation, likelihood)
    elif fit.counted:
        pixels.found = NoiseFound(counted=True)
    else:
        pixels.learn(likelihood)
    return replace(_measured(model, fit, pixels, initial), noise=pixels.found)


@dataclass(frozen=True)
class _Scored:
    """A fit that ended: parameters, held and at rest (N, ...), image (H', W'), noise, system."""

    theta: Tensor
    expected: Tensor
    held: Tensor
    at_rest: Tensor
    noise: ResidualNoise
    counted: bool
    system: JointSystem


@dataclass(frozen=True)
class _Scoring:
    """Fisher scoring of a model.

    Attributes
    ----------
    frames : how many frames lie in each pixel, where their counts are the noise; else None.
    """

    model: JointModel
    initial: InitialEstimates
    likelihood: Likelihood
    frames: Frames | None
    cancel: CancelToken | None

    def __call__(self, theta: Tensor, shared: list[int], held: Tensor) -> _Scored:
        """Fit from `theta` (N, 5), with parameters `held` (N, 5), until all columns rest."""
        model = self.model
        first = expected = model.render(theta)
        bounds = JointBounds.around(theta, self.initial, shared)
        at_rest = torch.zeros_like(theta[:, 0], dtype=torch.bool)
        before, held = None, held.clone()
        for iteration in range(ITERATIONS):
            report(None, self.cancel, iteration, ITERATIONS)
            tell(f"Fitting all columns together, step {iteration + 1}")
            if iteration < WEIGHTING_ITERATIONS:
                seen = _noise(model, expected, held, self.likelihood)
                counted = None if self.frames is None else self.frames.counted(seen)
                noise = counted or seen
            fresh = iteration in FRESH
            while True:
                checkpoint()
                # Weights that follow a frozen column need not converge.
                light = torch.where(held[model.owner, Y], first, expected)
                weight = model.used * model.frames / noise.variance(light)
                if fresh:
                    blocks = fisher_blocks(model, theta, weight)
                    system = JointSystem(*blocks, model.pairs, shared, held)
                    stiff = blocks[0].diagonal(dim1=1, dim2=2).sqrt()
                step = system.solve(model.slope(theta, weight * (model.data - expected)))
                overshoot = OVERSHOOT if iteration < SETTLED else ENDS
                leaving = bounds.leaving(theta, step, held, overshoot)
                fresh = bool(leaving.any())
                if not fresh:
                    break
                theta, held = bounds.reset(theta, leaving), held | leaving
                expected = model.render(theta)
            at_rest = ((step * stiff).abs() < SMALL_STEP).all(1)
            shorter = step if before is None else shortened(step, *before, stiff, shared)
            last, theta = theta, bounds.advanced(theta, shorter)
            before = step, theta - last
            expected = model.render(theta)
            if iteration >= WEIGHTING_ITERATIONS and bool(at_rest.all()):
                break
        return _Scored(theta, expected, held, at_rest, noise, counted is not None, system)


def _noise(
    model: JointModel, expected: Tensor, held: Tensor, likelihood: Likelihood
) -> ResidualNoise:
    pixels = model.by_owner(model.used)
    spent = pixels / (pixels - PARAMETERS).clamp_min(1.0)
    # Misfit of frozen columns is not noise.
    informative = (model.used > 0) & ~held[model.owner, Y]
    used = torch.nonzero(informative.view(-1))[:, 0]
    some = used[:: max(1, len(used) // NOISE_PIXELS)]
    there = expected.view(-1)[some]
    squared = spent[model.owner.view(-1)[some]] * (model.data.view(-1)[some] - there) ** 2
    squared = squared * model.frames.view(-1)[some]
    return estimate_noise(there, squared, likelihood)


def _measured(
    model: JointModel, fit: _Scored, pixels: SharedNoise, initial: InitialEstimates
) -> Fits:
    theta, expected, held = fit.theta, fit.expected, fit.held
    spread = fit.system.covariance()
    noise, correlation = pixels.noise, pixels.found.correlation
    variance = noise.variance(expected)
    informative = model.used * (variance > noise.floor)
    chi = model.by_owner(informative * model.frames * (model.data - expected) ** 2 / variance)
    if correlation.white:
        freedom = (model.by_owner(informative) - PARAMETERS).clamp_min(0.0)
    else:
        growth, kept = pixels.factors()
        freedom = model.by_owner(informative * kept).clamp_min(0.0)
        spread = spread * growth[:, :, None] * growth[:, None]
    patch = correlation.patch
    factor = moderated(torch.where(freedom > 0, chi, 0.0) / patch, freedom / patch)
    if pixels.found.counted:
        factor = factor.clamp_min(1.0)
    spread = spread * factor[:, None, None]
    if model.slopes is not None:
        spread[:, :2, :2] += model.slopes.spread
    spread = spread.masked_fill(held[:, :, None] | held[:, None], 0.0)
    error = spread[:, :2, :2].diagonal(dim1=1, dim2=2).sqrt()
    y, x, log_sigma, amplitude, background = theta.unbind(1)
    walked = (
        torch.stack([y - tensor_like(y, initial.y), x - tensor_like(x, initial.x)]).abs().amax(0)
    )
    limit = tensor_like(y, initial.step)
    good = ~held[:, Y] & (walked < ENDS * limit) & (error.amax(1) < limit)
    good &= amplitude > 2 * FAINTEST * amplitude.median()
    sigma = log_sigma.exp()
    volume = volume_error(sigma, amplitude, spread[:, 2:4, 2:4])
    rows = torch.stack([y, x, *error.T, sigma, amplitude, background, volume])
    at_rest = fit.at_rest & ~_beside(model, theta, ~good)
    table = torch.where(good, rows, torch.nan).cpu().numpy()
    return Fits.of(table, initial.y, initial.x, at_rest.cpu().numpy())


def _beside(model: JointModel, theta: Tensor, failed: Tensor) -> Tensor:
    """(N,) columns whose light merges with that of one whose fit failed (N,): it is not theirs."""
    first, second = model.pairs.unbind(1)
    away = (theta[first, :2] - theta[second, :2]) / theta.new_tensor(model.longer)
    sigma = theta[:, LOG_SIGMA].exp()
    near = torch.linalg.vector_norm(away, dim=1) < MERGED * torch.maximum(
        sigma[first], sigma[second]
    )
    beside = torch.zeros_like(failed)
    beside[first[near & failed[second]]] = True
    beside[second[near & failed[first]]] = True
    return beside
