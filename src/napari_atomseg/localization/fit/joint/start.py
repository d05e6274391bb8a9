"""Where joint fits begin: single fits, and for columns that merge a width fitted to all of them."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from napari_atomseg.localization.fit.joint.bounds import BRIGHTEST, FAINTEST
from napari_atomseg.localization.fit.joint.model import (
    AMPLITUDE,
    BACKGROUND,
    LOG_SIGMA,
    JointModel,
    X,
    Y,
    fisher_blocks,
)
from napari_atomseg.localization.fit.joint.system import JointSystem
from napari_atomseg.localization.fit.windows import InitialEstimates, tensor_like

MERGING = 3.5
"""Columns nearer to each other than this, over the sigma of single fits, hide each other's width:
single fits see no farther than their own half of the light, and take it for a narrow column."""
STEPS, SMALL_CHANGE = 8, 0.01
"""Steps of the width at held places, at most, and the change of ln sigma that ends them."""
ROUNDS = 3
"""Models that are made, at most: each with windows of the width that the one before it found."""


def first_parameters(single: Tensor, initial: InitialEstimates, shared: list[int]) -> Tensor:
    """(N, 5) parameters of single fits, the median at the first place for those that failed."""
    median = single.nanmedian(dim=0).values.expand_as(single).clone()
    median[:, Y], median[:, X] = tensor_like(single, initial.y), tensor_like(single, initial.x)
    theta = torch.where(single.isnan(), median, single)
    theta[:, shared] = median[:, shared]
    return theta


def merging(model: JointModel, theta: Tensor) -> Tensor:
    """(N,) columns that have another so near that single fits do not know their widths."""
    first, second = model.pairs.unbind(1)
    away = (theta[first, :2] - theta[second, :2]) / theta.new_tensor(model.longer)
    near = torch.linalg.vector_norm(away, dim=1) < MERGING * theta[:, LOG_SIGMA].median().exp()
    merged = torch.zeros_like(theta[:, 0], dtype=torch.bool)
    merged[model.pairs[near].reshape(-1)] = True
    return merged


def widened(
    model: JointModel,
    theta: Tensor,
    place: Tensor,
    merged: Tensor,
    shared: list[int],
    held: Tensor,
) -> Tensor:
    """Parameters (N, 5) with one width for all that merge, fitted with places held where given.

    At places that are held the model is linear in all but the width, so that this converges where
    a fit of everything, begun with widths of half columns, would throw columns out of their places
    (the variable projection of Golub & Pereyra, SIAM J. Numer. Anal. 10, 413 (1973)).

    Parameters
    ----------
    place : (N, 2) given positions, where merging columns begin.
    merged : (N,) columns that merge; where widths are free, those of the others stay.
    held : (N, 5) parameters that are fixed already.
    """
    theta, before = theta.clone(), theta
    theta[:, :2] = torch.where(merged[:, None], place, theta[:, :2])
    held = held.clone()
    held[:, : X + 1] = True
    own = LOG_SIGMA not in shared
    if own:
        held[:, LOG_SIGMA] |= ~merged
    common = sorted({LOG_SIGMA, *shared})
    weight = model.used * model.frames
    for _ in range(STEPS):
        system = JointSystem(*fisher_blocks(model, theta, weight), model.pairs, common, held)
        step = system.solve(model.slope(theta, weight * (model.data - model.render(theta))))
        if own:
            step[~merged, LOG_SIGMA] = 0.0
        theta = theta + step
        if float(step[:, LOG_SIGMA].abs().max()) < SMALL_CHANGE:
            break
    # Two places on one column have amplitudes of opposite signs: those start as they were.
    typical = before[:, AMPLITUDE].median()
    height = theta[:, AMPLITUDE]
    sound = (height > FAINTEST * typical) & (height < BRIGHTEST * typical)
    linear = torch.tensor([AMPLITUDE, BACKGROUND], device=theta.device)
    kept = merged & ~sound
    theta[kept[:, None] & _among(linear, theta)] = before[kept[:, None] & _among(linear, theta)]
    return theta


def _among(parameters: Tensor, theta: Tensor) -> Tensor:
    """(1, 5) which parameters are meant."""
    some = torch.zeros(1, theta.shape[1], dtype=torch.bool, device=theta.device)
    some[0, parameters] = True
    return some.expand_as(theta)


def begun(
    image: Tensor,
    theta: Tensor,
    initial: InitialEstimates,
    shared: list[int],
    held: Tensor,
    frames: Tensor | None,
    aspect: float,
) -> tuple[Tensor, InitialEstimates, JointModel, Tensor]:
    """Parameters that a joint fit begins with, estimates with their width, and the model.

    With them goes which columns (N,) merge. The windows of the model are as wide as its columns: it
    is made again where their width changes.
    """
    place = torch.stack([tensor_like(image, initial.y), tensor_like(image, initial.x)], dim=1)
    for number in range(ROUNDS):
        initial = replace(initial, sigma=float(theta[:, LOG_SIGMA].median().exp()))
        model = JointModel(image, initial, frames, aspect)
        if number == 0:
            merged = merging(model, theta)
        if number + 1 == ROUNDS or bool(held[:, LOG_SIGMA].any()) or not bool(merged.any()):
            break
        theta = widened(model, theta, place, merged, shared, held)
        if abs(float(theta[:, LOG_SIGMA].median()) - math.log(initial.sigma)) < SMALL_CHANGE:
            break
    return theta, initial, model, merged
