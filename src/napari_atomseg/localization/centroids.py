"""Intensity-weighted centres in the cells of columns, or in windows about them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from napari_atomseg.localization.fits import Fits
from napari_atomseg.localization.survey import CELL, Vector, on, shares, survey, windows_of
from napari_atomseg.localization.windows import Windows, cut_windows

DARKEST = 0.25
"""The part of a window's pixels that are taken for background; their mean is subtracted."""
WINDOW = 0.4
"""Radius of the window of a centre of mass over the distance to the nearest column."""
ROUNDS = 10
"""A window that is put about its centre of mass again moves hardly at all after so many times."""


def centroids(image: Tensor, y: Vector, x: Vector) -> Fits:
    """Centre of intensity of each column in the pixels nearer to it than to any other.

    Windows are those of `fit_gaussians`; the mean of the darkest quarter of the pixels is the
    background. Sigma is the root of half the second moment and amplitude that of the Gaussian of
    the same volume; errors are not estimated.

    Parameters
    ----------
    image : (H, W) float64 of bright columns; NaN pixels do not count.
    y, x : (N,) float64 starting positions, pixels.
    """
    table = np.full((7, len(y)), np.nan)
    for share, windows in windows_of(image, survey(image, y, x)):
        table[:, share] = _measured(windows, image)
    return Fits.of(table, y, x)


def centres_of_mass(image: Tensor, y: Vector, x: Vector) -> Fits:
    """Centre of intensity of each column in a disc about itself, as Atomap finds it.

    The disc has 0.4 times the radius of the way to the nearest column and is put about its centre
    again and again (Nord et al., Adv. Struct. Chem. Imaging 3, 9 (2017)). Neighbours' light hardly
    reaches it; the column's own is cut, so that sigma, amplitude and volume are those of the disc.

    Parameters
    ----------
    image, y, x : as in `centroids`.
    """
    known = survey(image, y, x)
    radius = np.maximum(WINDOW / CELL * known.radius, 1.5)
    table = np.full((7, len(y)), np.nan)
    at = np.stack([y, x])
    for _ in range(ROUNDS):
        for share in shares(np.arange(len(y)), radius):
            there = [on(image, v[share]) for v in (*at, radius)]
            windows = cut_windows(image, there[0], there[1], there[2])
            table[:, share] = _measured(windows, image)
        far = np.hypot(*(table[:2] - np.stack([y, x]))) > known.step
        table[:, far] = np.nan
        at = np.where(np.isnan(table[:2]), at, table[:2])
    return Fits.of(table, y, x)


def _measured(windows: Windows, image: Tensor) -> Vector:
    """Rows of `Fits` (7, n) from the moments of the light above the background; NaN for none."""
    inside = windows.inside.flatten(1)
    values = windows.sample(image).flatten(1)
    ranked = values.masked_fill(~inside, torch.inf).sort(dim=1).values
    pixels = inside.sum(1)
    dark = (DARKEST * pixels).ceil().long().clamp_min(1)
    lowest = torch.arange(values.shape[1], device=values.device) < dark[:, None]
    ground = ranked.masked_fill(~lowest, 0.0).sum(1) / dark
    light = (values - ground[:, None]).clamp_min(0.0).masked_fill(~inside, 0.0)
    volume = light.sum(1)
    light = light.view_as(windows.inside) / volume[:, None, None]
    rows, cols = light.sum(2), light.sum(1)
    off_y, off_x = rows @ windows.step, cols @ windows.step
    second = (rows + cols) @ windows.step**2 - off_y**2 - off_x**2
    sigma = (0.5 * second).sqrt()
    missing = torch.full_like(off_y, torch.nan)
    y, x = windows.row[:, 0] + off_y, windows.col[:, 0] + off_x
    amplitude = volume / (2 * torch.pi * sigma**2)
    found = torch.stack([y, x, missing, missing, sigma, amplitude, ground])
    good = (pixels > 2) & (volume > 0) & (second > 0)
    measured: Vector = torch.where(good, found, torch.nan).cpu().numpy()
    return measured
