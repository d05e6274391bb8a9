"""From a restored image back to the mean of the raw one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, optimize

Plane = NDArray[np.float64]

SLOW = 8.0
"""Sigma, over that of a column, of what counts as background where a restoration removes it."""
WIDEST = 2.0
"""Super-resolved columns are blurred by at most this many sigmas of a column."""


def expected_image(raw: Plane, restored: Plane, weight: Plane, task: str, sigma: float) -> Plane:
    """(H, W) mean of the raw image if the restored one is right.

    That is a scale and an offset of a denoised image; where the restoration removes the
    background, what varies slowly is given back, and a super-resolved image is blurred by the
    Gaussian that explains the raw image best.

    Parameters
    ----------
    raw, restored : (H, W) finite.
    weight : (H, W) of the pixels; 0 leaves one out.
    task : "denoise", "denoise_background" or "superresolution".
    sigma : of a column in the raw image, pixels.
    """
    if task == "denoise":
        return _affine(raw, restored, weight)
    if task == "denoise_background":
        return _on_background(raw, restored, weight, sigma)

    def blurred(width: float) -> Plane:
        soft = np.asarray(ndimage.gaussian_filter(restored, width), dtype=np.float64)
        return _on_background(raw, soft, weight, sigma)

    def misfit(width: float) -> float:
        return float((weight * (raw - blurred(width)) ** 2).sum())

    best = optimize.minimize_scalar(
        misfit, bounds=(0.0, WIDEST * sigma), method="bounded", options={"maxiter": 10}
    )
    width: float = best.x
    return blurred(width)


def line_offsets(residual: Plane, weight: Plane) -> Plane:
    """(H, 1) offsets of scan lines.

    The weighted mean of each line, shrunk by the part of their variance that the noise of the
    pixels explains (James & Stein 1961): nothing where lines have no offsets of their own.

    Parameters
    ----------
    residual : (H, W) raw minus expected.
    weight : (H, W) inverse variance; 0 where nothing was measured.
    """
    total = weight.sum(axis=1, keepdims=True)
    mean = (weight * residual).sum(axis=1, keepdims=True) / np.where(total > 0, total, 1.0)
    noise = float((1.0 / total[total > 0]).mean()) if np.any(total > 0) else 0.0
    power = float((mean**2).mean())
    own = max(0.0, 1.0 - noise / power) if power > 0 else 0.0
    return np.asarray(own * mean, dtype=np.float64)


def _affine(raw: Plane, restored: Plane, weight: Plane) -> Plane:
    whole = max(float(weight.sum()), np.finfo(float).tiny)
    centre, level = (weight * restored).sum() / whole, (weight * raw).sum() / whole
    power = (weight * (restored - centre) ** 2).sum()
    common = (weight * (restored - centre) * (raw - level)).sum()
    scale = common / power if power > 0 else 0.0
    return np.asarray(level + scale * (restored - centre), dtype=np.float64)


def _on_background(raw: Plane, restored: Plane, weight: Plane, sigma: float) -> Plane:
    """Scale by what varies fast on both sides, then add what is slow in the difference."""
    width = SLOW * sigma
    there = np.maximum(ndimage.gaussian_filter(weight, width), np.finfo(float).tiny)

    def slow(plane: Plane) -> Plane:
        return np.asarray(ndimage.gaussian_filter(weight * plane, width) / there, dtype=np.float64)

    fast, seen = restored - slow(restored), raw - slow(raw)
    power = (weight * fast**2).sum()
    scaled = restored * ((weight * fast * seen).sum() / power if power > 0 else 0.0)
    return np.asarray(scaled + slow(raw - scaled), dtype=np.float64)
