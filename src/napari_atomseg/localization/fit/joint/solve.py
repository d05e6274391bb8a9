"""All columns of an image fitted together: neighbours' light is information, not noise."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from napari_atomseg._shared.types import Array
from napari_atomseg.localization.fit.gaussian import volume_error
from napari_atomseg.localization.fit.independent import Fits, rough_fits
from napari_atomseg.localization.fit.iterations import ENDS, moderated
from napari_atomseg.localization.fit.joint.model import (
    COMMON,
    LOG_SIGMA,
    JointModel,
    X,
    Y,
    fisher_blocks,
)
from napari_atomseg.localization.fit.joint.system import (
    FAINTEST,
    JointSystem,
    Limits,
    eased,
    shared_parameters,
)
from napari_atomseg.localization.fit.neighbourhood import Survey, on, survey
from napari_atomseg.localization.fit.noise import NoiseModel, estimate_noise
from napari_atomseg.progress import CancelToken, report

ROUNDS = 24
WEIGHING_ROUNDS = 2
"""Rounds after which the noise, and with it the weights, is left alone."""
FRESH = (0, 2, 7, 14)
"""Rounds that make the Fisher matrix anew; between them it hardly changes, and only the slope,
which decides where the fit ends, must be exact."""
SMALL_STEP = 0.01
"""Change of a parameter, in standard errors, that no longer matters."""
OVERSHOOT, SETTLED = 2.0, 7
"""First steps go too far and come back, but not so far, over the way that a fit may walk, and not
later than this round: a column that still leaves its place is held, and the others come to rest."""
NOISE_PIXELS = 100_000
"""Pixels whose residuals are enough to know the noise."""
PARAMETERS = 4


def fit_jointly(
    image: Tensor,
    y: Array,
    x: Array,
    cancel: CancelToken | None = None,
    *,
    widths: str = "shared",
    backgrounds: str = "local",
    likelihood: str = "auto",
    common: Mapping[str, float] | None = None,
) -> Fits:
    """Fit Gaussians to all columns together, of one shared width or of a free one each.

    The model is a sum of Gaussians on a background that is constant in the (Voronoi) cell of each
    column, or the same in all, after van Aert et al. (IEEE Trans. Signal Process. 57, 4604 (2009))
    and StatSTEM (De Backer et al., Ultramicroscopy 171, 104 (2016)), whose background is constant.
    Steps are Fisher scoring with a sparse matrix; pixels are weighted as in `fit_gaussians`.
    Standard errors are those of the Fisher information of all columns, their backgrounds and
    widths together. A fit has converged when its last step was less than a hundredth of its
    standard error.

    Parameters
    ----------
    image : (H, W) float64 of bright columns; NaN pixels do not count.
    y, x : (N,) float64 starting positions, pixels.
    widths, backgrounds : one of `joint_system.WIDTHS`, one of `joint_system.BACKGROUNDS`.
    likelihood : one of `noise.LIKELIHOODS`.
    common : `sigma` (pixels) and `background` of all columns, where they are known: those are not
        fitted, and count as exact.

    Raises
    ------
    Cancelled
        `cancel` was raised.
    """
    known = survey(image, y, x)
    alone = rough_fits(image, known, cancel)
    if bool(alone.isnan().all()):
        return Fits.of(np.full((10, len(y)), np.nan), y, x)
    shared = shared_parameters(widths, backgrounds)
    theta = _start(alone, known, shared)
    for name, value in (common or {}).items():
        theta[:, COMMON[name]] = math.log(value) if name == "sigma" else value
    known = replace(known, sigma=float(theta[:, LOG_SIGMA].median().exp()))
    model = JointModel(image, known)
    first = expected = model.render(theta)
    limits = Limits.about(theta, known, shared)
    held = torch.zeros_like(theta, dtype=torch.bool)
    held[:, [COMMON[name] for name in common or {}]] = True
    at_rest = torch.zeros_like(theta[:, 0], dtype=torch.bool)
    before = None
    for turn in range(ROUNDS):
        report(None, cancel, turn, ROUNDS)
        if turn < WEIGHING_ROUNDS:
            noise = _noise(model, expected, held, likelihood)
        fresh = turn in FRESH
        while True:
            # Weights that follow a column which no Gaussian describes need not come to rest.
            known_light = torch.where(held[model.owner, Y], first, expected)
            weight = model.used / noise.variance(known_light)
            if fresh:
                blocks = fisher_blocks(model, theta, weight)
                system = JointSystem(*blocks, model.pairs, shared, held)
                stiff = blocks[0].diagonal(dim1=1, dim2=2).sqrt()
            step = system.solve(model.slope(theta, weight * (model.data - expected)))
            lost = limits.left(theta, step, held, OVERSHOOT if turn < SETTLED else ENDS)
            fresh = bool(lost.any())
            if not fresh:
                break
            theta, held = limits.back(theta, lost), held | lost
            expected = model.render(theta)
        at_rest = ((step * stiff).abs() < SMALL_STEP).all(1)
        shorter = step if before is None else eased(step, *before, stiff, shared)
        last, theta = theta, limits.moved(theta, shorter)
        before = step, theta - last
        expected = model.render(theta)
        if turn >= WEIGHING_ROUNDS and bool(at_rest.all()):
            break
    return _measured(model, theta, expected, noise, known, system.covariance(), held, at_rest)


def _start(alone: Tensor, known: Survey, shared: list[int]) -> Tensor:
    """(N, 5) parameters of single fits, the median at the first place for those that failed."""
    median = alone.nanmedian(dim=0).values.expand_as(alone).clone()
    median[:, Y], median[:, X] = on(alone, known.y), on(alone, known.x)
    theta = torch.where(alone.isnan(), median, alone)
    theta[:, shared] = median[:, shared]
    return theta


def _noise(model: JointModel, expected: Tensor, held: Tensor, likelihood: str) -> NoiseModel:
    pixels = model.by_owner(model.used)
    spent = pixels / (pixels - PARAMETERS).clamp_min(1.0)
    # What the model does not describe is no noise.
    told = (model.used > 0) & ~held[model.owner, Y]
    used = torch.nonzero(told.view(-1))[:, 0]
    some = used[:: max(1, len(used) // NOISE_PIXELS)]
    there = expected.view(-1)[some]
    squared = spent[model.owner.view(-1)[some]] * (model.data.view(-1)[some] - there) ** 2
    return estimate_noise(there, squared, likelihood)


def _measured(
    model: JointModel,
    theta: Tensor,
    expected: Tensor,
    noise: NoiseModel,
    known: Survey,
    spread: Tensor,
    held: Tensor,
    at_rest: Tensor,
) -> Fits:
    variance = noise.variance(expected)
    telling = model.used * (variance > noise.floor)
    chi = model.by_owner(telling * (model.data - expected) ** 2 / variance)
    freedom = (model.by_owner(telling) - PARAMETERS).clamp_min(0.0)
    factor = moderated(torch.where(freedom > 0, chi, 0.0), freedom)
    spread = spread * factor[:, None, None]
    spread = spread.masked_fill(held[:, :, None] | held[:, None], 0.0)
    error = spread[:, :2, :2].diagonal(dim1=1, dim2=2).sqrt()
    y, x, log_sigma, amplitude, background = theta.unbind(1)
    walked = torch.stack([y - on(y, known.y), x - on(x, known.x)]).abs().amax(0)
    limit = on(y, known.step)
    good = ~held[:, Y] & (walked < ENDS * limit) & (error.amax(1) < limit)
    good &= amplitude > 2 * FAINTEST * amplitude.median()
    sigma = log_sigma.exp()
    volume = volume_error(sigma, amplitude, spread[:, 2:4, 2:4])
    rows = torch.stack([y, x, *error.T, sigma, amplitude, background, volume])
    table = torch.where(good, rows, torch.nan).cpu().numpy()
    return Fits.of(table, known.y, known.x, at_rest.cpu().numpy())
