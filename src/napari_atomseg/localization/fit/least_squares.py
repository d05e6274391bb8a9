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
    bend : (n, K, K) Σ w (d - f) ∂²f; `matrix` less this is the curvature of half the cost. None
        where it was not asked for.
    """

    matrix: Tensor
    slope: Tensor
    cost: Tensor
    bend: Tensor | None = None

    def put(self, index: Tensor, other: Normal) -> None:
        """Put n other problems in the places `index` (n,)."""
        self.matrix[index] = other.matrix
        self.slope[index] = other.slope
        self.cost[index] = other.cost

    def take(self, chosen: Tensor) -> Normal:
        """Only the problems `chosen`."""
        return Normal(self.matrix[chosen], self.slope[chosen], self.cost[chosen])


Problem = Callable[[Tensor, Tensor, bool], Normal]
"""``problem(parameters (n, K), index (n,), bent)``: the normal equations of the problems named,
with `bend` where `bent` asks for it and the problem has it."""

PLAIN = 2
"""Steps of Gauss and Newton before those of Newton, for problems that have not converged by then.
Where residuals are as large as the columns, the former creep, or swing from side to side."""
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
    Bertsekas, SIAM J. Control Optim. 20, 221 (1982): parameters that a bound stops are held.
    """
    theta = start.clamp(*bounds)
    index = torch.arange(len(theta), device=theta.device)
    now = problem(theta, index, False)
    bend = torch.zeros_like(now.matrix)
    damping = torch.full_like(now.cost, FIRST_DAMPING)
    converged = torch.zeros_like(now.cost, dtype=torch.bool)
    for number in range(iterations):
        checkpoint()
        active = index[~converged & (damping < HIGHEST_DAMPING)]
        if len(active) == 0:
            break
        here, slope = theta[active], now.slope[active]
        lower, upper = (limit[active] for limit in bounds)
        # What its bound stops is held, or the other parameters would step as if it moved, too.
        stopped = ((here <= lower) & (slope < 0)) | ((here >= upper) & (slope > 0))
        step = _damped_step(now.matrix[active], bend[active], slope, damping[active], stopped)
        trial = (here + step).clamp(lower, upper)
        expected = ((trial - here) * slope).sum(1).abs()
        new = problem(trial, active, number + 1 >= PLAIN)
        better = new.cost <= now.cost[active]
        small = expected <= tolerance * now.cost[active] / freedom[active] + negligible[active]
        converged[active] = small & (damping[active] <= 1.0)
        taken = active[better]
        theta[taken] = trial[better]
        now.put(taken, new.take(better))
        if new.bend is not None:
            bend[taken] = new.bend[better]
        factor = torch.where(better, LOWER, RAISE)
        damping[active] = (damping[active] * factor).clamp_min(LOWEST_DAMPING)
    return Solution(theta, now, converged)


def _damped_step(
    matrix: Tensor, bend: Tensor, slope: Tensor, damping: Tensor, held: Tensor
) -> Tensor:
    """(n, K) steps of the parameters that are not held: of Newton, where the cost is convex."""
    scale = matrix.diagonal(dim1=1, dim2=2).clamp_min(torch.finfo(matrix.dtype).tiny).sqrt()
    both = scale[:, :, None] * scale[:, None, :]
    added = damping[:, None] + 1e-12
    if held.any():
        either = held[:, :, None] | held[:, None, :]
        matrix, bend = matrix.masked_fill(either, 0.0), bend.masked_fill(either, 0.0)
        slope = slope.masked_fill(held, 0.0)
        added = added + held
    scaled = matrix / both
    scaled.diagonal(dim1=1, dim2=2).add_(added)
    factor, concave = torch.linalg.cholesky_ex(scaled - bend / both)
    if concave.any():
        factor[concave > 0] = torch.linalg.cholesky_ex(scaled[concave > 0])[0]
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
