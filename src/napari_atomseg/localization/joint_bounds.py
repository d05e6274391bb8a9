"""Cramér–Rao bounds of columns whose light overlaps, from the Fisher matrix of all of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import ArrayLike

from napari_atomseg.localization.bounds import DARKEST, Bounds, check_noise
from napari_atomseg.localization.gaussian import volume_error
from napari_atomseg.localization.joint_blocks import fisher_blocks
from napari_atomseg.localization.joint_model import JointModel
from napari_atomseg.localization.joint_system import (
    BACKGROUNDS,
    WIDTHS,
    JointSystem,
    shared_parameters,
)
from napari_atomseg.localization.refine import check_choices, within_image
from napari_atomseg.localization.survey import survey


def overlapping_bounds(
    shape: tuple[int, int],
    y: ArrayLike,
    x: ArrayLike,
    amplitude: ArrayLike,
    sigma: ArrayLike,
    background: ArrayLike,
    *,
    widths: str = "free",
    backgrounds: str = "local",
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
    check_choices(widths=(widths, WIDTHS), backgrounds=(backgrounds, BACKGROUNDS))
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
    known = replace(survey(nothing, y.copy(), x.copy()), sigma=float(s.max()))
    model = JointModel(nothing, known)
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
