"""How far neighbouring pixels share their noise, estimated from what a model leaves over."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_atomseg._shared.types import Array, Mask

LAGS = 5
"""Pixels along either axis beyond which no noise is taken to be shared."""
SIDE = 512
"""Side of the middle part of an image, pixels, that is enough to estimate a correlation."""
DARKEST = 0.02
"""Smallest variance of a sum of pixels over that under white noise: an estimated correlation may
give less than nothing."""
SURE = 30_000.0
"""Pixels beyond which more of them do not make an estimate surer."""
STRONGEST = 1.1
"""Correlations of noise are at most 1, but for the error of an estimate: what residuals of another
cause look like may be more."""
SIGNIFICANT = 0.02
"""Correlations with the next pixel that are worth a word."""


@dataclass(frozen=True)
class NoiseCorrelation:
    """Correlation ρ of the noise of two pixels, which depends on their distance alone.

    Interpolation, alignment, blur and slow detectors share the noise of a pixel with the next ones.
    Noise of standard deviation σ then has the covariance C_ij = σ_i σ_j ρ(i - j): the noise is
    white noise that was filtered, and scaled by what the intensity makes of it.

    Attributes
    ----------
    kernel : (2a + 1, 2b + 1) correlation at distances of up to a and b pixels along y and x, 1 in
        the middle, even along both axes. (1, 1) for white noise.
    """

    kernel: NDArray[np.float64] = field(default_factory=lambda: np.ones((1, 1)))

    @classmethod
    def of(cls, residual: Array, valid: Mask) -> NoiseCorrelation:
        """Estimate the correlation in an image of residuals of one variance.

        The residuals should hold the noise alone; a fit takes some of it away, for which
        `from_moments` corrects. Large images are looked at in their middle.

        Parameters
        ----------
        residual : (H, W) standardised residuals.
        valid : (H, W) pixels that count.
        """
        middle = _middle(residual.shape)
        used = valid[middle]
        plane = np.where(used, residual[middle], 0.0)
        pairs = lagged_products(used.astype(np.float64)[None])
        found = shared_moments(lagged_products(plane[None]), np.diag(pairs.ravel()))
        return cls() if found is None else cls.from_moments(found)

    @classmethod
    def from_moments(cls, moments: Array) -> NoiseCorrelation:
        """The correlation of covariances (a + 1, b + 1) at distances 0..a and 0..b.

        The estimate is taken as it is: to raise its power spectrum where that is below zero would
        lower it where the light of columns is.
        """
        quadrant = moments / moments[0, 0]
        whole = np.concatenate([quadrant[:0:-1], quadrant])
        return cls(np.concatenate([whole[:, :0:-1], whole], axis=1))

    @property
    def white(self) -> bool:
        """Whether pixels share no noise."""
        return self.kernel.size == 1

    @property
    def beside(self) -> tuple[float, float]:
        """Correlation with the next pixel along y and along x."""
        a, b = (size // 2 for size in self.kernel.shape)
        below = float(self.kernel[a + 1, b]) if a else 0.0
        right = float(self.kernel[a, b + 1]) if b else 0.0
        return below, right

    @property
    def quadrant(self) -> Array:
        """(a + 1, b + 1) correlation at distances of 0..a and 0..b pixels."""
        a, b = (size // 2 for size in self.kernel.shape)
        return self.kernel[a:, b:]

    @property
    def patch(self) -> float:
        """Σ ρ², pixels that fluctuate as one: the squares of so many count as a single one."""
        return float((self.kernel**2).sum())

    def spread(self, plane: Array) -> Array:
        """(H, W) sums Σ_j ρ(i - j) p_j: p times this, summed, is the variance of Σ p u."""
        if self.white:
            return plane
        return np.asarray(ndimage.convolve(plane, self.kernel, mode="constant"), dtype=np.float64)

    def excess(self, weights: Array) -> float:
        """Variance of a weighted sum of pixels (h, w) over that under white noise."""
        if self.white:
            return 1.0
        ratio = float((weights * self.spread(weights)).sum() / (weights**2).sum())
        return max(ratio, DARKEST)

    def note(self) -> str | None:
        """One sentence on noise that pixels share; None where they share none to speak of."""
        most = max(self.beside, key=abs)
        if abs(most) < SIGNIFICANT:
            return None
        return (
            f"noise is shared by neighbouring pixels (correlation {most:.2f} with the next one): "
            "error bars allow for it"
        )


def lagged_products(planes: Array, lags: int = LAGS) -> Array:
    """Σ u(p) u(q) over all ordered pairs of pixels at a distance, of images one by one.

    Parameters
    ----------
    planes : (N, h, w) residuals, 0 where there is no measurement.
    lags : distances 0..lags along either axis, in either direction.

    Returns
    -------
    (lags + 1, lags + 1).
    """
    height, width = planes.shape[1:]
    sums = np.zeros((lags + 1, lags + 1))
    for dy in range(min(lags, height - 1) + 1):
        first = planes[:, : height - dy].reshape(-1, width)
        second = planes[:, dy:].reshape(-1, width)
        for dx in range(min(lags, width - 1) + 1):
            total = np.vdot(first[:, : width - dx], second[:, dx:])
            if dx:
                total += np.vdot(first[:, dx:], second[:, : width - dx])
            sums[dy, dx] = total * (2 if dy else 1)
    return sums


def shared_moments(products: Array, design: Array) -> Array | None:
    """Covariances c of the noise, of as many distances as the residuals call for.

    The expected products are ``design @ c``. For distances up to a and b along y and x, c follows
    from the first products alone; which a and b, from Schwarz's criterion (Ann. Stat. 6, 461
    (1978)), in which a set of distances gains half of c times the products, over the square of the
    variance: the logarithm of its likelihood, to first order in the correlation, and pays half of
    the logarithm of the number of pixels for each. White noise so comes out as white.

    Parameters
    ----------
    products : (L, L) as of `lagged_products`.
    design : (L², L²) how each covariance enters each product.

    Returns
    -------
    (a + 1, b + 1) covariances; None where there are no residuals.
    """
    size = len(products)
    number = np.arange(size * size).reshape(size, size)
    pixels = float(design[0, 0])
    if not (products[0, 0] > 0 and pixels > 1):
        return None
    # What a model leaves over is known to a percent or so, however many pixels there are.
    weight = 0.5 * min(1.0, SURE / pixels) * (design[0, 0] / products[0, 0]) ** 2
    price = 0.5 * np.log(min(pixels, SURE))
    best = -np.inf
    chosen: Array | None = None
    for a in range(size):
        for b in range(size):
            some = number[: a + 1, : b + 1].ravel()
            aimed = products.ravel()[some]
            try:
                found = np.linalg.solve(design[np.ix_(some, some)], aimed)
            except np.linalg.LinAlgError:
                continue
            if found[0] <= 0 or np.abs(found).max() > STRONGEST * found[0]:
                continue
            gain = weight * float(found @ aimed) - price * len(some)
            if gain > best:
                best, chosen = gain, np.asarray(found, dtype=np.float64).reshape(a + 1, b + 1)
    return chosen


def _middle(shape: tuple[int, ...]) -> tuple[slice, ...]:
    """The middle part of an image, of at most `SIDE` pixels a side."""
    first = [max(0, (size - SIDE) // 2) for size in shape]
    return tuple(slice(start, start + SIDE) for start in first)


CUT_OFF = 0.9
"""Frequency over 1 / sigma, cycles, beyond which a Gaussian column has exp(-32) of its power."""
HIGHEST = 0.5
"""Largest frequency of a cut-off, cycles a pixel, that leaves enough beyond it."""
SPOT = 6.0
"""Powers over the median that count as this: eleven in a thousand of those of noise are higher."""
FLAT, DOUBTLESS = 0.02, 3.0
"""Correlation with a pixel nearby of white noise, at most, and the standard errors it may be
above."""


def white_beyond_optics(image: Array, sigma: float) -> float | None:
    """Variance of a pixel's noise, if it is the same at all frequencies that columns do not reach.

    Noise of the correlation ρ has the power 1 + 2 ρ(0, 1) cos 2πu + 2 ρ(1, 0) cos 2πv + 4 ρ(1, 1)
    cos 2πu cos 2πv and so on at the frequencies v, u along y and x (Wiener & Khinchin). Columns of
    the width sigma end at a cut-off; beyond it there is noise alone, whatever their fits leave
    over. Noise of low frequencies, as of a film under the crystal, is not seen there: then the
    residuals have more variance than this. None where the power is not the same, or where the
    cut-off leaves no frequencies beyond it.

    Parameters
    ----------
    image : (H, W) raw; pixels that are not finite count as the median.
    sigma : width of the columns, pixels.
    """
    cut = CUT_OFF / sigma
    if not cut <= HIGHEST:
        return None
    plane = image[_middle(image.shape)]
    plane = np.nan_to_num(plane - np.nanmedian(plane))
    window = np.outer(*(np.hanning(size + 2)[1:-1] for size in plane.shape))
    power = np.abs(np.fft.rfft2(plane * window)) ** 2
    v, u = np.fft.fftfreq(plane.shape[0])[:, None], np.fft.rfftfreq(plane.shape[1])[None]
    beyond = (np.hypot(v, u) > cut) & (u > 0) & (u < 0.5)
    along_y, along_x = (np.broadcast_to(np.cos(2 * np.pi * k), power.shape) for k in (v, u))
    terms = np.stack([along_y, along_x, along_y * along_x])[:, beyond].T
    terms = np.column_stack([np.ones(len(terms)), terms])
    # Spots of a crystal of high contrast, and the strips of its edges, reach beyond the cut-off.
    middle = float(np.median(power[beyond]))
    if not middle > 0:
        return None
    seen = np.minimum(power[beyond] / middle, SPOT)
    seen = seen / seen.mean()
    found, *_ = np.linalg.lstsq(terms, seen, rcond=None)
    # White noise has powers of deviation 1; the window leaves 4/9 of them independent.
    error = np.sqrt(np.diag(np.linalg.inv(terms.T @ terms)) * 9 / 4)
    limits = 2 * FLAT * np.array([1.0, 1.0, 2.0]) + DOUBTLESS * error[1:]
    if not np.all(np.abs(found[1:]) < limits):
        return None
    # Powers of white noise are exponentially distributed: the mean is the median over ln 2.
    return middle / float(np.log(2.0) * (window**2).sum())
