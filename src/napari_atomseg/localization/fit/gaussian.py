"""Gaussians on a background, round and elliptic: normal equations of many columns at once."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from napari_atomseg.localization.fit.least_squares import Normal, covariance


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
    slope = derivatives(theta, step)[:, :ROUND].movedim(1, -1) * inside[..., None]
    matrix = slope.flatten(1, 2).mT @ slope.flatten(1, 2)
    spread = torch.nan_to_num(covariance(matrix))
    return torch.einsum("nabi,nij,nabj->nab", slope, spread, slope)


def derivatives(theta: Tensor, step: Tensor) -> Tensor:
    """(n, K, S, S) derivatives of round (K = 5) or elliptic (7) columns by their parameters."""
    if theta.shape[1] == ROUND:
        y, x, log_sigma, amplitude, _ = theta[:, :, None, None].unbind(1)
        inverse = torch.exp(-log_sigma)
        v, u = (step[:, None] - y) * inverse, (step - x) * inverse
        bell = torch.exp(-0.5 * v**2) * torch.exp(-0.5 * u**2)
        light = amplitude * bell
        shift = light * inverse
        return torch.stack(
            [shift * v, shift * u, light * (v**2 + u**2), bell, torch.ones_like(bell)], dim=1
        )
    light = _elliptic_light(theta, step)
    rows, cols = (powers(step - theta[:, axis, None])[..., :3] for axis in (0, 1))
    shapes = [
        light * rows[:, :, None, a] * cols[:, None, :, b]
        for a, b in zip(_DY.tolist(), _DX.tolist(), strict=True)
    ]
    basis = torch.stack([*shapes, torch.ones_like(light)], dim=1)
    return torch.einsum("nij,njab->niab", _elliptic_derivatives(theta), basis)


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

    def __call__(self, theta: Tensor, index: Tensor, bent: bool = False) -> Normal:
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
        most = 5 if bent else 3
        thin = torch.cat([gu**2 * pu, gu * pu[..., :most]], dim=-1)
        mixed = weight @ thin
        m = (gv**2 * pv).mT @ mixed[..., :5]
        k = (gv * pv[..., :most]).mT @ mixed[..., 5:]
        d = (gv * pv[..., :most]).mT @ (product @ thin[..., 5:])
        sums = [s[index] for s in self._sums]
        normal = _assemble(m, k, d, sums, inverse, amplitude, background, bent)
        held = ~self._free_width[index]
        normal.matrix[held, 2, :] = 0.0
        normal.matrix[held, :, 2] = 0.0
        normal.matrix[held, 2, 2] = 1.0
        normal.slope[held, 2] = 0.0
        if normal.bend is not None:
            normal.bend[held, 2, :] = 0.0
            normal.bend[held, :, 2] = 0.0
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
    bent: bool,
) -> Normal:
    """Normal equations from moments: ∂f = (A v g / σ, A u g / σ, A (v² + u²) g, g, 1)."""
    s, a, most = amplitude * inverse, amplitude, k.shape[1]
    r = d - amplitude[:, None, None] * m[:, :most, :most] - background[:, None, None] * k
    total, first, second = sums
    upper = [
        s * s * m[:, 2, 0],
        s * s * m[:, 1, 1],
        s * a * (m[:, 3, 0] + m[:, 1, 2]),
        s * m[:, 1, 0],
        s * k[:, 1, 0],
        s * s * m[:, 0, 2],
        s * a * (m[:, 0, 3] + m[:, 2, 1]),
        s * m[:, 0, 1],
        s * k[:, 0, 1],
        a * a * (m[:, 4, 0] + 2 * m[:, 2, 2] + m[:, 0, 4]),
        a * (m[:, 2, 0] + m[:, 0, 2]),
        a * (k[:, 2, 0] + k[:, 0, 2]),
        m[:, 0, 0],
        k[:, 0, 0],
        total,
    ]
    matrix = _symmetric(upper)
    rest = first - amplitude * k[:, 0, 0] - background * total
    slope = torch.stack(
        [s * r[:, 1, 0], s * r[:, 0, 1], a * (r[:, 2, 0] + r[:, 0, 2]), r[:, 0, 0], rest], dim=1
    )
    cost = second - amplitude * (d[:, 0, 0] + r[:, 0, 0]) - background * (first + rest)
    # second - 2A d - 2b Σwd + A² m + 2Ab k + b² Σw, gathered.
    return Normal(matrix, slope, cost.clamp_min(0.0), _bend(r, inverse, s, a) if bent else None)


def _bend(r: Tensor, inverse: Tensor, s: Tensor, a: Tensor) -> Tensor:
    """(n, 5, 5) second derivatives times the residuals, from the moments r (n, 5, 5) of those.

    They are A (v² - 1) g / σ² by y twice, A v u g / σ² by y and x, A v (v² + u² - 2) g / σ by y and
    ln σ, A (v² + u²) (v² + u² - 2) g by ln σ twice, and the first ones over A by A and another.
    """
    square, none = r[:, 2, 0] + r[:, 0, 2], torch.zeros_like(a)
    upper = [
        s * inverse * (r[:, 2, 0] - r[:, 0, 0]),
        s * inverse * r[:, 1, 1],
        s * (r[:, 3, 0] + r[:, 1, 2] - 2 * r[:, 1, 0]),
        inverse * r[:, 1, 0],
        none,
        s * inverse * (r[:, 0, 2] - r[:, 0, 0]),
        s * (r[:, 0, 3] + r[:, 2, 1] - 2 * r[:, 0, 1]),
        inverse * r[:, 0, 1],
        none,
        a * (r[:, 4, 0] + 2 * r[:, 2, 2] + r[:, 0, 4] - 2 * square),
        square,
        *[none] * 4,
    ]
    return _symmetric(upper)


def _symmetric(upper: list[Tensor]) -> Tensor:
    """(n, 5, 5) symmetric matrices from the rows of their upper triangles, each number (n,)."""
    return torch.stack(upper, dim=1)[:, _PLACES].view(-1, 5, 5)


_PLACES = torch.tensor(
    [
        *(0, 1, 2, 3, 4),
        *(1, 5, 6, 7, 8),
        *(2, 6, 9, 10, 11),
        *(3, 7, 10, 12, 13),
        *(4, 8, 11, 13, 14),
    ]
)
"""Numbers of the upper triangle in the places of a symmetric matrix."""


ROUND = 5
"""Parameters of a round column; those that follow make it an ellipse."""

_DY = torch.tensor([1, 0, 2, 1, 0, 0])
_DX = torch.tensor([0, 1, 0, 1, 2, 0])
"""Powers of the distance from the centre in the functions g dyᵃ dxᵇ whose sums are derivatives."""


def column_values(theta: Tensor, step: Tensor) -> Tensor:
    """(n, S, S) values of round (n, 5) or elliptic (n, 7) columns on pixels `step` of both axes."""
    if theta.shape[1] == ROUND:
        return gaussian_values(theta, step)
    light = _elliptic_light(theta, step)
    return theta[:, 3, None, None] * light + theta[:, 4, None, None]


def elongated(theta: Tensor, aspect: float) -> Tensor:
    """(n, 7) parameters of round columns (n, 5) on pixels of another aspect, dx over dy = exp it.

    What is round in Å is exp(aspect) times as wide in pixels along y as along x.
    """
    if aspect == 0.0:
        return theta
    longer = torch.nn.functional.pad(theta, (0, 2))
    longer[:, ROUND] = aspect
    return longer


def axes_of(theta: Tensor, aspect: float = 0.0) -> tuple[Tensor, Tensor]:
    """Long over short width, and the long axis' angle in degrees from x towards y, -90 to 90.

    Parameters
    ----------
    aspect : ln of dx over dy of the pixels: both are those of the column in Å.
    """
    along, across = theta[:, 5], theta[:, 6]
    if aspect:
        r = torch.hypot(along, across).clamp_min(1e-12)
        odd, even = torch.sinh(r) / r, torch.cosh(r)
        # The covariance in Å, exp(-aspect) times as large along y and exp(aspect) along x.
        yy = (even + odd * along) * math.exp(-aspect)
        xx, yx = (even - odd * along) * math.exp(aspect), odd * across
        size = torch.acosh((0.5 * (yy + xx)).clamp_min(1.0))
        scale = torch.where(size > 1e-9, size / torch.sinh(size).clamp_min(1e-12), 1.0)
        along, across = scale * 0.5 * (yy - xx), scale * yx
    ratio = torch.hypot(along, across).exp()
    return ratio, torch.rad2deg(0.5 * torch.atan2(across, -along))


class EllipticProblem:
    """Weighted least squares of elliptic Gaussians, parameters (y, x, ln sigma, A, b, e, f).

    The covariance of the Gaussian over (y, x) is sigma² exp[[e, f], [f, -e]]: sigma is the
    geometric mean of the two widths, whose ratio is exp √(e² + f²), and a round column, e = f = 0,
    is no singular point. With f held at zero the axes are those of the image.

    Parameters
    ----------
    step : (S,) pixel coordinates of both axes.
    values, weight : (N, S, S) data and weights; zero weight leaves a pixel out.
    free : (N, 7) parameters that are fitted.
    """

    def __init__(self, step: Tensor, values: Tensor, weight: Tensor, free: Tensor) -> None:
        self._step, self._free = step, free
        self._weight, self._product = weight, weight * values
        self._square = (self._product * values).sum((1, 2))

    @property
    def negligible(self) -> Tensor:
        """(N,) costs that are zero up to rounding."""
        return 1e-14 * self._square + torch.finfo(self._weight.dtype).tiny

    def __call__(self, theta: Tensor, index: Tensor, bent: bool = False) -> Normal:
        """Normal equations of the columns `index` (n,) at parameters (n, 7), without `bend`."""
        weight, product = self._weight[index], self._product[index]
        light = _elliptic_light(theta, self._step)
        rows = powers(self._step - theta[:, 0, None])
        cols = powers(self._step - theta[:, 1, None])
        shade = weight * light
        second = rows.mT @ (shade * light @ cols)
        first = rows[..., :3].mT @ (shade @ cols[..., :3])
        data = rows[..., :3].mT @ (product * light @ cols[..., :3])
        gram = torch.empty(len(theta), 7, 7, dtype=theta.dtype, device=theta.device)
        gram[:, :6, :6] = second[:, _DY[:, None] + _DY, _DX[:, None] + _DX]
        gram[:, :6, 6] = gram[:, 6, :6] = first[:, _DY, _DX]
        gram[:, 6, 6] = weight.sum((1, 2))
        seen = torch.cat([data[:, _DY, _DX], product.sum((1, 2))[:, None]], dim=1)
        amplitude, background = theta[:, 3, None], theta[:, 4, None]
        rest = seen - amplitude * gram[:, 5] - background * gram[:, 6]
        change = _elliptic_derivatives(theta)
        both = torch.cat([amplitude, background], dim=1)
        cost = self._square[index] - (both * (seen + rest)[:, 5:]).sum(1)
        normal = Normal(
            change @ gram @ change.mT, (change @ rest[..., None])[..., 0], cost.clamp_min(0.0)
        )
        held = ~self._free[index]
        normal.matrix.masked_fill_(held[:, :, None] | held[:, None, :], 0.0)
        normal.matrix.diagonal(dim1=1, dim2=2)[held] = 1.0
        normal.slope.masked_fill_(held, 0.0)
        return normal


def _elliptic_light(theta: Tensor, step: Tensor) -> Tensor:
    """(n, S, S) Gaussians of height 1."""
    (yy, yx, xx), _ = _precision(theta)
    dy, dx = step - theta[:, 0, None], step - theta[:, 1, None]
    square = (yy[:, None] * dy**2)[:, :, None] + (xx[:, None] * dx**2)[:, None, :]
    square = square + (2 * yx[:, None] * dy)[:, :, None] * dx[:, None, :]
    return torch.exp(-0.5 * square)


def _precision(theta: Tensor) -> tuple[Tensor, Tensor]:
    """Inverse covariance (yy, yx, xx), each (n,), and its derivatives (3, 3, n) by (lnσ, e, f).

    The inverse is exp(-2 lnσ) (cosh r - s E) with E = [[e, f], [f, -e]], r² = e² + f² and
    s = sinh(r) / r.
    """
    log_sigma, e, f = theta[:, 2], theta[:, 5], theta[:, 6]
    scale = torch.exp(-2 * log_sigma)
    r = torch.hypot(e, f)
    safe = r.clamp_min(1e-3)
    even = torch.cosh(r)
    odd = torch.where(r > 1e-3, torch.sinh(safe) / safe, 1.0 + r**2 / 6.0)
    # ds/de = k e, d(cosh r)/de = s e.
    k = torch.where(r > 1e-3, (even - odd) / safe**2, 1.0 / 3.0)
    inverse = scale * torch.stack([even - odd * e, -odd * f, even + odd * e])
    by_e = [odd * e - k * e * e - odd, -k * e * f, odd * e + k * e * e + odd]
    by_f = [odd * f - k * e * f, -k * f * f - odd, odd * f + k * e * f]
    slopes = torch.stack([-2 * inverse, scale * torch.stack(by_e), scale * torch.stack(by_f)])
    return inverse, slopes


def _elliptic_derivatives(theta: Tensor) -> Tensor:
    """(n, 7, 7) each parameter's derivative as a sum of the functions g dyᵃ dxᵇ, and of 1."""
    (yy, yx, xx), slopes = _precision(theta)
    amplitude = theta[:, 3]
    change = torch.zeros(len(theta), 7, 7, dtype=theta.dtype, device=theta.device)
    change[:, 0, 0], change[:, 0, 1] = amplitude * yy, amplitude * yx
    change[:, 1, 0], change[:, 1, 1] = amplitude * yx, amplitude * xx
    for row, (by_yy, by_yx, by_xx) in zip((2, 5, 6), slopes, strict=True):
        change[:, row, 2], change[:, row, 4] = -0.5 * amplitude * by_yy, -0.5 * amplitude * by_xx
        change[:, row, 3] = -amplitude * by_yx
    change[:, 3, 5] = 1.0
    change[:, 4, 6] = 1.0
    return change
