"""Centres of intensity of columns, and the pixels that no measurement may use."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from napari_atomseg._shared.types import Array
from napari_atomseg.localization.fit.independent import Fits
from napari_atomseg.localization.fit.windows import (
    CELL,
    Windows,
    batches,
    cut_windows,
    initial_estimates,
    tensor_like,
    windows_of,
)
from napari_atomseg.progress import checkpoint

SMALLEST = 9
"""Pixels at the top value, at least; fewer are the brightest of the noise."""
LARGEST = 0.3
"""Part of the image that is left out, at most; more leaves too little to measure on."""
FEW_LEVELS = 0.05
"""The same where the other values are less than `LEVELS` steps below: a drawing in a few grey
values is not cut by a detector."""
LEVELS = 5
"""Steps, from the highest value to the next one, that the median of the others lies below it."""
TOGETHER = 1.5
"""How many of the four neighbours of such a pixel are at the top, too, in the mean at least."""


def saturated(image: NDArray[np.floating[Any]]) -> NDArray[np.bool_]:
    """(H, W) pixels of plateaus at the highest value that no fit may use: see `plateaus`.

    None where they are so much of the image that little is left to measure on.
    """
    top = plateaus(image)
    return top if top.mean() <= LARGEST else np.zeros_like(top)


def plateaus(image: NDArray[np.floating[Any]]) -> NDArray[np.bool_]:
    """(H, W) pixels of plateaus at the highest value of an image, none where it has no plateaus.

    A maximum of noise is reached in single pixels. Where many pixels have exactly the highest
    value, and lie together, it is that of the detector or of the file.
    """
    finite = np.isfinite(image)
    if not finite.any():
        return np.zeros(image.shape, dtype=bool)
    top: NDArray[np.bool_] = image == image[finite].max()
    count = int(top.sum())
    if count < SMALLEST or count == finite.sum():
        return np.zeros_like(top)
    if count > FEW_LEVELS * image.size and not _far_above(image[finite]):
        return np.zeros_like(top)
    cross = ndimage.generate_binary_structure(2, 1)
    beside = ndimage.convolve(top.astype(np.int8), cross.astype(np.int8), mode="nearest") - 1
    return top if beside[top].mean() >= TOGETHER else np.zeros_like(top)


def _far_above(values: NDArray[np.floating[Any]]) -> bool:
    """Whether the highest value lies many grey values above the others."""
    highest = values.max()
    others = values[values < highest]
    return bool(highest - np.median(others) >= LEVELS * (highest - others.max()))


DARKEST = 0.25
"""Part of a window's pixels, the darkest, whose mean is subtracted as background."""
WINDOW = 0.4
"""Radius of the window of a centre of mass over the distance to the nearest column."""
ROUNDS = 10
"""Times that a window is moved to its centre of mass; it hardly moves afterwards."""


def centroids(image: Tensor, y: Array, x: Array) -> Fits:
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
    for batch, windows in windows_of(image, initial_estimates(image, y, x)):
        table[:, batch] = _measured(windows, image)
    return Fits.of(table, y, x)


def centres_of_mass(image: Tensor, y: Array, x: Array) -> Fits:
    """Centre of intensity of each column in a disc about itself, as Atomap finds it.

    The radius of the disc is 0.4 times the distance to the nearest column; the disc is moved to its
    centre repeatedly (Nord et al., Adv. Struct. Chem. Imaging 3, 9 (2017)). Neighbours hardly reach
    into it; the column's own is cut, so that sigma, amplitude and volume are those of the disc.

    Parameters
    ----------
    image, y, x : as in `centroids`.
    """
    initial = initial_estimates(image, y, x)
    radius = np.maximum(WINDOW / CELL * initial.radius, 1.5)
    table = np.full((7, len(y)), np.nan)
    at = np.stack([y, x])
    for _ in range(ROUNDS):
        for batch in batches(np.arange(len(y)), radius):
            checkpoint()
            there = [tensor_like(image, v[batch]) for v in (*at, radius)]
            windows = cut_windows(image, there[0], there[1], there[2])
            table[:, batch] = _measured(windows, image)
        far = np.hypot(*(table[:2] - np.stack([y, x]))) > initial.step
        table[:, far] = np.nan
        at = np.where(np.isnan(table[:2]), at, table[:2])
    return Fits.of(table, y, x)


def _measured(windows: Windows, image: Tensor) -> Array:
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
    measured: Array = torch.where(good, found, torch.nan).cpu().numpy()
    return measured
