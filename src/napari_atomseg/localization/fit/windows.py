"""Windows around columns, initial estimates for fits, and the canvas that adds columns up."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from torch import Tensor

from napari_atomseg._shared.types import Array
from napari_atomseg.localization.fit.gaussian import column_values
from napari_atomseg.progress import checkpoint

Index = NDArray[np.intp]

TYPICAL = 500
"""Columns that are enough to find the typical width."""
NEIGHBOURS = 8
"""Neighbours that bound a column's cell; a cell of a planar set has six sides on average."""


@dataclass(frozen=True)
class Windows:
    """Square windows about N columns, S = 2 half + 1 pixels wide.

    Attributes
    ----------
    row, col : (N, 1) image coordinates of the windows' centres, integers.
    step : (S,) pixel coordinates relative to the centre, along either axis.
    inside : (N, S, S) pixels that belong to the column: in the image, finite, within its radius.
    """

    row: Tensor
    col: Tensor
    step: Tensor
    inside: Tensor

    def sample(self, image: Tensor) -> Tensor:
        """(N, S, S) values of an (H, W) image, 0 where not `inside`."""
        height, width = image.shape
        first = (self.row + self.step.long()).clamp(0, height - 1) * width
        place = first[:, :, None] + (self.col + self.step.long()).clamp(0, width - 1)[:, None, :]
        values = image.reshape(-1).index_select(0, place.view(-1)).view(place.shape)
        return values.masked_fill_(~self.inside, 0.0)

    def relative(self, y: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """Image coordinates (N, ...) to coordinates relative to the windows' centres."""
        return y - self.row.view(-1, *[1] * (y.ndim - 1)), x - self.col.view(
            -1, *[1] * (x.ndim - 1)
        )


def cut_windows(
    image: Tensor,
    y: Tensor,
    x: Tensor,
    radius: Tensor,
    others: tuple[Tensor, Tensor] | None = None,
) -> Windows:
    """Cut discs of `radius` (N,) pixels about positions (N,) out of an (H, W) image.

    With `others`, positions y and x (N, K) of neighbours, NaN where there is none, pixels nearer
    to one of them are left out, and windows are as small as the largest of what remains.
    """
    height, width = image.shape
    half = max(1, int(torch.ceil(radius.max())))
    step = torch.arange(-half, half + 1, device=image.device)
    row, col = torch.round(y).long()[:, None], torch.round(x).long()[:, None]
    rows, cols = row + step, col + step
    in_height = (rows >= 0) & (rows < height)
    in_width = (cols >= 0) & (cols < width)
    from_y, from_x = rows - y[:, None], cols - x[:, None]
    off_y, off_x = from_y**2, radius[:, None] ** 2 - from_x**2
    inside = off_y[:, :, None] <= off_x[:, None, :]
    inside &= in_height[:, :, None] & in_width[:, None, :]
    if others is not None:
        inside &= ~_nearer_to_another(from_y, from_x, y, x, *others)
        used = inside.any(0)
        reach = max(1, int((step.abs() * (used.any(0) | used.any(1))).max()))
        middle = slice(half - reach, half + reach + 1)
        step, inside = step[middle], inside[:, middle, middle].contiguous()
    windows = Windows(row, col, step.to(image), inside)
    inside &= torch.isfinite(windows.sample(image))
    return windows


def _nearer_to_another(
    from_y: Tensor, from_x: Tensor, y: Tensor, x: Tensor, others_y: Tensor, others_x: Tensor
) -> Tensor:
    """(N, S, S) pixels that are nearer to one of K other columns than to the window's own.

    Parameters
    ----------
    from_y, from_x : (N, S) distances of the pixels from the columns at y, x (N,).
    others_y, others_x : (N, K) their neighbours; NaN where there is none.
    """
    taken = torch.zeros(*from_y.shape, from_y.shape[1], dtype=torch.bool, device=y.device)
    for other_y, other_x in zip(others_y.T, others_x.T, strict=True):
        checkpoint()
        # |p - other|² < |p - own|²  is linear in the pixel p.
        gap_y, gap_x = (other_y - y)[:, None], (other_x - x)[:, None]
        limit = 0.5 * (gap_y**2 + gap_x**2) - gap_x * from_x
        taken |= (gap_y * from_y)[:, :, None] > limit[:, None, :]
    return taken


def nearest_neighbours(y: Array, x: Array) -> tuple[Array, Index]:
    """Distance (N,) to the nearest column and indices (N, K) of the nearest K columns.

    Where a column has fewer neighbours, the index is -1 and the distance infinite.
    """
    if len(y) == 0:
        return np.zeros(0), np.zeros((0, NEIGHBOURS), dtype=np.intp)
    points = np.stack([y, x], axis=1)
    distances, indices = cKDTree(points).query(points, k=range(2, NEIGHBOURS + 2))
    distance, index = np.asarray(distances), np.asarray(indices)
    return distance[:, 0], np.where(index < len(y), index, -1)


def typical_width(image: Tensor, y: Tensor, x: Tensor, reach: float) -> float:
    """Sigma in pixels of the mean column, from the half width of its radial profile.

    Columns count by how much their light falls with the distance.

    Parameters
    ----------
    reach : how far from a column its own light is looked for, in pixels.
    """
    some = slice(None, None, max(1, len(y) // TYPICAL))
    y, x = y[some], x[some]
    windows = cut_windows(image, y, x, torch.full_like(y, max(reach, 2.0)))
    own_y, own_x = windows.relative(y[:, None], x[:, None])
    off_y, off_x = (windows.step - own_y) ** 2, (windows.step - own_x) ** 2
    away = torch.sqrt(off_y[:, :, None] + off_x[:, None, :])
    values, inside = windows.sample(image), windows.inside
    weight = _falling(values, away, inside)[:, None, None].expand_as(values)[inside]
    # Every column has a pixel in the first ring, wherever it lies between the pixels.
    away, values = away[inside], values[inside]
    ring = away.long()
    total, *sums = (
        torch.bincount(ring, each).cpu().numpy()
        for each in (weight, weight * away, weight * values)
    )
    known = np.flatnonzero(total)
    if len(known) == 0:
        return 0.3 * reach
    distance, profile = (each[known] / total[known] for each in sums)
    half = 0.5 * (profile[0] + profile.min())
    below = int(np.argmax(profile <= half))
    if below == 0:
        return 0.3 * reach
    step = (profile[below - 1] - half) / (profile[below - 1] - profile[below])
    width = distance[below - 1] + step * (distance[below] - distance[below - 1])
    return float(np.sqrt((width**2 - distance[0] ** 2) / (2 * np.log(2))))


def _falling(values: Tensor, away: Tensor, inside: Tensor) -> Tensor:
    """(N,) weights of columns: how much their light (N, S, S) falls with the distance (N, S, S).

    False detections, about which it does not, hardly count. All count alike where none falls.
    """
    pixels = inside.sum((1, 2)).clamp_min(1)
    centred = [
        torch.where(inside, each - ((each * inside).sum((1, 2)) / pixels)[:, None, None], 0.0)
        for each in (values, away)
    ]
    fall = (-(centred[0] * centred[1]).sum((1, 2)) / pixels).clamp_min(0.0)
    return fall if bool(fall.any()) else torch.ones_like(fall)


BATCH_PIXELS = 1_200_000
"""Pixels processed at once; limits the memory of a batch to about 200 MB."""
CELL = 0.75
"""Radius of a window over the distance to the nearest column: the corners of a square cell."""
TAILS = 4.0
"""Radius of a window over sigma, at most."""
FARTHEST = 0.2
"""A fit that moves farther than this fraction of the spacing has found something else."""
SMALLEST_RADIUS = 2.3
"""Pixels; a smaller window does not determine the parameters of a Gaussian."""


@dataclass(frozen=True)
class InitialEstimates:
    """Initial estimates for fits: neighbour distances, typical width.

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
        """(N,) how far a fit may move a column, pixels."""
        return FARTHEST * np.minimum(self.spacing, TAILS * self.sigma)

    def others(self, batch: Index) -> tuple[Array, Array]:
        """Positions y and x (n, K) of the neighbours of some columns, NaN where there is none."""
        index = self.neighbours[batch]
        return np.append(self.y, np.nan)[index], np.append(self.x, np.nan)[index]

    def touching(self, number: int, distance: float) -> Index:
        """Neighbours of a column that are nearer than a distance, pixels."""
        near = self.neighbours[number]
        near = near[near >= 0]
        away = np.hypot(self.y[near] - self.y[number], self.x[near] - self.x[number])
        touching: Index = near[away < distance]
        return touching


def initial_estimates(image: Tensor, y: Array, x: Array) -> InitialEstimates:
    """Measure neighbour distances and the typical width of columns in an (H, W) image."""
    spacing, neighbours = nearest_neighbours(y, x)
    widest = 0.5 * min(image.shape)
    near = spacing[np.isfinite(spacing)]
    typical = min(float(np.median(near)), widest) if len(near) else widest
    sigma = typical_width(image, tensor_like(image, y), tensor_like(image, x), CELL * typical)
    sigma = float(np.clip(sigma, 0.5, max(0.5, 0.5 * typical)))
    radius = np.minimum(CELL * np.minimum(spacing, 1.5 * typical), TAILS * sigma)
    return InitialEstimates(y, x, spacing, neighbours, np.maximum(radius, SMALLEST_RADIUS), sigma)


def windows_of(
    image: Tensor, initial: InitialEstimates, only: Index | None = None
) -> Iterator[tuple[Index, Windows]]:
    """Batches of columns of similar radius, with the pixels of each column."""
    columns = np.arange(len(initial.y)) if only is None else only
    for batch in batches(columns, initial.radius):
        checkpoint()
        y, x, radius = (
            tensor_like(image, v[batch]) for v in (initial.y, initial.x, initial.radius)
        )
        others_y, others_x = (tensor_like(image, v) for v in initial.others(batch))
        yield batch, cut_windows(image, y, x, radius, (others_y, others_x))


def tensor_like(image: Tensor, values: Array) -> Tensor:
    """Values as a tensor of the dtype and on the device of an image."""
    return torch.tensor(values, dtype=image.dtype, device=image.device)


def batches(columns: Index, radius: Array) -> Iterator[Index]:
    """Split columns into batches of similar radius (N,)."""
    order = columns[np.argsort(radius[columns], kind="stable")]
    pixels = (2 * np.ceil(radius[order]) + 1) ** 2
    start = 0
    while start < len(order):
        checkpoint()
        # The last, widest window sets the size of all in a batch.
        counts = np.arange(1, len(order) - start + 1)
        stop = start + max(1, int(np.sum(counts * pixels[start:] <= BATCH_PIXELS)))
        yield order[start:stop]
        start = stop


REACH = 3.5
"""Half width of a rendered column over sigma; at its edge 0.2 % of the peak is left."""


class Canvas:
    """Square windows about N positions, S pixels wide, on a canvas (H', W') with a margin.

    Parameters
    ----------
    shape : (H, W) of the image.
    y, x : (N,) positions in pixels, inside the image.
    sigma : width of the columns; windows reach `REACH` times as far.

    Attributes
    ----------
    row, col : (N,) pixels in the middle of the windows.
    step : (S,) pixel coordinates relative to the middle.
    shape, margin : of the canvas, in pixels.
    """

    def __init__(self, shape: tuple[int, int], y: Tensor, x: Tensor, sigma: float) -> None:
        self.margin = math.ceil(REACH * sigma)
        self.shape = (shape[0] + 2 * self.margin, shape[1] + 2 * self.margin)
        self.step = torch.arange(-self.margin, self.margin + 1, device=y.device)
        self.row, self.col = torch.round(y).long(), torch.round(x).long()

    def collect(self, canvas: Tensor, rows: Tensor, cols: Tensor) -> Tensor:
        """(N, a, b) sums over windows of a canvas times profiles (N, S, a) and (N, S, b)."""
        flat = canvas.reshape(-1)
        parts = [
            rows[batch].mT @ (flat[self.places(batch)] @ cols[batch]) for batch in self.batches()
        ]
        return torch.cat(parts)

    def light(self, theta: Tensor) -> Tensor:
        """(H', W') sum of columns without their backgrounds, parameters as of `column_values`.

        Positions are relative to the windows' middles.
        """
        bare = theta.clone()
        bare[:, 4] = 0.0
        canvas = torch.zeros(self.shape, dtype=theta.dtype, device=theta.device).view(-1)
        step = self.step.to(theta)
        for batch in self.batches():
            patches = column_values(bare[batch], step)
            canvas.index_add_(0, self.places(batch).view(-1), patches.view(-1))
        return canvas.view(self.shape)

    def image(self, canvas: Tensor) -> Tensor:
        """(H, W) the canvas without its margin."""
        inner = slice(self.margin, -self.margin)
        return canvas[inner, inner]

    def batches(self) -> list[slice]:
        """Batches of columns that limit the memory in use."""
        size = max(1, BATCH_PIXELS // len(self.step) ** 2)
        return [slice(i, i + size) for i in range(0, len(self.row), size)]

    def places_of(self, columns: Tensor) -> Tensor:
        """(n, S, S) flat places on the canvas of the pixels of the windows of `columns` (n,)."""
        rows = (self.row[columns, None] + self.margin + self.step) * self.shape[1]
        return rows[:, :, None] + (self.col[columns, None] + self.margin + self.step)[:, None, :]

    def places(self, batch: slice, step: Tensor | None = None) -> Tensor:
        """(n, S, S) flat places on the canvas of the pixels of some windows, or `step` of them."""
        step = self.step if step is None else step
        rows = (self.row[batch, None] + self.margin + step) * self.shape[1]
        return rows[:, :, None] + (self.col[batch, None] + self.margin + step)[:, None, :]
