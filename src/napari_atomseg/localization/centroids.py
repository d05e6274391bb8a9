"""Intensity-weighted centroids in the cells of columns."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from napari_atomseg.localization.fits import Fits
from napari_atomseg.localization.survey import Vector, survey, windows_of

DARKEST = 0.25
"""The part of a window's pixels that are taken for background; their mean is subtracted."""


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
        inside = windows.inside.flatten(1)
        values = windows.values.flatten(1)
        ranked = values.masked_fill(~inside, torch.inf).sort(dim=1).values
        pixels = inside.sum(1)
        dark = (DARKEST * pixels).ceil().long().clamp_min(1)
        lowest = torch.arange(values.shape[1], device=image.device) < dark[:, None]
        ground = ranked.masked_fill(~lowest, 0.0).sum(1) / dark
        light = (values - ground[:, None]).clamp_min(0.0).masked_fill(~inside, 0.0)
        volume = light.sum(1)
        light = light.view_as(windows.values) / volume[:, None, None]
        rows, cols = light.sum(2), light.sum(1)
        off_y, off_x = rows @ windows.step, cols @ windows.step
        second = (rows + cols) @ windows.step**2 - off_y**2 - off_x**2
        sigma = (0.5 * second).sqrt()
        missing = torch.full_like(off_y, torch.nan)
        found = torch.stack(
            [
                windows.row[:, 0] + off_y,
                windows.col[:, 0] + off_x,
                missing,
                missing,
                sigma,
                volume / (2 * torch.pi * sigma**2),
                ground,
            ]
        )
        good = (pixels > 2) & (volume > 0) & (second > 0)
        table[:, share] = torch.where(good, found, torch.nan).cpu().numpy()
    failed = np.isnan(table[0])
    table[0, failed], table[1, failed] = y[failed], x[failed]
    return Fits(*table)
