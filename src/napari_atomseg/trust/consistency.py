"""Statistical test whether a restored image, with noise, explains the raw image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, optimize
from scipy.special import erfc

from napari_atomseg._shared.objects import takes_images
from napari_atomseg._shared.types import Array, Image
from napari_atomseg.inference.frames import as_frames, compact, examine
from napari_atomseg.inference.scale import SPACING_PER_SCALE, estimate_spacing
from napari_atomseg.networks.tasks import RESTORATION
from napari_atomseg.progress import checkpoint, tell
from napari_atomseg.trust.correlation import NoiseCorrelation
from napari_atomseg.trust.noise import (
    REACH,
    NoiseModel,
    chi_square,
    estimate_noise,
    matched,
    variance_of_square,
)

SLOW = 8.0
"""Sigma of the filter that separates the background, in sigmas of a column."""
WIDEST = 2.0
"""Super-resolved columns are blurred by at most this many sigmas of a column."""


def expected_image(raw: Array, restored: Array, weight: Array, task: str, sigma: float) -> Array:
    """(H, W) mean of the raw image if the restored one is right.

    A denoised image is scaled and offset. Where the restoration removes the background, slow
    variations are added back, and a super-resolved image is blurred by the Gaussian that explains
    the raw image best.

    Parameters
    ----------
    raw, restored : (H, W) finite.
    weight : (H, W) weights of the pixels; 0 excludes one.
    task : "denoise", "denoise_background" or "superresolution".
    sigma : of a column in the raw image, pixels.
    """
    if task == "denoise":
        return _affine(raw, restored, weight)
    if task == "denoise_background":
        return _on_background(raw, restored, weight, sigma)

    def blurred(width: float) -> Array:
        soft = np.asarray(ndimage.gaussian_filter(restored, width), dtype=np.float64)
        return _on_background(raw, soft, weight, sigma)

    def misfit(width: float) -> float:
        return float((weight * (raw - blurred(width)) ** 2).sum())

    best = optimize.minimize_scalar(
        misfit, bounds=(0.0, WIDEST * sigma), method="bounded", options={"maxiter": 10}
    )
    width: float = best.x
    return blurred(width)


def line_offsets(residual: Array, weight: Array) -> Array:
    """(H, 1) offsets of scan lines.

    The weighted mean of each line, shrunk by the fraction of their variance that the noise of the
    pixels explains (James & Stein 1961): zero where that is all of it.

    Parameters
    ----------
    residual : (H, W) raw minus expected.
    weight : (H, W) inverse variance; 0 where there is no measurement.
    """
    total = weight.sum(axis=1, keepdims=True)
    mean = (weight * residual).sum(axis=1, keepdims=True) / np.where(total > 0, total, 1.0)
    noise = float((1.0 / total[total > 0]).mean()) if np.any(total > 0) else 0.0
    power = float((mean**2).mean())
    own = max(0.0, 1.0 - noise / power) if power > 0 else 0.0
    return np.asarray(own * mean, dtype=np.float64)


def _affine(raw: Array, restored: Array, weight: Array) -> Array:
    whole = max(float(weight.sum()), np.finfo(float).tiny)
    centre, level = (weight * restored).sum() / whole, (weight * raw).sum() / whole
    power = (weight * (restored - centre) ** 2).sum()
    common = (weight * (restored - centre) * (raw - level)).sum()
    scale = common / power if power > 0 else 0.0
    return np.asarray(level + scale * (restored - centre), dtype=np.float64)


def _on_background(raw: Array, restored: Array, weight: Array, sigma: float) -> Array:
    """Scale by the fast variations of both images, then add the slow part of the difference."""
    width = SLOW * sigma
    there = np.maximum(ndimage.gaussian_filter(weight, width), np.finfo(float).tiny)

    def slow(plane: Array) -> Array:
        return np.asarray(ndimage.gaussian_filter(weight * plane, width) / there, dtype=np.float64)

    fast, seen = restored - slow(restored), raw - slow(raw)
    power = (weight * fast**2).sum()
    scaled = restored * ((weight * fast * seen).sum() / power if power > 0 else 0.0)
    return np.asarray(scaled + slow(raw - scaled), dtype=np.float64)


SCALES = (2.0, 4.0, 8.0)
"""Sides of the windows of the local χ² over the sigma of a column."""
STRONG = 4.0
"""Places that deviate by more are reported: 60 of a million that are right."""
ROUNDS = 2
"""Alternating fits of scale, line offsets and noise."""
CLIPPED = 3.5
"""Standardised residuals beyond which a pixel shows something else than noise."""
QUARTILES = 1.349
"""Distance of a standard normal distribution's quartiles."""


@dataclass(frozen=True)
class Consistency:
    """Comparison of the raw image with the restored one at every pixel.

    Attributes
    ----------
    z : (..., H, W) standard normal where the restoration is right; negative where it has intensity
        that the raw image does not, such as an invented column, positive where intensity is
        missing, such as that of a removed column.
    residual : (..., H, W) raw minus expected over the standard deviation of the noise.
    misfit : (..., H, W) by side of the window (pixels): local χ², standard normal, positive where
        the difference exceeds the noise.
    expected : (..., H, W) mean of the raw image if the restored one is right; float64 where its
        offset is too large for float32.
    deviation : (..., H, W) standard deviation of the noise.
    noise : noise model of each frame.
    spread : interquartile range of z of each frame, over that of a standard normal distribution,
        before z was divided by it where it was above 1: restoration or noise then differ at the
        scale of the columns everywhere.
    sigma : width of a column, pixels: the scale of `z`.
    correlation : how far neighbouring pixels of each frame share their noise; not at all where the
        noise was given.
    """

    z: Image
    residual: Image
    misfit: dict[int, Image]
    expected: Image
    deviation: Image
    noise: tuple[NoiseModel, ...]
    spread: tuple[float, ...]
    sigma: float
    correlation: tuple[NoiseCorrelation, ...]

    @cached_property
    def p_value(self) -> Image:
        """(..., H, W) two-sided probability of a z as far from 0 where the restoration is right."""
        return np.asarray(erfc(np.abs(self.z) / np.sqrt(2.0)), dtype=np.float32)

    def summary(self) -> str:
        """Result in one sentence."""
        from scipy import ndimage

        flags = self.z.reshape(-1, *self.z.shape[-2:])
        added, missing = (
            sum(ndimage.label(frame)[1] for frame in side)
            for side in (flags < -STRONG, flags > STRONG)
        )
        if not added + missing:
            return f"the restored image explains the raw one (|z| < {STRONG:g} everywhere)"
        return (
            f"{added + missing} places differ from the raw image by more than {STRONG:g} σ: "
            f"{added} with too much, {missing} with too little intensity"
        )


@takes_images("image", "restored")
def consistency(
    image: Any,
    restored: Any,
    task: str = "denoise",
    *,
    noise: NoiseModel | None = None,
    sigma: float | None = None,
    scales: Sequence[float] = SCALES,
) -> Consistency:
    """Test a restored image against the raw one.

    The expected image is the restored one, scaled and offset (see `expected_image`); offsets of
    scan lines are removed, as a restoration does. The difference is standardised by the noise and
    tested at every pixel for intensity of the shape of a column, see `noise.matched`. The test
    does not detect displaced lines, whose difference is odd about a column.

    Parameters
    ----------
    image : (..., H, W) raw, as recorded: not filtered. Pixels that are NaN, hot or dead are
        ignored.
    restored : (..., H, W) the restored image, from `restore` or any other method.
    task : "denoise", "denoise_background" or "superresolution": the kind of restoration.
    noise : noise model of independent pixels, where gain and readout noise are known; by default
        estimated from the pair, frame by frame, with the correlation of neighbouring pixels, and z
        then divided by its spread where that is still above 1.
    sigma : width of a column, pixels; by default estimated from the restored image.
    scales : sides of the windows of `Consistency.misfit` over sigma; none leaves it out.

    Raises
    ------
    ValueError, TypeError
        An argument is wrong; the message names it.
    """
    if task not in RESTORATION:
        raise ValueError(f"task={task!r}; choose one of {', '.join(RESTORATION)}")
    if sigma is not None and not sigma > 0:
        raise ValueError(f"sigma={sigma!r} must be positive, pixels")
    examined = examine(image)
    shape = examined.shape
    made, other = as_frames(restored)
    if shape != other:
        raise ValueError(f"image has shape {shape} but restored has shape {other}")
    exact, valid = examined.frames.astype(np.float64), ~examined.out
    if sigma is None:
        sigma = estimate_spacing(made[len(made) // 2]) / SPACING_PER_SCALE
    tests = [
        _Test(frame, guess.astype(np.float64), there, task, noise, sigma)
        for frame, guess, there in zip(exact, made, valid, strict=True)
    ]
    sides = [2 * round(scale * sigma / 2) + 1 for scale in scales]

    def whole(planes: list[Array]) -> Image:
        return compact(np.stack(planes)).reshape(shape)

    return Consistency(
        whole([test.z for test in tests]),
        whole([test.residual for test in tests]),
        {side: whole([test.misfit(side) for test in tests]) for side in sides},
        whole([test.expected for test in tests]),
        whole([np.sqrt(test.variance) for test in tests]),
        tuple(test.noise for test in tests),
        tuple(test.spread for test in tests),
        sigma,
        tuple(test.correlation for test in tests),
    )


class _Test:
    """Test of one frame."""

    def __init__(
        self,
        raw: Array,
        restored: Array,
        valid: NDArray[np.bool_],
        task: str,
        noise: NoiseModel | None,
        sigma: float,
    ) -> None:
        self.valid = valid
        window = 2 * round(SCALES[-1] * sigma / 2) + 1
        weight = valid.astype(np.float64)
        lines: Array = np.zeros((len(raw), 1))
        # The weights follow from the noise, and the noise from the residual of the weighted fit.
        found: NoiseModel | None = None
        for number in range(ROUNDS):
            tell("Comparing the restored image with the recorded one", number / (ROUNDS + 1))
            mean = expected_image(raw - lines, restored, weight, task, sigma)
            found = noise or estimate_noise(mean, raw - lines - mean, valid, window, found)
            self.noise = found
            self.variance, self.shot = self.noise.variance(mean), self.noise.shot(mean)
            weight = valid / self.variance
            lines = line_offsets(raw - mean, weight)
        tell("Comparing the restored image with the recorded one", ROUNDS / (ROUNDS + 1))
        self.expected = mean + lines
        left = np.where(valid, raw - self.expected, 0.0)
        self.residual = left / np.sqrt(self.variance)
        self.correlation = NoiseCorrelation() if noise else self._correlation(window)
        checkpoint()
        z = matched(left, weight, sigma) / np.sqrt(max(1.0, column_excess(self.correlation, sigma)))
        low, high = np.percentile(z[valid], (25, 75)) if valid.any() else (0.0, 0.0)
        self.spread = float(high - low) / QUARTILES
        self.z = z / max(1.0, self.spread) if noise is None else z

    def misfit(self, side: int) -> Array:
        """Local χ² as a standard normal number."""
        checkpoint()
        spread = variance_of_square(self.noise.gain, self.shot, self.variance)
        return chi_square(self.residual, spread * self.correlation.patch, self.valid, side)

    def _correlation(self, window: int) -> NoiseCorrelation:
        """Of the residuals where the restoration explains the image."""
        spread = variance_of_square(self.noise.gain, self.shot, self.variance)
        explained = self.valid & (chi_square(self.residual, spread, self.valid, window) < STRONG)
        if explained.sum() < 0.5 * self.valid.sum():
            explained = self.valid
        return NoiseCorrelation.of(np.clip(self.residual, -CLIPPED, CLIPPED), explained)


def column_excess(correlation: NoiseCorrelation, sigma: float, *, reach: float = REACH) -> float:
    """Variance of the sum of noise times a Gaussian of width sigma, over that of white noise."""
    half = int(np.ceil(reach * sigma))
    line = np.exp(-0.5 * (np.arange(-half, half + 1) / sigma) ** 2)
    return correlation.excess(np.multiply.outer(line, line))
