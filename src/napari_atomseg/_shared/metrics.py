"""Measures of how close an image is to the true one."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from skimage.metrics import structural_similarity

from napari_atomseg._shared.types import Array


def psnr(
    image: ArrayLike, truth: ArrayLike, affine: bool = False, *, peak: float | None = None
) -> float:
    """Peak signal-to-noise ratio in dB, 20 log10(peak / rms error).

    Parameters
    ----------
    image, truth : arrays of one shape; NaN pixels of either are left out.
    affine : first fit ``a * image + b`` to `truth` by least squares, so that images in arbitrary
        units of intensity can be compared.
    peak : in the units of `truth`; by default its range.

    Returns
    -------
    Infinite where the images agree exactly; NaN where the peak is not above zero.

    Raises
    ------
    ValueError
        If the shapes differ or no pixel is finite in both.
    """
    tested, known = _pair(image, truth)
    valid = np.isfinite(tested) & np.isfinite(known)
    if not valid.any():
        raise ValueError("image and truth share no finite pixel")
    if affine:
        tested = _matched(tested, known, valid)
    away = tested - known
    error = float(np.sqrt(np.mean((away if valid.all() else away[valid]) ** 2)))
    height = float(np.ptp(known[valid])) if peak is None else peak
    if height <= 0.0:
        return float("nan")
    return float("inf") if error == 0.0 else 20.0 * float(np.log10(height / error))


def ssim(image: ArrayLike, truth: ArrayLike, affine: bool = False) -> float:
    """Structural similarity (Wang et al. 2004) of two finite 2-D images, at most 1.

    Parameters
    ----------
    image, truth : (H, W), at least 7 × 7.
    affine : as in `psnr`.

    Raises
    ------
    ValueError
        If the shapes differ, a pixel is not finite or `truth` is constant.
    """
    tested, known = _pair(image, truth)
    valid = np.isfinite(tested) & np.isfinite(known)
    if not valid.all():
        raise ValueError("image and truth must be finite everywhere")
    if np.ptp(known) == 0.0:
        raise ValueError("truth must not be constant")
    if affine:
        tested = _matched(tested, known, valid)
    return float(structural_similarity(tested, known, data_range=np.ptp(known)))


def _pair(image: ArrayLike, truth: ArrayLike) -> tuple[Array, Array]:
    tested, known = np.asarray(image, dtype=np.float64), np.asarray(truth, dtype=np.float64)
    if tested.shape != known.shape:
        raise ValueError(f"image has shape {tested.shape} but truth has shape {known.shape}")
    return tested, known


def _matched(tested: Array, known: Array, valid: NDArray[np.bool_]) -> Array:
    offset, target = tested[valid].mean(), known[valid].mean()
    variance = np.mean((tested[valid] - offset) ** 2)
    covariance = np.mean((tested[valid] - offset) * (known[valid] - target))
    gain = covariance / variance if variance > 0 else 0.0
    matched: Array = gain * (tested - offset) + target
    return matched
