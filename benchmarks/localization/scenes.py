"""Scenes of `bounds`: Gaussian columns with shot noise, and the bounds of their places."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from napari_atomseg.localization import cramer_rao_bounds, overlapping_bounds
from napari_atomseg.localization.fit.gaussian import EllipticProblem
from napari_atomseg.localization.fit.least_squares import covariance
from napari_atomseg.localization.fit.windows import initial_estimates, windows_of

Array = NDArray[np.float64]

GROUND = 0.2
"""Background over the height of the brightest columns."""
REACH = 7.0
"""Sigmas beyond which columns are not drawn: e^-24 is less than rounding of a shot."""
START = 0.5
"""Deviation of the fits' starts from the true places along y and along x, px."""


@dataclass(frozen=True)
class Scene:
    """Columns of one width on a constant background, and an image of them in electrons.

    Attributes
    ----------
    y, x, amplitude : (N,) truth, pixels and electrons.
    sigma, background : of all columns.
    clean, image : (H, W) expected and counted electrons.
    start : (2, N) places where all fits start.
    inner : (N,) columns that the border does not cut: only those count.
    """

    y: Array
    x: Array
    amplitude: Array
    sigma: float
    background: float
    clean: Array
    image: Array
    start: Array
    inner: NDArray[np.bool_]

    @property
    def volume(self) -> Array:
        """(N,) electrons of each column."""
        return 2 * np.pi * self.sigma**2 * self.amplitude

    def isolated(self) -> Array:
        """(N,) bound along one axis of columns far from others, of all their pixels."""
        return cramer_rao_bounds(self.amplitude, self.sigma, self.background).y

    def single(self) -> Array:
        """(2, N) bounds of y and x of single fits: an ellipse and a constant, seven parameters.

        They see the pixels of the column's own cell, with the noise of the neighbours' light that
        falls there; that light itself is known.
        """
        bound = np.full((2, len(self.y)), np.nan)
        clean = torch.from_numpy(self.clean)
        ones = torch.tensor([0.0, 0.0, np.log(self.sigma), 0.0, 0.0, 0.0, 0.0]).double()
        for share, windows in windows_of(clean, initial_estimates(clean, self.y, self.x)):
            theta = ones.repeat(len(share), 1)
            places = torch.from_numpy(np.stack([self.y[share], self.x[share]], axis=1))
            theta[:, :2] = places - torch.cat([windows.row, windows.col], dim=1)
            theta[:, 3] = torch.from_numpy(self.amplitude[share])
            values = windows.sample(clean)
            weight = windows.inside / values.clamp_min(1e-9)
            free = torch.ones_like(theta, dtype=torch.bool)
            problem = EllipticProblem(windows.step, values, weight, free)
            fisher = problem(theta, torch.arange(len(share))).matrix
            error = covariance(fisher).diagonal(dim1=1, dim2=2).sqrt()
            bound[:, share] = error[:, :2].T.numpy()
        return bound

    def together(self, widths: str) -> Array:
        """(2, N) bounds of y and x of a joint fit."""
        bound = overlapping_bounds(
            self.image.shape,
            self.y,
            self.x,
            self.amplitude,
            self.sigma,
            self.background,
            widths=widths,
        )
        return np.stack([bound.y, bound.x])


def isolated(level: float, side: int, rng: np.random.Generator) -> Scene:
    """`side` by `side` equal columns twelve sigmas apart, at a peak SNR in dB."""
    sigma, spacing = 3.0, 36.0
    axis = (np.arange(side) + 0.5) * spacing
    grid = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    points = grid + rng.uniform(-0.5, 0.5, grid.shape)
    return _scene(points, np.ones(len(grid)), sigma, level, round(side * spacing), rng)


def two_species(level: float, pixels: int, rng: np.random.Generator) -> Scene:
    """A chequerboard of columns of heights 1 and 0.55, four sigmas apart, waved and jittered.

    Parameters
    ----------
    level : peak SNR of the brighter ones, dB.
    pixels : side of the image; 1024 hold 50 by 50 columns.
    """
    side = round(pixels / 20.48)
    spacing = pixels / side
    axis = (np.arange(side) + 0.5) * spacing
    grid = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    turn = 2 * np.pi * grid / 1024.0
    wave = 1.5 * np.stack([np.sin(turn[:, 1]), np.cos(turn.sum(axis=1))], axis=1)
    points = grid + wave + rng.normal(0.0, 0.4, grid.shape)
    parity = np.add.outer(np.arange(side), np.arange(side)).ravel() % 2
    return _scene(points, np.where(parity, 0.55, 1.0), spacing / 4, level, pixels, rng)


def _scene(
    points: Array, height: Array, sigma: float, level: float, pixels: int, rng: np.random.Generator
) -> Scene:
    # The peak SNR is the height over the deviation of the noise at the top, A / √(A + b).
    top = (1.0 + GROUND) * 10 ** (level / 10)
    clean = GROUND * top + drawn((pixels, pixels), points, sigma, top * height)
    border = np.minimum(points, pixels - 1 - points).min(axis=1)
    y, x = points.T
    start = points.T + rng.normal(0.0, START, (2, len(points)))
    image = rng.poisson(clean).astype(float)
    return Scene(y, x, top * height, sigma, GROUND * top, clean, image, start, border > 5 * sigma)


def drawn(shape: tuple[int, int], points: Array, sigma: float, amplitude: Array) -> Array:
    """(H, W) sum of Gaussians."""
    image = np.zeros(shape)
    reach = int(np.ceil(REACH * sigma))
    for place, height in zip(points, amplitude, strict=True):
        parts = []
        for at, size in zip(place, shape, strict=True):
            pixels = np.arange(max(0, round(at) - reach), min(size, round(at) + reach + 1))
            parts.append((pixels, np.exp(-0.5 * ((pixels - at) / sigma) ** 2)))
        (rows, tall), (cols, wide) = parts
        image[rows[0] : rows[-1] + 1, cols[0] : cols[-1] + 1] += height * np.outer(tall, wide)
    return image
