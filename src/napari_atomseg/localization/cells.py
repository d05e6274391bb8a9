"""The pixels that a fit of single columns sees: the data without the neighbours' light."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from napari_atomseg.localization.elliptic import column_values
from napari_atomseg.localization.noise import NoiseModel
from napari_atomseg.localization.windows import Windows

PRIOR_FREEDOM = 30.0
"""Degrees of freedom with which the noise of the whole image speaks for a single column."""


@dataclass(frozen=True)
class Cells:
    """Pixels of n columns: the data without the neighbours' light, and that light."""

    windows: Windows
    data: Tensor
    neighbours: Tensor


def linear_guess(cells: Cells, place: Tensor, sigma: float) -> Tensor:
    """Amplitude and background by linear least squares, with the typical width at the start."""
    windows, data = cells.windows, cells.data
    wide = torch.full_like(place[:, :1], math.log(sigma))
    unit = torch.cat([place, wide, torch.ones_like(wide), torch.zeros_like(wide)], dim=1)
    shape = column_values(unit, windows.step) * windows.inside
    pixels = windows.inside.sum((1, 2)).clamp_min(1)
    mean, level = shape.sum((1, 2)) / pixels, data.sum((1, 2)) / pixels
    spread = (shape**2).sum((1, 2)) / pixels - mean**2
    common = (shape * data).sum((1, 2)) / pixels - mean * level
    amplitude = common / spread.clamp_min(1e-12)
    return torch.cat([unit[:, :3], amplitude[:, None], (level - amplitude * mean)[:, None]], dim=1)


def excess(cells: Cells, theta: Tensor, noise: NoiseModel) -> Tensor:
    """(n,) factors by which columns are noisier than the image; pixels at the floor do not say."""
    values = column_values(theta, cells.windows.step)
    variance = noise.variance(values + cells.neighbours)
    telling = cells.windows.inside & (variance > noise.floor)
    chi = ((cells.data - values) ** 2 / variance).masked_fill_(~telling, 0.0).sum((1, 2))
    freedom = (telling.sum((1, 2)) - theta.shape[1]).clamp_min(0)
    return moderated(torch.where(freedom > 0, chi, 0.0), freedom)


def moderated(chi: Tensor, freedom: Tensor) -> Tensor:
    """χ² for one degree of freedom, drawn towards 1 where little is known."""
    return (chi + PRIOR_FREEDOM) / (freedom + PRIOR_FREEDOM)
