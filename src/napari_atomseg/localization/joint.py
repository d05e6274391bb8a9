"""All columns of an image fitted together: neighbours' light is information, not noise."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from napari_atomseg.localization.fits import Fits, fit_gaussians, moderated
from napari_atomseg.localization.joint_model import JointModel, State
from napari_atomseg.localization.joint_system import JointSystem
from napari_atomseg.localization.noise import NoiseModel, estimate_noise
from napari_atomseg.localization.survey import Survey, Vector, on, survey
from napari_atomseg.progress import CancelToken, report

ROUNDS = 12
WEIGHING_ROUNDS = 3
"""Rounds after which the noise, and with it the weights, is left alone."""
SMALL_STEP = 1e-3
"""Change of positions, relative to sigma, that no longer matters."""
FAINTEST = 1e-3
"""Amplitudes, relative to the median, that a column does not fall below."""
PARAMETERS = 4


def fit_jointly(image: Tensor, y: Vector, x: Vector, cancel: CancelToken | None = None) -> Fits:
    """Fit Gaussians of one shared width to all columns together.

    The model is a sum of Gaussians on a background that is constant in the (Voronoi) cell of each
    column, after van Aert et al. (IEEE Trans. Signal Process. 57, 4604 (2009)) and StatSTEM (De
    Backer et al., Ultramicroscopy 171, 104 (2016)), whose background is constant everywhere.
    Gauss–Newton steps are solved by conjugate gradients without forming a matrix; pixels are
    weighted as in `fit_gaussians`. Standard errors are those of the Fisher information of a
    column and its nearest neighbours together.

    Parameters
    ----------
    image : (H, W) float64 of bright columns; NaN pixels do not count.
    y, x : (N,) float64 starting positions, pixels.

    Raises
    ------
    Cancelled
        `cancel` was raised.
    """
    alone = fit_gaussians(image, y, x, cancel)
    if np.isnan(alone.sigma).all():
        return alone
    state = _start(image, alone)
    known = replace(survey(image, y, x), sigma=float(state.log_sigma.exp()))
    model = JointModel(image, known)
    noise = _noise(model, state)
    for turn in range(ROUNDS):
        report(None, cancel, turn, ROUNDS)
        weight = model.used / noise.variance(model.render(state))
        new = _improved(model, state, weight, known)
        moved = float(torch.maximum((new.y - state.y).abs(), (new.x - state.x).abs()).max())
        state = new
        if turn < WEIGHING_ROUNDS:
            noise = _noise(model, state)
        elif moved < SMALL_STEP * known.sigma:
            break
    return _measured(model, state, noise, known)


def _start(image: Tensor, alone: Fits) -> State:
    def filled(values: Vector) -> Tensor:
        return on(image, np.where(np.isnan(values), np.nanmedian(values), values))

    width = on(image, np.array(math.log(float(np.nanmedian(alone.sigma)))))
    y, x = on(image, alone.y), on(image, alone.x)
    return State(y, x, filled(alone.amplitude), filled(alone.background), width)


def _noise(model: JointModel, state: State) -> NoiseModel:
    used = model.used > 0
    expected = model.render(state)
    pixels = model.by_owner(model.used)
    spent = (pixels / (pixels - PARAMETERS).clamp_min(1.0))[model.owner]
    squared = spent * (model.data - expected) ** 2
    return estimate_noise(expected[used], squared[used])


def _improved(model: JointModel, state: State, weight: Tensor, known: Survey) -> State:
    """One Gauss–Newton step; positions stay near their start."""
    residual = weight * (model.data - model.render(state))
    columns, width = JointSystem(model, state, weight).solve(residual)
    step = columns[:, :2].clamp(-0.5 * known.sigma, 0.5 * known.sigma)
    limit = on(weight, known.step)
    y0, x0 = on(weight, known.y), on(weight, known.x)
    faintest = FAINTEST * state.amplitude.median()
    return State(
        (state.y + step[:, 0]).clamp(y0 - limit, y0 + limit),
        (state.x + step[:, 1]).clamp(x0 - limit, x0 + limit),
        torch.maximum(state.amplitude + columns[:, 2], faintest),
        state.background + columns[:, 3],
        state.log_sigma + width.clamp(-0.2, 0.2),
    )


def _measured(model: JointModel, state: State, noise: NoiseModel, known: Survey) -> Fits:
    expected = model.render(state)
    variance = noise.variance(expected)
    telling = model.used * (variance > noise.floor)
    chi = model.by_owner(telling * (model.data - expected) ** 2 / variance)
    freedom = (model.by_owner(telling) - PARAMETERS).clamp_min(0.0)
    factor = moderated(torch.where(freedom > 0, chi, 0.0), freedom).sqrt()
    neighbours = torch.from_numpy(known.neighbours).to(expected.device)
    error = JointSystem(model, state, model.used / variance).errors(neighbours)
    error = error * factor[:, None]
    walked = torch.stack([state.y - on(expected, known.y), state.x - on(expected, known.x)])
    limit = on(expected, known.step)
    good = (walked.abs().amax(0) < 0.99 * limit) & (error.amax(1) < limit)
    good &= state.amplitude > 2 * FAINTEST * state.amplitude.median()
    sigma = state.log_sigma.exp().expand_as(state.y)
    rows = [state.y, state.x, *error.T, sigma, state.amplitude, state.background]
    table = torch.where(good, torch.stack(rows), torch.nan).cpu().numpy()
    failed = np.isnan(table[0])
    table[0, failed], table[1, failed] = known.y[failed], known.x[failed]
    return Fits(*table)
