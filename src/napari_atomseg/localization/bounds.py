"""Cramér–Rao bounds of columns whose light overlaps, from the Fisher matrix of all of them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike

from napari_atomseg._shared.types import Array
from napari_atomseg.localization.fit.gaussian import GaussianProblem, gaussian_values, volume_error
from napari_atomseg.localization.fit.joint.model import JointModel, fisher_blocks
from napari_atomseg.localization.fit.joint.system import (
    JointSystem,
    shared_parameters,
)
from napari_atomseg.localization.fit.least_squares import covariance
from napari_atomseg.localization.fit.refinement import within_image
from napari_atomseg.localization.fit.windows import initial_estimates
from napari_atomseg.localization.settings import Backgrounds, FitSettings, Widths

REACH = 5.0
"""Half width of the pixels counted, over sigma: beyond lies less than a millionth of the light."""
DARKEST = 1e-9
"""Expected counts are not less than this fraction of the peak, or a bound would divide by zero."""


@dataclass(frozen=True)
class Bounds:
    """Smallest standard errors of unbiased estimates, each of the shape of the parameters."""

    y: Array
    x: Array
    sigma: Array
    amplitude: Array
    background: Array
    volume: Array


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


def check_noise(a: Array, s: Array, b: Array, gain: float | None, deviation: float) -> None:
    """Raise ValueError for amplitudes, widths or backgrounds that cannot be, or for no noise."""
    if not (np.all(a > 0) and np.all(s > 0)):
        raise ValueError("amplitude and sigma must be positive")
    if deviation < 0 or (gain is None and deviation == 0) or (gain is not None and gain <= 0):
        raise ValueError(f"gain={gain!r} and deviation={deviation!r} do not describe a noise")
    if gain is not None and np.any(b < 0):
        raise ValueError("background must not be negative under shot noise")


def overlapping_bounds(
    shape: tuple[int, int],
    y: ArrayLike,
    x: ArrayLike,
    amplitude: ArrayLike,
    sigma: ArrayLike,
    background: ArrayLike,
    *,
    widths: Widths = "free",
    backgrounds: Backgrounds = "local",
    gain: float | None = 1.0,
    deviation: float = 0.0,
) -> Bounds:
    """Bounds of all columns of an image, unknown together as in a joint fit.

    Each column has an unknown position, amplitude and width, or one width is shared by all; the
    background is unknown in the cell of each (the pixels nearer to it than to any other, within
    3.5 sigma), or the same in all. Where columns overlap, a bound lies above that of
    `cramer_rao_bounds`: neighbours add noise and must be told apart. The Fisher matrix is sparse;
    see `JointSystem.covariance`.

    Parameters
    ----------
    shape : (H, W) of the image; pixels beyond do not count.
    y, x : (N,) positions, pixels.
    amplitude, sigma, background : (N,) or one for all; intensity, pixels, intensity, the last that
        of each cell. Amplitude and sigma > 0.
    widths : "free", or "shared" by all; then `sigma` must be one number or equal ones.
    backgrounds : "local", or "shared" by all; then `background` must be so, too.
    gain, deviation : as in `cramer_rao_bounds`.

    Returns
    -------
    Arrays (N,); `sigma` and `background` are those of each column, or of what all share. NaN for
    columns beyond the image, whose light does not count.

    Raises
    ------
    ValueError
        There is no noise, or a parameter is out of range.
    """
    FitSettings(widths=widths, backgrounds=backgrounds)  # raises for anything else
    values = np.broadcast_arrays(
        *(np.atleast_1d(np.asarray(v, float)) for v in (y, x, sigma, amplitude, background))
    )
    y, x, s, a, b = values
    check_noise(a, s, b, gain, deviation)
    for name, choice, each in (("sigma", widths, s), ("background", backgrounds, b)):
        if choice == "shared" and np.ptp(each) > 0:
            raise ValueError(f"{name} from {each.min()} to {each.max()} cannot be shared")
    inside = within_image(shape, y, x)
    bounds = np.full((6, len(y)), np.nan)
    y, x, s, a, b = (v[inside] for v in values)
    if not len(y):
        return Bounds(*bounds)
    theta = torch.from_numpy(np.stack([y, x, np.log(s), a, b], axis=1))
    nothing = torch.zeros(shape, dtype=theta.dtype)
    initial = replace(initial_estimates(nothing, y.copy(), x.copy()), sigma=float(s.max()))
    model = JointModel(nothing, initial)
    expected = model.render(theta)
    shot = 0.0 if gain is None else gain * expected.clamp_min(DARKEST * float(a.max()))
    weight = model.used / (shot + deviation**2)
    own, cross = fisher_blocks(model, theta, weight)
    shared = shared_parameters(widths, backgrounds)
    spread = JointSystem(own, cross, model.pairs, shared).covariance()
    error = spread.diagonal(dim1=1, dim2=2).sqrt().numpy().T
    volume = volume_error(theta[:, 2].exp(), theta[:, 3], spread[:, 2:4, 2:4]).numpy()
    bounds[:, inside] = [error[0], error[1], error[2] * s, error[3], error[4], volume]
    return Bounds(*bounds)


NEEDED = ("y", "x", "amplitude", "sigma", "background")
NAMES = ("y", "x", "sigma", "amplitude", "background", "volume")


def column_bounds(
    columns: pd.DataFrame,
    shape: tuple[int, int] | None = None,
    *,
    widths: Widths = "free",
    backgrounds: Backgrounds = "local",
    gain: float | None = 1.0,
    deviation: float = 0.0,
) -> pd.DataFrame:
    """Smallest standard errors that unbiased estimates of a table's columns could have.

    Parameters
    ----------
    columns : table with `y`, `x`, `amplitude`, `sigma` and `background`, as of `localize`.
    shape : (H, W) of the image: bounds of all columns together, whose light overlaps, as by
        `overlapping_bounds`. None for those of each alone, in the middle of an empty image, as by
        `cramer_rao_bounds`.
    widths, backgrounds : of columns together, as for `overlapping_bounds`; shared ones have their
        mean.
    gain, deviation : noise, as for `cramer_rao_bounds`.

    Returns
    -------
    The table with ``y_bound``, ``x_bound``, ``sigma_bound``, ``amplitude_bound``,
    ``background_bound`` and ``volume_bound``; NaN where a column was not measured, is not
    brighter than its background, or lies beyond the image.

    Raises
    ------
    ValueError
        The table lacks something, holds several frames, or there is no noise.
    """
    missing = [name for name in NEEDED if name not in columns]
    if missing:
        raise ValueError(f"bounds need {', '.join(missing)}: run Localize with a Gaussian fit")
    if shape is not None and "frame" in columns and columns["frame"].nunique() > 1:
        raise ValueError("columns are of several frames; choose one")
    y, x, a, s, b = (columns[name].to_numpy(dtype=np.float64, na_value=np.nan) for name in NEEDED)
    known = np.isfinite([y, x, a, s, b]).all(axis=0) & (a > 0) & (s > 0)
    y, x, a, s, b = (values[known] for values in (y, x, a, s, b))
    if gain is not None:
        # A fitted background may fall below zero, the expected number of electrons cannot.
        b = np.maximum(b, 0.0)
    if shape is None:
        found: Bounds = cramer_rao_bounds(a, s, b, gain=gain, deviation=deviation)
    else:
        if widths == "shared":
            s = np.full_like(s, s.mean() if len(s) else np.nan)
        if backgrounds == "shared":
            b = np.full_like(b, b.mean() if len(b) else np.nan)
        found = overlapping_bounds(
            *(shape, y, x, a, s, b),
            widths=widths,
            backgrounds=backgrounds,
            gain=gain,
            deviation=deviation,
        )
    result = columns.copy()
    for name in NAMES:
        result[f"{name}_bound"] = np.nan
        result.loc[known, f"{name}_bound"] = getattr(found, name)
    return result
