"""The loss of displacements of scan lines with their uncertainties."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from napari_atomseg.training.losses.base import full_precision, loss

SMALLEST, LARGEST = -6.0, 2.0
"""Logarithms of standard deviations (px) are taken within these."""
Balance = Annotated[float, Field(ge=0.0, le=1.0)]


def line_residuals(prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Errors of displacements without what no image shows, and their stated deviations.

    An image of moved lines is also that of a specimen moved, sheared or stretched as a whole: a
    constant displacement and one that grows evenly from line to line are unknowable. The line
    a + b k that fits the errors best, each weighted by its stated variance, is therefore taken
    away from them: nobody is asked for it, and nobody rewarded.

    Parameters
    ----------
    prediction : (B, 2 n, H, W) n displacements, then the logarithms of their deviations, px.
    target : the same shape, true displacements and channels that mean nothing.

    Returns
    -------
    (B, n, H) errors, (B, n, H) logarithms of deviations, and (B, n) logarithm of the determinant
    of the weighted normal equations of a and b.
    """
    prediction, target = full_precision(prediction, target)
    count = prediction.shape[1] // 2
    made, true = prediction.mean(dim=3), target.mean(dim=3)
    error, spread = made[:, :count] - true[:, :count], made[:, count:].clamp(SMALLEST, LARGEST)
    weight = torch.exp(-2.0 * spread)
    line = torch.linspace(-1.0, 1.0, error.shape[2], device=error.device, dtype=error.dtype)
    zeroth, first, second = (weight.sum(2), (weight * line).sum(2), (weight * line**2).sum(2))
    flat, tilted = (weight * error).sum(2), (weight * error * line).sum(2)
    determinant = (zeroth * second - first**2).clamp_min(1e-9)
    offset = (second * flat - first * tilted) / determinant
    slope = (zeroth * tilted - first * flat) / determinant
    error = error - offset[..., None] - slope[..., None] * line
    return error, spread, determinant.log()


@loss("line_shifts", "likelihood of line shifts", takes="shifts")
def line_shift_loss(prediction: Tensor, target: Tensor, balance: Balance = 0.5) -> Tensor:
    """Negative log likelihood of the displacements of scan lines, but for what no image shows.

    Mean over lines of σ^(2β) [e² / 2σ² + ln σ], with e the errors of `line_residuals`, β the
    `balance` and σ^(2β) without a gradient, which gives easy and hard images a say alike (Seitzer
    et al., ICLR 2022). Offset and slope are integrated over evenly, which adds half the
    logarithm of the determinant of their normal equations (Rasmussen & Williams 2006, Eq. 2.45).

    Parameters
    ----------
    prediction, target : (B, 2 n, H, W), see `line_residuals`.
    """
    error, spread, determinant = line_residuals(prediction, target)
    each = 0.5 * (error * torch.exp(-spread)).square() + spread
    each = each + 0.5 * determinant[..., None] / error.shape[2]
    return (torch.exp(2.0 * balance * spread.detach()) * each).mean()
