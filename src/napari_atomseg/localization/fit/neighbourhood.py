"""What is known of columns before they are measured: distances, widths, whose pixels are whose."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_atomseg._shared.types import Array
from napari_atomseg.localization.fit.windows import (
    Windows,
    cut_windows,
    nearest_neighbours,
    typical_width,
)

Index = NDArray[np.intp]

BATCH_PIXELS = 1_200_000
"""Pixels in work at once; bounds the memory of a batch to some two hundred megabytes."""
CELL = 0.75
"""Radius of a window over the distance to the nearest column: the corners of a square cell."""
TAILS = 4.0
"""Radius of a window over sigma, at most."""
FARTHEST = 0.2
"""A fit that walks farther than this fraction of the spacing has found something else."""
SMALLEST_RADIUS = 2.3
"""Pixels; fewer do not hold the parameters of a Gaussian."""


@dataclass(frozen=True)
class Survey:
    """What the fits of an image start from.

    Attributes
    ----------
    y, x, spacing, radius : (N,) start, distance to the nearest column, radius of the window.
    neighbours : (N, K) indices of the nearest columns, -1 where there is none.
    sigma : the typical width.
    """

    y: Array
    x: Array
    spacing: Array
    neighbours: Index
    radius: Array
    sigma: float

    @property
    def step(self) -> Array:
        """(N,) how far a fit may walk."""
        return FARTHEST * np.minimum(self.spacing, TAILS * self.sigma)

    def others(self, share: Index) -> tuple[Array, Array]:
        """Positions y and x (n, K) of the neighbours of some columns, NaN where there is none."""
        index = self.neighbours[share]
        return np.append(self.y, np.nan)[index], np.append(self.x, np.nan)[index]


def survey(image: Tensor, y: Array, x: Array) -> Survey:
    """Measure distances and the typical width of columns of an (H, W) image before a fit."""
    spacing, neighbours = nearest_neighbours(y, x)
    widest = 0.5 * min(image.shape)
    near = spacing[np.isfinite(spacing)]
    typical = min(float(np.median(near)), widest) if len(near) else widest
    sigma = typical_width(image, on(image, y), on(image, x), CELL * typical)
    sigma = float(np.clip(sigma, 0.5, max(0.5, 0.5 * typical)))
    radius = np.minimum(CELL * np.minimum(spacing, 1.5 * typical), TAILS * sigma)
    return Survey(y, x, spacing, neighbours, np.maximum(radius, SMALLEST_RADIUS), sigma)


def windows_of(
    image: Tensor, known: Survey, only: Index | None = None
) -> Iterator[tuple[Index, Windows]]:
    """Batches of columns of similar radius with the pixels that are theirs."""
    columns = np.arange(len(known.y)) if only is None else only
    for share in shares(columns, known.radius):
        y, x, radius = (on(image, v[share]) for v in (known.y, known.x, known.radius))
        others_y, others_x = (on(image, v) for v in known.others(share))
        yield share, cut_windows(image, y, x, radius, (others_y, others_x))


def on(image: Tensor, values: Array) -> Tensor:
    """Values as a tensor where the image is."""
    return torch.tensor(values, dtype=image.dtype, device=image.device)


def shares(columns: Index, radius: Array) -> Iterator[Index]:
    """Batches of some columns, those of similar radius (N,) of all together."""
    order = columns[np.argsort(radius[columns], kind="stable")]
    pixels = (2 * np.ceil(radius[order]) + 1) ** 2
    start = 0
    while start < len(order):
        # The last, widest window sets the size of all in a batch.
        counts = np.arange(1, len(order) - start + 1)
        stop = start + max(1, int(np.sum(counts * pixels[start:] <= BATCH_PIXELS)))
        yield order[start:stop]
        start = stop
