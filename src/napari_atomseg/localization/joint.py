"""All columns of an image fitted together: neighbours' light is information, not noise."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from napari_atomseg.localization.cells import moderated
from napari_atomseg.localization.fits import FREE_WIDTH, Fits, fit_gaussians
from napari_atomseg.localization.gaussian import volume_error
from napari_atomseg.localization.joint_blocks import fisher_blocks
from napari_atomseg.localization.joint_model import AMPLITUDE, LOG_SIGMA, JointModel
from napari_atomseg.localization.joint_system import JointSystem
from napari_atomseg.localization.noise import NoiseModel, estimate_noise
from napari_atomseg.localization.survey import Survey, Vector, on, survey
from napari_atomseg.progress import CancelToken, report

ROUNDS = 14
WEIGHING_ROUNDS = 2
"""Rounds after which the noise, and with it the weights, is left alone."""
FRESH = (0, 4, 9)
"""Rounds that make the Fisher matrix anew; between them it hardly changes, and only the slope,
which decides where the fit ends, must be exact."""
SMALL_STEP = 0.01
"""Change of a parameter, in standard errors, that no longer matters."""
FAINTEST = 1e-3
"""Amplitudes, relative to the median, that a column does not fall below."""
PARAMETERS = 4


def fit_jointly(
    image: Tensor,
    y: Vector,
    x: Vector,
    cancel: CancelToken | None = None,
    *,
    widths: str = "shared",
    likelihood: str = "auto",
) -> Fits:
    """Fit Gaussians to all columns together, of one shared width or of a free one each.

    The model is a sum of Gaussians on a background that is constant in the (Voronoi) cell of each
    column, after van Aert et al. (IEEE Trans. Signal Process. 57, 4604 (2009)) and StatSTEM (De
    Backer et al., Ultramicroscopy 171, 104 (2016)), whose background is constant everywhere.
    Steps are Fisher scoring with a sparse matrix; pixels are weighted as in `fit_gaussians`.
    Standard errors are those of the Fisher information of all columns, their backgrounds and
    widths together. A fit has converged when its last step was less than a hundredth of its
    standard error.

    Parameters
    ----------
    image : (H, W) float64 of bright columns; NaN pixels do not count.
    y, x : (N,) float64 starting positions, pixels.
    widths : one of `joint_system.WIDTHS`.
    likelihood : one of `noise.LIKELIHOODS`.

    Raises
    ------
    Cancelled
        `cancel` was raised.
    """
    alone = fit_gaussians(image, y, x, cancel, likelihood=likelihood)
    if np.isnan(alone.sigma).all():
        return alone
    theta = _start(image, alone, widths)
    known = replace(survey(image, y, x), sigma=float(theta[:, LOG_SIGMA].median().exp()))
    model = JointModel(image, known)
    expected = model.render(theta)
    at_rest = torch.zeros_like(theta[:, 0], dtype=torch.bool)
    for turn in range(ROUNDS):
        report(None, cancel, turn, ROUNDS)
        if turn < WEIGHING_ROUNDS:
            noise = _noise(model, expected, likelihood)
        weight = model.used / noise.variance(expected)
        if turn in FRESH:
            blocks = fisher_blocks(model, theta, weight)
            system = JointSystem(*blocks, model.pairs, widths)
            stiff = blocks[0].diagonal(dim1=1, dim2=2).sqrt()
        step = system.solve(model.slope(theta, weight * (model.data - expected)))
        at_rest = ((step * stiff).abs() < SMALL_STEP).all(1)
        theta = _moved(theta, step, known)
        expected = model.render(theta)
        if turn >= WEIGHING_ROUNDS and bool(at_rest.all()):
            break
    return _measured(model, theta, expected, noise, known, widths, at_rest)


def _start(image: Tensor, alone: Fits, widths: str) -> Tensor:
    """(N, 5) parameters of single fits, the median for those that failed."""

    def filled(values: Vector) -> Tensor:
        return on(image, np.where(np.isnan(values), np.nanmedian(values), values))

    width = filled(alone.sigma).log()
    if widths == "shared":
        width = torch.full_like(width, math.log(float(np.nanmedian(alone.sigma))))
    ways = [on(image, alone.y), on(image, alone.x), width]
    return torch.stack([*ways, filled(alone.amplitude), filled(alone.background)], dim=1)


def _noise(model: JointModel, expected: Tensor, likelihood: str) -> NoiseModel:
    used = model.used > 0
    pixels = model.by_owner(model.used)
    spent = (pixels / (pixels - PARAMETERS).clamp_min(1.0))[model.owner]
    squared = spent * (model.data - expected) ** 2
    return estimate_noise(expected[used], squared[used], likelihood)


def _moved(theta: Tensor, step: Tensor, known: Survey) -> Tensor:
    """One step on; positions and widths stay near their start."""
    start = torch.stack([on(theta, known.y), on(theta, known.x)], dim=1)
    limit = on(theta, known.step)[:, None]
    place = theta[:, :2] + step[:, :2].clamp(-0.5 * known.sigma, 0.5 * known.sigma)
    width = theta[:, LOG_SIGMA] + step[:, LOG_SIGMA].clamp(-0.2, 0.2)
    typical, factor = math.log(known.sigma), math.log(FREE_WIDTH)
    amplitude = theta[:, AMPLITUDE]
    faintest = FAINTEST * amplitude.median()
    new = theta + step
    new[:, :2] = torch.minimum(torch.maximum(place, start - limit), start + limit)
    new[:, LOG_SIGMA] = width.clamp(typical - factor, typical + factor)
    new[:, AMPLITUDE] = new[:, AMPLITUDE].clamp_min(float(faintest))
    return new


def _measured(
    model: JointModel,
    theta: Tensor,
    expected: Tensor,
    noise: NoiseModel,
    known: Survey,
    widths: str,
    at_rest: Tensor,
) -> Fits:
    variance = noise.variance(expected)
    telling = model.used * (variance > noise.floor)
    chi = model.by_owner(telling * (model.data - expected) ** 2 / variance)
    freedom = (model.by_owner(telling) - PARAMETERS).clamp_min(0.0)
    factor = moderated(torch.where(freedom > 0, chi, 0.0), freedom)
    own, cross = fisher_blocks(model, theta, model.used / variance)
    spread = JointSystem(own, cross, model.pairs, widths).covariance() * factor[:, None, None]
    error = spread[:, :2, :2].diagonal(dim1=1, dim2=2).sqrt()
    y, x, log_sigma, amplitude, background = theta.unbind(1)
    walked = torch.stack([y - on(y, known.y), x - on(x, known.x)]).abs().amax(0)
    limit = on(y, known.step)
    good = (walked < 0.99 * limit) & (error.amax(1) < limit)
    good &= amplitude > 2 * FAINTEST * amplitude.median()
    sigma = log_sigma.exp()
    volume = volume_error(sigma, amplitude, spread[:, 2:4, 2:4])
    rows = torch.stack([y, x, *error.T, sigma, amplitude, background, volume])
    table = torch.where(good, rows, torch.nan).cpu().numpy()
    return Fits.of(table, known.y, known.x, at_rest.cpu().numpy())
