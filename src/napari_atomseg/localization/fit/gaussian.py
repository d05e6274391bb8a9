"""The isotropic Gaussian on a background: its normal equations for many columns at once."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from napari_atomseg.localization.fit.least_squares import Normal, covariance

PARAMETERS = ("y", "x", "log_sigma", "amplitude", "background")


def gaussian_values(theta: Tensor, step: Tensor) -> Tensor:
    """(n, S, S) values of Gaussians of parameters (n, 5) on pixels `step` (S,) of both axes."""
    y, x, log_sigma, amplitude, background = theta[:, :, None].unbind(1)
    v, u = (step - y) * torch.exp(-log_sigma), (step - x) * torch.exp(-log_sigma)
    rows, cols = amplitude * torch.exp(-0.5 * v**2), torch.exp(-0.5 * u**2)
    return rows[:, :, None] * cols[:, None, :] + background[:, :, None]


def leverage(theta: Tensor, step: Tensor, inside: Tensor) -> Tensor:
    """(n, S, S) how much of each pixel's own noise an unweighted fit of `inside` follows.

    The mean square of its residual is less than its variance by this part (Hoaglin & Welsch, Am.
    Stat. 32, 17 (1978)).
    """
    y, x, log_sigma, amplitude, _ = theta[:, :, None, None].unbind(1)
    v, u = (step[:, None] - y) * torch.exp(-log_sigma), (step - x) * torch.exp(-log_sigma)
    bell = torch.exp(-0.5 * (v**2 + u**2))
    light = amplitude * bell
    slopes = [light * v, light * u, light * (v**2 + u**2), bell, torch.ones_like(bell)]
    slope = torch.stack(slopes, dim=-1) * inside[..., None]
    matrix = slope.flatten(1, 2).mT @ slope.flatten(1, 2)
    spread = torch.nan_to_num(covariance(matrix))
    return torch.einsum("nabi,nij,nabj->nab", slope, spread, slope)


class GaussianProblem:
    """Weighted least squares of isotropic Gaussians, parameters (y, x, ln sigma, A, b).

    A Gaussian is separable and its derivatives are polynomials times itself, so that the normal
    equations need only the moments Σ w g² vᵃ uᵇ, Σ w g vᵃ uᵇ and Σ w d g vᵃ uᵇ with
    v = (row - y) / sigma and u = (col - x) / sigma: products of thin matrices with the fixed
    images w and w d. Neither residuals nor derivatives are ever formed pixel by pixel.

    Parameters
    ----------
    step : (S,) pixel coordinates of both axes.
    values, weight : (N, S, S) data and weights; zero weight leaves a pixel out.
    free_width : (N,) columns whose sigma is fitted.
    """

    def __init__(self, step: Tensor, values: Tensor, weight: Tensor, free_width: Tensor) -> None:
        self._step = step
        self._free_width = free_width
        self._weight = weight
        self._product = weight * values
        self._sums = (
            weight.sum((1, 2)),
            self._product.sum((1, 2)),
            (self._product * values).sum((1, 2)),
        )

    @property
    def negligible(self) -> Tensor:
        """(N,) costs that are zero up to rounding."""
        return 1e-14 * self._sums[2] + torch.finfo(self._weight.dtype).tiny

    def __call__(self, theta: Tensor, index: Tensor) -> Normal:
        """Normal equations of the columns `index` (n,) at parameters (n, 5)."""
        whole = len(index) == len(self._weight)
        weight = self._weight if whole else self._weight[index]
        product = self._product if whole else self._product[index]
        y, x, log_sigma, amplitude, background = theta.unbind(1)
        inverse = torch.exp(-log_sigma)
        v = (self._step - y[:, None]) * inverse[:, None]
        u = (self._step - x[:, None]) * inverse[:, None]
        gv, gu = torch.exp(-0.5 * v**2)[..., None], torch.exp(-0.5 * u**2)[..., None]
        pv, pu = powers(v), powers(u)
        thin = torch.cat([gu**2 * pu, gu * pu[..., :3]], dim=-1)
        mixed = weight @ thin
        m = (gv**2 * pv).mT @ mixed[..., :5]
        k = (gv * pv[..., :3]).mT @ mixed[..., 5:]
        d = (gv * pv[..., :3]).mT @ (product @ thin[..., 5:])
        sums = [s[index] for s in self._sums]
        normal = _assemble(m, k, d, sums, inverse, amplitude, background)
        held = ~self._free_width[index]
        normal.matrix[held, 2, :] = 0.0
        normal.matrix[held, :, 2] = 0.0
        normal.matrix[held, 2, 2] = 1.0
        normal.slope[held, 2] = 0.0
        return normal


def volume_error(sigma: Tensor, amplitude: Tensor, spread: Tensor) -> Tensor:
    """(N,) standard errors of 2π sigma² A from the covariance (N, 2, 2) of ln sigma and A."""
    relative = 4 * spread[:, 0, 0] + 4 * spread[:, 0, 1] / amplitude
    relative = relative + spread[:, 1, 1] / amplitude**2
    return 2 * math.pi * sigma**2 * amplitude * relative.sqrt()


def powers(t: Tensor) -> Tensor:
    """(..., 5) powers of t from 0 to 4."""
    square = t * t
    return torch.stack([torch.ones_like(t), t, square, square * t, square * square], dim=-1)


def _assemble(
    m: Tensor,
    k: Tensor,
    d: Tensor,
    sums: list[Tensor],
    inverse: Tensor,
    amplitude: Tensor,
    background: Tensor,
) -> Normal:
    """Normal equations from moments: ∂f = (A v g / σ, A u g / σ, A (v² + u²) g, g, 1)."""
    s, a = amplitude * inverse, amplitude
    r = d - amplitude[:, None, None] * m[:, :3, :3] - background[:, None, None] * k
    total, first, second = sums
    matrix = torch.empty(len(a), 5, 5, dtype=m.dtype, device=m.device)
    upper = {
        (0, 0): s * s * m[:, 2, 0],
        (0, 1): s * s * m[:, 1, 1],
        (0, 2): s * a * (m[:, 3, 0] + m[:, 1, 2]),
        (0, 3): s * m[:, 1, 0],
        (0, 4): s * k[:, 1, 0],
        (1, 1): s * s * m[:, 0, 2],
        (1, 2): s * a * (m[:, 0, 3] + m[:, 2, 1]),
        (1, 3): s * m[:, 0, 1],
        (1, 4): s * k[:, 0, 1],
        (2, 2): a * a * (m[:, 4, 0] + 2 * m[:, 2, 2] + m[:, 0, 4]),
        (2, 3): a * (m[:, 2, 0] + m[:, 0, 2]),
        (2, 4): a * (k[:, 2, 0] + k[:, 0, 2]),
        (3, 3): m[:, 0, 0],
        (3, 4): k[:, 0, 0],
        (4, 4): total,
    }
    for (i, j), value in upper.items():
        matrix[:, i, j] = matrix[:, j, i] = value
    rest = first - amplitude * k[:, 0, 0] - background * total
    slope = torch.stack(
        [s * r[:, 1, 0], s * r[:, 0, 1], a * (r[:, 2, 0] + r[:, 0, 2]), r[:, 0, 0], rest], dim=1
    )
    cost = second - amplitude * (d[:, 0, 0] + r[:, 0, 0]) - background * (first + rest)
    # second - 2A d - 2b Σwd + A² m + 2Ab k + b² Σw, gathered.
    return Normal(matrix, slope, cost.clamp_min(0.0))
