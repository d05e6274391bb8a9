"""Levenberg–Marquardt for many small independent problems at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from napari_atomseg.progress import checkpoint


@dataclass(frozen=True)
class Normal:
    """Normal equations of n problems of K parameters, linearized where they stand.

    Attributes
    ----------
    matrix : (n, K, K) Σ w ∂f ∂fᵀ, the Fisher information where w is the inverse variance.
    slope : (n, K) Σ w (d - f) ∂f.
    cost : (n,) Σ w (d - f)².
    """

    matrix: Tensor
    slope: Tensor
    cost: Tensor

    def put(self, index: Tensor, other: Normal) -> None:
        """Put n other problems in the places `index` (n,)."""
        self.matrix[index] = other.matrix
        self.slope[index] = other.slope
        self.cost[index] = other.cost

    def take(self, chosen: Tensor) -> Normal:
        """Only the problems `chosen`."""
        return Normal(self.matrix[chosen], self.slope[chosen], self.cost[chosen])


Problem = Callable[[Tensor, Tensor], Normal]
"""``problem(parameters (n, K), index (n,))``: the normal equations of the problems named."""

RAISE, LOWER = 8.0, 0.15
FIRST_DAMPING, LOWEST_DAMPING, HIGHEST_DAMPING = 1e-2, 1e-8, 1e8
TOLERANCE = 1e-5
"""Tolerance of a final fit: about three thousandths of a standard error."""


@dataclass(frozen=True)
class Solution:
    """Parameters (N, K), their normal equations, and (N,) whether each problem converged."""

    parameters: Tensor
    normal: Normal
    converged: Tensor

    def replace(self, index: Tensor, other: Solution) -> None:
        """Put the n problems of another solution in the places `index` (n,)."""
        self.parameters[index] = other.parameters
        self.normal.put(index, other.normal)
        self.converged[index] = other.converged


def levenberg_marquardt(
    problem: Problem,
    start: Tensor,
    bounds: tuple[Tensor, Tensor],
    freedom: Tensor,
    negligible: Tensor,
    iterations: int = 40,
    tolerance: float = TOLERANCE,
) -> Solution:
    """Minimize the cost of N problems.

    Parameters
    ----------
    start : (N, K) first parameters.
    bounds : lower and upper limits, each (N, K).
    freedom : (N,) degrees of freedom, at least 1.
    negligible : (N,) cost that is zero up to rounding.
    iterations : at most so many; problems that have converged drop out.
    tolerance : a fit ends when a step would lower the cost by less than this times the cost for
        one degree of freedom.

    References
    ----------
    Marquardt, J. Soc. Indust. Appl. Math. 11, 431 (1963): damping scaled by the diagonal.
    """
    theta = start.clamp(*bounds)
    index = torch.arange(len(theta), device=theta.device)
    now = problem(theta, index)
    damping = torch.full_like(now.cost, FIRST_DAMPING)
    converged = torch.zeros_like(now.cost, dtype=torch.bool)
    for _ in range(iterations):
        checkpoint()
        active = index[~converged & (damping < HIGHEST_DAMPING)]
        if len(active) == 0:
            break
        step = _damped_step(now.matrix[active], now.slope[active], damping[active])
        lower, upper = (limit[active] for limit in bounds)
        trial = (theta[active] + step).clamp(lower, upper)
        expected = ((trial - theta[active]) * now.slope[active]).sum(1).abs()
        new = problem(trial, active)
        better = new.cost <= now.cost[active]
        small = expected <= tolerance * now.cost[active] / freedom[active] + negligible[active]
        converged[active] = small & (damping[active] <= 1.0)
        taken = active[better]
        theta[taken] = trial[better]
        now.put(taken, new.take(better))
        factor = torch.where(better, LOWER, RAISE)
        damping[active] = (damping[active] * factor).clamp_min(LOWEST_DAMPING)
    return Solution(theta, now, converged)


def _damped_step(matrix: Tensor, slope: Tensor, damping: Tensor) -> Tensor:
    scale = matrix.diagonal(dim1=1, dim2=2).clamp_min(torch.finfo(matrix.dtype).tiny).sqrt()
    scaled = matrix / (scale[:, :, None] * scale[:, None, :])
    scaled.diagonal(dim1=1, dim2=2).add_(damping[:, None] + 1e-12)
    factor, _ = torch.linalg.cholesky_ex(scaled)
    return torch.cholesky_solve((slope / scale)[..., None], factor)[..., 0] / scale


def covariance(matrix: Tensor) -> Tensor:
    """(N, K, K) inverse of normal matrices; NaN where a matrix is singular."""
    scale = matrix.diagonal(dim1=1, dim2=2).sqrt()
    scaled = matrix / (scale[:, :, None] * scale[:, None, :])
    factor, failed = torch.linalg.cholesky_ex(torch.nan_to_num(scaled))
    identity = torch.eye(matrix.shape[1], dtype=matrix.dtype, device=matrix.device)
    factor = torch.where((failed > 0)[:, None, None], identity, factor)
    inverse = torch.cholesky_inverse(factor) / (scale[:, :, None] * scale[:, None, :])
    return torch.where((failed > 0)[:, None, None], torch.nan, inverse)
