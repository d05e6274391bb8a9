"""Cramér–Rao bounds of an isolated Gaussian column."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from napari_atomseg.localization.gaussian import GaussianProblem, gaussian_values, volume_error
from napari_atomseg.localization.least_squares import covariance

Vector = NDArray[np.float64]

REACH = 5.0
"""Half width of the pixels counted, over sigma: beyond lies less than a millionth of the light."""
DARKEST = 1e-9
"""Expected counts are not less than this fraction of the peak, or a bound would divide by zero."""


@dataclass(frozen=True)
class Bounds:
    """Smallest standard errors of unbiased estimates, each of the shape of the parameters."""

    y: Vector
    x: Vector
    sigma: Vector
    amplitude: Vector
    background: Vector
    volume: Vector


def cramer_rao_bounds(
    amplitude: ArrayLike,
    sigma: ArrayLike,
    background: ArrayLike,
    *,
    gain: float | None = 1.0,
    deviation: float = 0.0,
    offset: tuple[float, float] = (0.0, 0.0),
) -> Bounds:
    """Bounds for one Gaussian on a constant background, from the Fisher information of its pixels.

    All five parameters (position, sigma, amplitude, background) are unknown together, and the
    column is far from others (den Dekker et al., Ultramicroscopy 104, 83 (2005), Eqs. 8–13, for
    this model).

    Parameters
    ----------
    amplitude, background : intensity, broadcast together; amplitude > 0.
    sigma : pixels, > 0.
    gain : intensity of one electron: pixels have the variance ``gain * expected`` of shot noise.
        None for no shot noise.
    deviation : standard deviation of further normal noise of a pixel, in units of intensity.
    offset : position of the column relative to the centre of a pixel.

    Raises
    ------
    ValueError
        There is no noise, or a parameter is out of range.
    """
    a, s, b = np.broadcast_arrays(*(np.asarray(v, float) for v in (amplitude, sigma, background)))
    check_noise(a, s, b, gain, deviation)
    half = max(2, math.ceil(REACH * float(s.max(initial=0.0))))
    step = torch.arange(-half, half + 1, dtype=torch.float64)
    place = np.full((a.size, 2), offset)
    columns = np.column_stack([place, np.log(s).ravel(), a.ravel(), b.ravel()])
    theta = torch.from_numpy(columns)
    expected = gaussian_values(theta, step)
    shot = (
        0.0 if gain is None else gain * torch.maximum(expected, DARKEST * theta[:, 3, None, None])
    )
    weight = torch.ones_like(expected) / (shot + deviation**2)
    every = torch.ones(len(theta), dtype=torch.bool)
    problem = GaussianProblem(step, expected, weight, every)
    fisher = problem(theta, torch.arange(len(theta))).matrix
    inverse = covariance(fisher)
    error = inverse.diagonal(dim1=1, dim2=2).sqrt().numpy()
    width, height = theta[:, 2].exp(), theta[:, 3]
    volume = volume_error(width, height, inverse[:, 2:4, 2:4]).numpy()
    y, x, log_sigma, top, ground = error.T
    rows = (y, x, log_sigma * s.ravel(), top, ground, volume)
    return Bounds(*(row.reshape(a.shape) for row in rows))


def check_noise(a: Vector, s: Vector, b: Vector, gain: float | None, deviation: float) -> None:
    """Raise ValueError for amplitudes, widths or backgrounds that cannot be, or for no noise."""
    if not (np.all(a > 0) and np.all(s > 0)):
        raise ValueError("amplitude and sigma must be positive")
    if deviation < 0 or (gain is None and deviation == 0) or (gain is not None and gain <= 0):
        raise ValueError(f"gain={gain!r} and deviation={deviation!r} do not describe a noise")
    if gain is not None and np.any(b < 0):
        raise ValueError("background must not be negative under shot noise")
