"""The average of frames that lie on each other, its standard error, and how noise is shared."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from napari_atomseg._shared.types import Array, Mask
from napari_atomseg.alignment.placing import Canvas, Motion, placed
from napari_atomseg.progress import CancelToken, Progress, report
from napari_atomseg.trust.correlation import (
    LAGS,
    SIDE,
    NoiseCorrelation,
    lagged_products,
    shared_moments,
)

NOISE_FRAMES = 8
"""Frames whose differences from the average show how far pixels share their noise."""
EVEN = 2.0
"""Pixels over which the variance of the frames is averaged to compare their differences."""


@dataclass(frozen=True)
class Average:
    """A weighted average on a canvas.

    Attributes
    ----------
    image : (H, W) float64, NaN where no frame saw the field.
    error : (H, W) its standard error from the scatter of the frames, NaN where fewer than two saw
        the field.
    frames : (H, W) effective number of frames, (Σ w)² / Σ w²: the variance of the average is that
        of one frame over this.
    noise : how far neighbouring pixels share the noise.
    """

    image: Array
    error: Array
    frames: Array
    noise: NoiseCorrelation


def averaged(
    frames: Array,
    out: Mask,
    motions: list[Motion],
    weights: Array,
    gains: Array,
    canvas: Canvas,
    *,
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
) -> Average:
    """Average frames (N, H, W) at their places.

    The noise that neighbouring pixels share, after interpolation and as it was recorded, is seen in
    the differences of frames from the average, which hold no specimen.

    Parameters
    ----------
    out : (N, H, W) pixels that do not count.
    weights : (N,) of the frames, 0 for those that are left out.
    gains : (N,) contrast of each frame over that of the average; frames are divided by it.
    """
    number = np.flatnonzero(weights > 0)
    level = float(np.median(frames[number[0]]))
    total, squares, sum1, sum2 = (np.zeros(canvas.shape) for _ in range(4))
    for done, k in enumerate(number):
        report(progress, cancel, done, len(number), "Averaging frames")
        plane, seen = placed(frames[k], out[k], motions[k], canvas)
        plane, weight = plane / gains[k] - level, weights[k] * seen
        total += weight * plane
        squares += weight * plane**2
        sum1 += weight
        sum2 += weight**2
    there = sum1 > 0
    mean = np.where(there, total, np.nan) / np.where(there, sum1, 1.0)
    often = sum1**2 / np.where(there, sum2, 1.0)
    free = often > 1.0 + 1e-9
    variance = np.where(free, squares - sum1 * np.where(there, mean, 0.0) ** 2, np.nan)
    left = sum1 * (1.0 - 1.0 / np.where(free, often, 2.0))
    variance = np.maximum(variance, 0.0) / np.where(free, left, 1.0)
    error = np.sqrt(variance / np.where(free, often, 1.0))
    noise = _shared_noise(frames, out, motions, weights, gains, canvas, mean + level, variance)
    return Average(mean + level, error, np.where(there, often, 0.0), noise)


def _shared_noise(
    frames: Array,
    out: Mask,
    motions: list[Motion],
    weights: Array,
    gains: Array,
    canvas: Canvas,
    mean: Array,
    variance: Array,
) -> NoiseCorrelation:
    """How far pixels share the noise: of the frames' differences from their average."""
    known = np.isfinite(variance)
    if not known.any():
        return NoiseCorrelation()
    part = ndimage.gaussian_filter(known.astype(np.float64), EVEN)
    smooth = ndimage.gaussian_filter(np.where(known, variance, 0.0), EVEN)
    deviation = np.sqrt(smooth / np.maximum(part, 1e-6))
    known &= deviation > 0
    middle = tuple(
        slice(max(0, (side - SIDE) // 2), max(0, (side - SIDE) // 2) + SIDE)
        for side in canvas.shape
    )
    number = np.flatnonzero(weights > 0)
    products = np.zeros((LAGS + 1, LAGS + 1))
    pairs = np.zeros((LAGS + 1, LAGS + 1))
    for k in number[:: -(-len(number) // NOISE_FRAMES)]:
        plane, seen = placed(frames[k], out[k], motions[k], canvas)
        used = (seen & known)[middle]
        off = (plane / gains[k] - mean)[middle] / np.where(used, deviation[middle], 1.0)
        off = np.where(used, off, 0.0)
        # The average follows the frame's own noise by its share of the weights.
        amount = float(weights[k] ** 2)
        products += amount * lagged_products(off[None])
        pairs += amount * lagged_products(used.astype(np.float64)[None])
    scale = 1.0 / max(float(weights[number].max()) ** 2, 1e-300)
    found = shared_moments(scale * products, np.diag(scale * pairs.ravel()))
    return NoiseCorrelation() if found is None else NoiseCorrelation.from_moments(found)


def frame_noise(
    frames: Array, out: Mask, motions: list[Motion], kept: Mask, canvas: Canvas
) -> tuple[Array, Array]:
    """Contrast (N,) of frames over that of their mean, and the variance (N,) of their noise.

    The noise is what a frame has beside its contrast times the mean of the others, in units of the
    mean's contrast.
    """
    number = np.flatnonzero(kept)
    planes = {k: placed(frames[k], out[k], motions[k], canvas) for k in number}
    total = sum(np.where(seen, plane, 0.0) for plane, seen in planes.values())
    often = sum(seen.astype(np.float64) for _, seen in planes.values())
    gains, noise = np.ones(len(frames)), np.ones(len(frames))
    for k, (plane, seen) in planes.items():
        others = often - seen
        used = seen & (others > 0.5)
        mean = ((total - plane)[used]) / others[used]
        own = plane[used] - plane[used].mean()
        mean = mean - mean.mean()
        gains[k] = float((own * mean).sum() / (mean**2).sum())
        noise[k] = float((own - gains[k] * mean).var())
    gains[number] /= gains[number].mean()
    noise /= gains**2
    share = 1.0 / max(1, len(number) - 1) ** 2
    if share < 1.0:
        # The mean of the others has noise of its own: (Σ v - v) / (n - 1)² is in what differs.
        total_noise = noise[number].sum() / (1.0 - share + len(number) * share)
        noise[number] = (noise[number] - share * total_noise) / (1.0 - share)
    return gains, np.maximum(noise, 1e-3 * noise[number].max())
