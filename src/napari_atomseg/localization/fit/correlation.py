"""The correlation of an image's noise from the residuals of fits, and what it does to errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from napari_atomseg._shared.types import Array
from napari_atomseg.localization.fit.gaussian import derivatives
from napari_atomseg.localization.fit.noise import ResidualNoise
from napari_atomseg.localization.fit.windows import Windows
from napari_atomseg.progress import checkpoint
from napari_atomseg.trust.correlation import (
    DARKEST,
    LAGS,
    NoiseCorrelation,
    lagged_products,
    shared_moments,
    white_beyond_optics,
)

TERMS = 1e-3
"""Products of two profiles add up to a correlation to this accuracy."""
NEIGHBOURHOOD = 2.5
"""Half width of the part of an image around a sampled column over that of its window."""
TOUCHING = 3.0
"""Neighbours nearer than twice this many sigmas change what a column's fit leaves over."""
RIDGE = 1e-9
FEWEST = 300
"""Pixels from which it can be learned whether they share noise."""
MISFIT = 0.5
"""Part of the residuals from which a common pattern hides the noise."""
NEAREST, TYPICAL = 2, 40
"""Distances, and columns, that show whether noise is white."""
FAINT, SURE = 0.012, 3.0
"""Correlation of white noise, at most, and the standard errors that it may be above."""
EXCESS, EXCESS_OF_FEW = 1.2, 1.5
"""Variance of residuals over that of the white noise from which there is other noise, too; and of
few columns, whose misfit is known less well."""
FEW_COLUMNS, PATTERN_COLUMNS = 16, 100
"""Columns from which the misfit that they have in common is subtracted, and with its change across
an image.
"""


class Shared:
    """What noise that pixels share does to n weighted least-squares fits.

    Parameters
    ----------
    slopes : (n, K, S, S) derivatives J over σ, 0 beyond the windows and for held parameters.
    inverse : (n, K, K) (JᵀWJ)⁻¹.
    noise : correlation R of the noise.
    weights : (n, S, S) weights W of the fits times σ², where they were not 1.
    """

    def __init__(
        self,
        slopes: Tensor,
        inverse: Tensor,
        noise: NoiseCorrelation,
        weights: Tensor | None = None,
    ) -> None:
        # Sums over pixels need no double precision, the inverse does.
        slopes = slopes.float()
        seen = slopes if weights is None else slopes * weights.float()[:, None]
        self._slopes, self._inverse = slopes.mT.flatten(2), inverse
        self._shared = _correlated(seen, noise).flatten(2)
        self._middle = (seen.mT.flatten(2) @ self._shared.mT).to(inverse)
        self._side = slopes.shape[-1]

    def covariance(self) -> Tensor:
        """(n, K, K) covariance of the estimates.

        With weights W on the diagonal and noise of the covariance C_ij = σ_i σ_j ρ(i - j) it is
        (JᵀWJ)⁻¹ JᵀW C W J (JᵀWJ)⁻¹ (White, Econometrica 48, 817 (1980), with C known). White noise
        and W = 1 / σ² leave (JᵀWJ)⁻¹, which stands in where an estimated ρ gives no variance.
        """
        found = self._inverse @ self._middle @ self._inverse
        own, plain = (each.diagonal(dim1=1, dim2=2) for each in (found, self._inverse))
        lost = ~(own >= DARKEST * plain).all(1)
        return torch.where(lost[:, None, None], self._inverse, found)

    def left(self) -> Tensor:
        """(n, S, S) variance of the residuals of a fit over that of the noise.

        The fit takes from standardised noise u what is like its derivatives, and leaves P u with
        P = 1 - J (JᵀWJ)⁻¹ JᵀW: the diagonal of P R Pᵀ. It is less than for white noise, which has
        less in common with the smooth derivatives.
        """
        own = self._inverse.float() @ self._slopes
        part = 1.0 + (own * (self._middle.float() @ own - 2.0 * self._shared)).sum(1)
        return part.view(-1, self._side, self._side).mT.to(self._inverse)


def _correlated(planes: Tensor, noise: NoiseCorrelation) -> Tensor:
    """(n, K, S, S) images, transposed, each convolved with a correlation inside its window.

    The correlation is a sum of products of profiles along y and x: two matrix products.
    """
    side = planes.shape[-1]
    rows, cols = _profiles(noise, side, planes)
    along = planes.reshape(-1, side) @ cols.transpose(0, 1).reshape(side, -1)
    along = along.view(-1, side, len(cols), side).permute(0, 3, 2, 1)
    return (along.reshape(-1, len(cols) * side) @ rows.reshape(-1, side)).view_as(planes)


def _profiles(noise: NoiseCorrelation, side: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """(T, side, side) symmetric Toeplitz matrices along y, and along x."""
    left, size, right = np.linalg.svd(noise.quadrant, full_matrices=False)
    some = size > TERMS * size[0]
    pair = []
    for profiles in ((left * size)[:, some].T, right[some]):
        lag = np.abs(np.subtract.outer(np.arange(side), np.arange(side)))
        padded = np.pad(profiles, ((0, 0), (0, max(0, side - profiles.shape[1]))))
        pair.append(torch.from_numpy(padded[:, lag]).to(like))
    return pair[0], pair[1]


@dataclass(frozen=True)
class NoiseFound:
    """What the residuals of fits show of the noise.

    Attributes
    ----------
    correlation : of neighbouring pixels.
    misfit : part of the squared residuals that is a pattern that all columns have.
    columns : that were looked at together, to know that.
    untold : whether residuals have more than white noise, and there were too few columns to know
        whether that is misfit.
    pixels : number of pixels it was learned from.
    counted : whether the noise is that of counted frames, and was not learned.
    given : whether the correlation was known before, and was not learned.
    """

    correlation: NoiseCorrelation = field(default_factory=NoiseCorrelation)
    misfit: float = 0.0
    columns: int = 0
    untold: bool = False
    pixels: int = 0
    counted: bool = False
    given: bool = False

    @property
    def seen(self) -> bool:
        """Whether it could be seen how far pixels share their noise."""
        return self.given or (not self.counted and self.pixels >= FEWEST and self.misfit <= MISFIT)

    def note(self) -> str | None:
        """One sentence on what error bars allow for, or do not; None where all is plain."""
        if self.counted:
            return "error bars are those of counting the frames"
        if self.given:
            return self.correlation.note()
        if self.pixels < FEWEST:
            return "too few pixels to see whether they share noise: error bars may be too small"
        if self.misfit > MISFIT:
            return "noise could not be told from misfit of the columns: error bars may be too small"
        if self.untold:
            return (
                f"fits leave more than white noise, and fewer than {FEW_COLUMNS} columns do not "
                "tell whether they misfit or lie on a film: there error bars would be too small"
            )
        return self.correlation.note()


@dataclass(frozen=True)
class Standardised:
    """Residuals of n columns over the noise's standard deviation, and the model's slopes.

    Attributes
    ----------
    windows : pixels of the columns.
    residual : (n, S, S) standardised, 0 beyond the windows.
    deviation : (n, S, S) standard deviation of the noise.
    theta : (n, K) parameters, positions relative to the windows' centres.
    weights : (n, S, S) weights of the fits times the noise's variance; near 1.
    """

    windows: Windows
    residual: Tensor
    deviation: Tensor
    theta: Tensor
    weights: Tensor

    def beginning(self, first: int) -> Standardised:
        """The same columns, another one of them first."""
        order = torch.arange(len(self.theta), device=self.theta.device)
        order = torch.cat([order[first : first + 1], order[:first], order[first + 1 :]])
        row, col, inside = (
            each[order] for each in (self.windows.row, self.windows.col, self.windows.inside)
        )
        windows = Windows(row, col, self.windows.step, inside)
        planes = (self.residual, self.deviation, self.theta, self.weights)
        return Standardised(windows, *(each[order] for each in planes))


def looks_white(residuals: list[Standardised], free: Tensor) -> bool:
    """Whether residuals of neighbouring pixels go together no more than fits of white noise leave.

    A fit of white noise takes J (JᵀWJ)⁻¹ Jᵀ away, its part in products of residuals at a distance.
    """
    products, pixels, taken = np.zeros(1), np.zeros(1), np.zeros(1)
    for batch in residuals:
        checkpoint()
        products = products + lagged_products(batch.residual.cpu().numpy(), NEAREST)
        pixels = pixels + lagged_products(batch.windows.inside.double().cpu().numpy(), NEAREST)
        every = slice(None, None, max(1, len(batch.theta) // TYPICAL))
        theta, inside = batch.theta[every], batch.windows.inside[every]
        slopes = derivatives(theta, batch.windows.step)[:, free]
        slopes = slopes * (inside / batch.deviation[every])[:, None]
        flat = slopes.flatten(2)
        factor, _ = torch.linalg.cholesky_ex(flat @ flat.mT)
        own = torch.linalg.solve_triangular(factor, flat, upper=False).view_as(slopes)
        share = len(batch.theta) / len(theta)
        finite = torch.isfinite(own).all(dim=(1, 2, 3), keepdim=True)
        own = torch.where(finite, own, 0.0).flatten(0, 1).cpu().numpy()
        taken = taken + share * lagged_products(own, NEAREST)
    expected = -taken
    expected[0, 0] += pixels[0, 0]
    found = products * expected[0, 0] / products[0, 0] - expected
    known = np.maximum(pixels, 1.0)
    off = np.abs(found) / known > FAINT + SURE * np.sqrt(2.0 / known)
    return not bool(off.any())


def taken_for_white(
    image: Tensor, sigma: float, noise: ResidualNoise, found: NoiseFound
) -> NoiseFound | None:
    """What is found where noise is white beyond the optics, and residuals have no other; else None.

    Columns that are no Gaussians leave more than noise over, which is not shared noise; a film or a
    blurred part of the noise is. The first is a pattern that columns have in common, the second
    adds to the variance of residuals without it. Of few columns it is not known what they have in
    common: what is beyond the optics decides alone.

    Parameters
    ----------
    image : (H, W) raw.
    sigma : width of the columns, pixels.
    noise : as residuals have it.
    found : what residuals show, see `looked_at`.
    """
    white = white_beyond_optics(image.double().cpu().numpy(), sigma)
    if white is None:
        return None
    finite = image[torch.isfinite(image)]
    excess = (1.0 - found.misfit) * float(noise.variance(finite).mean()) / white
    if found.columns < FEW_COLUMNS:
        return replace(found, untold=excess > EXCESS)
    limit = EXCESS if found.columns >= PATTERN_COLUMNS else EXCESS_OF_FEW
    return found if excess <= limit else None


def without_pattern(residual: Tensor, theta: Tensor) -> tuple[Tensor, float]:
    """Residuals (n, S, S) without the misfit that all columns have, and its part of their squares.

    Where columns are no Gaussians, each leaves the same pattern over, as high as the column. Noise
    is different from column to column. The pattern is regressed, pixel by pixel, on the column's
    amplitude, of many columns also times powers of its distance from the middle of the window, up
    to the second.
    """
    count = len(residual)
    if count < FEW_COLUMNS:
        return residual, 0.0
    y, x, height = theta[:, 0], theta[:, 1], theta[:, 3] / theta[:, 3].mean()
    one = torch.ones_like(y)
    terms = [one, height]
    if count >= PATTERN_COLUMNS:
        terms += [height * y, height * x, height * y * y, height * x * y, height * x * x]
    basis, _ = torch.linalg.qr(torch.stack(terms, dim=1))
    flat = residual.flatten(1)
    common = basis @ (basis.mT @ flat)
    left = count / (count - basis.shape[1])
    before, after = float((flat**2).sum()), float(((flat - common) ** 2).sum()) * left
    share = max(0.0, 1.0 - after / before) if before > 0 else 0.0
    return ((flat - common) * left**0.5).view_as(residual), share


def design_of(part: Standardised, free: Tensor, joint: bool) -> Array:
    """(L², L²) share of the noise's covariance at each distance in a column's residual products.

    Residuals are u - Z (DᵀZ)⁻¹ Dᵀ u of noise u: all columns nearby shine into the window with the
    slopes Z, and each is fitted with the slopes D: in its own window alone, or, in a joint fit, in
    all of them, D = Z. The expected product of two residuals at a distance is linear in the
    covariances of the noise at all distances.

    Parameters
    ----------
    part : a column, first, and those that touch it.
    free : (K,) parameters that are fitted.
    joint : whether the columns are fitted together.
    """
    slopes, own, weights = _around(part, free)
    side = slopes.shape[-1]
    seen = slopes * weights
    if not joint:
        seen = seen * own.repeat_interleave(int(free.sum()), dim=0)
    matrix = seen.flatten(1) @ slopes.flatten(1).mT
    matrix.diagonal().add_(RIDGE)
    found = torch.linalg.solve(matrix, seen.flatten(1)).view_as(slopes)
    # The products need no double precision.
    slopes, found, mask = slopes.float(), found.float(), own[0].float()
    half = (part.windows.inside.shape[-1] - 1) // 2
    first, last = side // 2 - half, side // 2 + half + 1
    mask = mask[first:last, first:last]
    near = (slopes[:, first:last, first:last] * mask).contiguous()
    square, errors = _lagged_grams(near), _lagged_grams(found)
    moved = _moved(_moved(near, -1), -2) * mask
    margin = min(LAGS, first)
    around = found[:, first - margin : last + margin, first - margin : last + margin]
    inner = slice(margin, around.shape[-1] - margin)
    there = _moved(_moved(around, -1)[..., inner], -2)[..., inner, :]
    lags = (LAGS + 1) ** 2
    crossed = moved.reshape(lags, -1) @ there.reshape(lags, -1).mT
    given = square.flatten(1) @ errors.flatten(1).mT
    pairs = torch.from_numpy(lagged_products(mask.double().cpu().numpy()[None])).view(-1)
    expected: Array = (torch.diag(pairs) + (given - 2.0 * crossed).double().cpu()).numpy()
    return expected


def _around(part: Standardised, free: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Slopes (n K, s, s) of unit norm, cells (n, s, s) and weights (s, s) about the first column.

    All are 0 beyond the windows of the columns.
    """
    windows, theta = part.windows, part.theta.clone()
    half = (windows.inside.shape[-1] - 1) // 2
    reach = round(NEIGHBOURHOOD * half) if len(theta) > 1 else half
    away = torch.cat([windows.row - windows.row[0], windows.col - windows.col[0]], dim=1)
    theta[:, :2] += away
    step = torch.arange(-reach, reach + 1).to(theta)
    own = torch.zeros(len(theta), len(step), len(step)).to(theta)
    scale, weights = torch.zeros_like(own[0]), torch.zeros_like(own[0])
    for number, (down, right) in enumerate(away.long().tolist()):
        checkpoint()
        rows, cols = (
            slice(max(0, reach - half + by), min(len(step), reach + half + 1 + by))
            for by in (down, right)
        )
        if rows.start >= rows.stop or cols.start >= cols.stop:
            continue
        from_y, from_x = rows.start - (reach - half + down), cols.start - (reach - half + right)
        cut = (
            slice(from_y, from_y + rows.stop - rows.start),
            slice(from_x, from_x + cols.stop - cols.start),
        )
        inside = part.windows.inside[number][cut]
        own[number, rows, cols] = inside.to(own)
        scale[rows, cols] += torch.where(inside, 1.0 / part.deviation[number][cut], 0.0)
        weights[rows, cols] += torch.where(inside, part.weights[number][cut], 0.0)
    slopes = derivatives(theta, step)
    slopes[:, 4] = own
    slopes = (slopes * scale)[:, free].flatten(0, 1)
    size = slopes.flatten(1).norm(dim=1).clamp_min(torch.finfo(slopes.dtype).tiny)
    return slopes / size[:, None, None], own, weights


def _moved(planes: Tensor, axis: int) -> Tensor:
    """(L, ...) planes (..., s, s) moved by 0..L - 1 pixels along an axis, both ways."""
    moved = planes.new_zeros(LAGS + 1, *planes.shape)
    moved[0] = planes
    length = planes.shape[axis]
    for lag in range(1, min(LAGS, length - 1) + 1):
        checkpoint()
        for to, since in ((lag, 0), (0, lag)):
            target = moved[lag].narrow(axis, to, length - lag)
            target += planes.narrow(axis, since, length - lag)
    return moved


def _lagged_grams(planes: Tensor) -> Tensor:
    """(L², n, n) products of all pairs of planes (n, s, s), one of them moved by all distances.

    To move one plane along both axes, or one along y and the other along x, is the same.
    """
    count, size = len(planes), LAGS + 1
    down, right = (_moved(planes, axis).flatten(2).flatten(0, 1) for axis in (-2, -1))
    grams = (down @ right.mT).view(size, count, size, count)
    return grams.transpose(1, 2).reshape(size * size, count, count)


def estimate_correlation(
    residuals: list[Standardised], samples: list[Standardised], free: Tensor, joint: bool
) -> NoiseFound:
    """The correlation of the noise that fits have left over, and how much of it was misfit.

    Fits take part of the noise away, the more of it the smoother it is: its covariances follow
    from the products of residuals only with what the fits do to them, see `design_of`.

    Parameters
    ----------
    residuals : columns from which the noise is estimated, in batches.
    samples : a few columns, each with those that touch it, that stand for all.
    free, joint : as of `design_of`.

    Misfit that all columns have in common counts as white noise, as before.
    """
    plain, products = looked_at(residuals), np.zeros(1)
    for batch in residuals:
        checkpoint()
        bare, _ = without_pattern(batch.residual, batch.theta)
        products = products + lagged_products(bare.cpu().numpy())
    designs = [design_of(sample, free, joint) for sample in samples]
    inside = sum(float(sample.windows.inside[0].sum()) for sample in samples)
    if not designs or plain.pixels < FEWEST or plain.misfit > MISFIT:
        return plain
    found = shared_moments(products, np.sum(designs, axis=0) * (plain.pixels / inside))
    if found is None:
        return plain
    found = (1.0 - plain.misfit) * found / found[0, 0]
    found[0, 0] = 1.0
    return replace(plain, correlation=NoiseCorrelation.from_moments(found))


def looked_at(residuals: list[Standardised]) -> NoiseFound:
    """How many pixels there are to learn from, and how much of their residuals is misfit."""
    misfit, power, pixels, columns = 0.0, 0.0, 0, 0
    for batch in residuals:
        checkpoint()
        here = float((batch.residual**2).sum())
        _, share = without_pattern(batch.residual, batch.theta)
        misfit, power = misfit + share * here, power + here
        pixels += int(batch.windows.inside.sum())
        columns = max(columns, len(batch.theta))
    share = misfit / power if power > 0 else 0.0
    return NoiseFound(misfit=share, columns=columns, pixels=pixels)


def noise_notes(found: Sequence[NoiseFound | None]) -> list[str]:
    """Sentences on the noise of all frames, each once; of correlations the largest."""
    known = [each for each in found if each is not None]
    plain = {each.note(): None for each in known if each.note() != each.correlation.note()}
    shared = [each.correlation for each in known if each.note() == each.correlation.note()]
    if shared:
        plain[max(shared, key=lambda each: max(map(abs, each.beside))).note()] = None
    return [note for note in plain if note is not None]


def noise_record(found: Sequence[NoiseFound | None]) -> dict[str, float] | None:
    """Mean correlation of the noise with the next pixel along y and x, for ``attrs``.

    None where the noise was not looked at, or could not be seen.
    """
    seen = [each for each in found if each is not None and each.seen]
    if not seen:
        return None
    y, x = np.mean([each.correlation.beside for each in seen], axis=0)
    return {"correlation_y": round(float(y), 4), "correlation_x": round(float(x), 4)}
