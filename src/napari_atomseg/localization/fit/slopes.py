"""Planes under columns, where the background slopes: a slope moves fits on a constant one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.special import fdtrc
from torch import Tensor

from napari_atomseg._shared.types import Array
from napari_atomseg.localization.fit.gaussian import ROUND, column_values, derivatives
from napari_atomseg.localization.fit.least_squares import covariance
from napari_atomseg.localization.fit.windows import tensor_like
from napari_atomseg.progress import checkpoint

if TYPE_CHECKING:
    from napari_atomseg.localization.fit.rounds import Rounds

AROUND = 16
"""Columns whose backgrounds show the slope about one of them."""
FEWEST = 8
"""Columns from which on their backgrounds show a slope; of fewer, the pixels of each must."""
CHANCE = 1e-4
"""Probability below which a slope is no play of chance."""
EVIDENCE = 6.0
"""Fall of the sum of squares over the noise, of a column and those around it, by which pixels
confirm a slope."""
BENDING = 10
"""Backgrounds from which on a plane may bend."""
BENT = 1e-3
"""Probability below which a plane bends."""
SETTLED = 1e10
"""Condition of a fit that its points determine."""
TAILS = 6.0
"""Robust deviations beyond which a background is that of a fit that went wrong."""


@dataclass(frozen=True)
class Slopes:
    """Planes under N columns.

    Attributes
    ----------
    gradient : (N, 2) along y and x, intensity a px; 0 where there is no evidence for one.
    level : (N,) background at the column by the plane through its neighbours'.
    at : (N, 2) places, relative to the middles of the columns' windows, where planes are 0.
    moved : (N, 5) by what a plane moves each parameter of a fit on a constant background.
    spread : (N, 2, 2) variance that the error of the gradient adds to the position.
    """

    gradient: Tensor
    level: Tensor
    at: Tensor
    moved: Tensor
    spread: Tensor


def find_slopes(rounds: Rounds) -> Slopes | None:
    """The slopes of the background under the columns of the last round; None without evidence.

    Where the fitted backgrounds of neighbouring columns lie on a plane by more than chance
    (F-test), it is the candidate for a column in their midst. It is taken if the pixels confirm
    it: the part of a plane that the parameters of the fits cannot follow must lower the sum of
    squares of the column and its neighbours. Of a few columns, the plane is that of their own
    pixels.
    """
    good = rounds.good.cpu().numpy()
    some = np.flatnonzero(good)
    if not len(some):
        return None
    theta = rounds.round_parameters()
    count, alone = len(good), len(some) < FEWEST
    level = theta[:, 4].cpu().numpy().copy()
    gradient, errors = np.zeros((count, 2)), np.zeros((count, 2, 2))
    chosen = good.copy()
    points = rounds.places().cpu().numpy()
    if not alone:
        found = _planes(points[some], level[some])
        gradient[some], errors[some], level[some], chosen[some] = found
        if not chosen.any():
            return None
    near = _neighbours(points, some, chosen)
    wanted = np.unique(near[near >= 0]) if not alone else some
    score, power, noise, moved = _projected(rounds, theta, wanted)
    before = rounds.slopes
    if alone:
        gradient, errors, chosen = _own(score, power, noise, rounds.pixels(), good)
        if before is not None:
            known = before.gradient.cpu().numpy()
            chosen = good & (known != 0).any(axis=1)
            gradient += known
    elif before is not None:
        chosen &= (before.gradient != 0).any(1).cpu().numpy()
    else:
        gain = 2 * (gradient[:, None] * score[near]).sum(-1)
        gain -= np.einsum("ni,nkij,nj->nk", gradient, power[near], gradient)
        gain = np.where(near >= 0, gain / noise[near], 0.0).sum(axis=1)
        chosen &= gain > EVIDENCE
    if not chosen.any():
        return None
    gradient[~chosen], errors[~chosen] = 0.0, 0.0
    slope = tensor_like(theta, gradient)
    sensitivity = tensor_like(theta, np.where(chosen[:, None, None], moved, 0.0))
    spread = sensitivity[:, :2] @ tensor_like(theta, errors) @ sensitivity[:, :2].mT
    shift = (sensitivity @ slope[..., None])[..., 0]
    at = theta[:, :2] - shift[:, :2]
    if before is not None:
        at = at + before.moved[:, :2]
    return Slopes(slope, tensor_like(theta, level), torch.nan_to_num(at), shift, spread)


def plane(gradient: Tensor, at: Tensor, step: Tensor) -> Tensor:
    """(n, S, S) planes of gradients (n, 2) that are 0 at places (n, 2), on pixels `step` (S,)."""
    rows = gradient[:, :1] * (step - at[:, :1])
    cols = gradient[:, 1:] * (step - at[:, 1:])
    return rows[:, :, None] + cols[:, None, :]


def _planes(points: Array, level: Array) -> tuple[Array, Array, Array, NDArray[np.bool_]]:
    """Gradient (M, 2) of the levels about each point, its covariance, the plane's level at the
    point, and whether the plane is no play of chance.
    """
    count = min(AROUND + 1, len(points))
    near = cKDTree(points).query(points, k=count)[1].reshape(len(points), count)
    values = level[near]
    middle = np.median(values, axis=1, keepdims=True)
    reach = TAILS * 1.4826 * np.median(np.abs(values - middle), axis=1, keepdims=True)
    # Along a plane levels differ, too, but not by more than so many typical differences.
    values = np.clip(values, middle - reach, middle + reach)
    away = points[near] - points[:, None]
    design = np.concatenate([away, np.ones((*away.shape[:2], 1))], axis=2)
    normal = design.mT @ design
    flat = np.linalg.eigvalsh(normal[:, :2, :2])[:, 0] < 1e-3 * np.trace(
        normal[:, :2, :2], axis1=1, axis2=2
    )
    normal[flat] = np.eye(3)
    inverse = np.linalg.inv(normal)
    solution, variance = _fitted(design, inverse, values)
    spare = count - design.shape[2]
    whole = ((values - values.mean(axis=1, keepdims=True)) ** 2).sum(axis=1)
    sure = ~flat & _beyond_chance(whole, spare * variance, 2, spare, CHANCE)
    errors = inverse[:, :2, :2] * variance[:, None, None]
    if count > BENDING:
        y, x = np.moveaxis(away / np.abs(away).max(axis=(1, 2), keepdims=True), -1, 0)
        wide = np.concatenate([design, np.stack([y**2, y * x, x**2], axis=2)], axis=2)
        normal = wide.mT @ wide
        settled = ~flat & (np.linalg.cond(normal) < SETTLED)
        normal[~settled] = np.eye(6)
        inverse = np.linalg.inv(normal)
        bent, rest = _fitted(wide, inverse, values)
        settled &= _beyond_chance(spare * variance, (spare - 3) * rest, 3, spare - 3, BENT)
        solution[settled] = bent[settled, :3]
        errors[settled] = (inverse[:, :2, :2] * rest[:, None, None])[settled]
        sure |= settled & _beyond_chance(whole, (spare - 3) * rest, 5, spare - 3, CHANCE)
    return solution[:, :2], errors, np.where(flat, level, solution[:, 2]), sure


def _beyond_chance(
    before: Array, after: Array, more: int, spare: int, chance: float
) -> NDArray[np.bool_]:
    """(M,) whether sums of squares fall by more than `more` parameters lower them by chance."""
    ratio = (before - after) / more / np.maximum(after / spare, 1e-300)
    return np.asarray(fdtrc(more, spare, np.maximum(ratio, 0.0)) < chance)


def _fitted(design: Array, inverse: Array, values: Array) -> tuple[Array, Array]:
    """Least squares (M, P) of values (M, K), and the variance (M,) of what is left."""
    solution = (inverse @ (design.mT @ values[..., None]))[..., 0]
    rest = values - (design @ solution[..., None])[..., 0]
    return solution, np.asarray((rest**2).sum(axis=1) / (design.shape[1] - design.shape[2]))


def _neighbours(
    points: Array, some: NDArray[np.intp], chosen: NDArray[np.bool_]
) -> NDArray[np.intp]:
    """(N, K) the fitted columns about those that are chosen; -1 for others."""
    count = min(AROUND + 1, len(some))
    near = np.full((len(points), count), -1, dtype=np.intp)
    found = cKDTree(points[some]).query(points[chosen], k=count)[1].reshape(-1, count)
    near[chosen] = some[found]
    return near


def _projected(
    rounds: Rounds, theta: Tensor, wanted: NDArray[np.intp]
) -> tuple[Array, Array, Array, Array]:
    """What pixels say about planes, of the columns wanted.

    Returns
    -------
    score (N, 2) and power (N, 2, 2): sums over pixels of the part of the planes that no parameter
    follows, times the residuals and times itself; noise (N,), the variance of the residuals; and
    moved (N, 5, 2), by what planes of gradient 1 move the parameters.
    """
    count = len(theta)
    score, power = np.zeros((count, 2)), np.zeros((count, 2, 2))
    noise, moved = np.ones(count), np.zeros((count, ROUND, 2))
    for batch, cells in rounds.cells(wanted):
        checkpoint()
        step, inside = cells.windows.step, cells.windows.inside
        own = theta[batch]
        slopes = derivatives(own, step)[:, :ROUND] * inside[:, None]
        unit = torch.eye(2).to(own)[:, None].expand(-1, len(own), -1)
        ramps = torch.stack([plane(each, own[:, :2], step) for each in unit], dim=1)
        ramps = (ramps * inside[:, None]).flatten(2)
        rest = ((cells.data - column_values(own, step)) * inside).flatten(1)
        flat = slopes.flatten(2)
        share = torch.nan_to_num(covariance(flat @ flat.mT)) @ (flat @ ramps.mT)
        left = ramps - share.mT @ flat
        score[batch] = (left @ rest[..., None])[..., 0].cpu().numpy()
        power[batch] = (left @ left.mT).cpu().numpy()
        spare = (inside.sum((1, 2)) - ROUND).clamp_min(1)
        scatter = (rest**2).sum(1) / spare
        noise[batch] = scatter.clamp_min(torch.finfo(scatter.dtype).tiny).cpu().numpy()
        moved[batch] = share.cpu().numpy()
    return score, power, noise, moved


def _own(
    score: Array, power: Array, noise: Array, pixels: Array, good: NDArray[np.bool_]
) -> tuple[Array, Array, NDArray[np.bool_]]:
    """Gradients (N, 2) by the pixels of each column alone, their covariance, and whether they are
    no play of chance.
    """
    there = good & (np.linalg.det(power) > 0)
    safe = np.where(there[:, None, None], power, np.eye(2))
    gradient = np.linalg.solve(safe, score[..., None])[..., 0]
    gain = (gradient * score).sum(axis=1)
    spare = np.maximum(pixels - ROUND - 2, 1)
    variance = np.maximum(noise * (pixels - ROUND) - gain, 1e-12 * noise) / spare
    sure = (
        there
        & (pixels > ROUND + 2)
        & (fdtrc(2, spare, np.maximum(gain / 2 / variance, 0.0)) < CHANCE)
    )
    errors = np.linalg.inv(safe) * variance[:, None, None]
    return np.asarray(gradient), np.asarray(errors), np.asarray(sure)
