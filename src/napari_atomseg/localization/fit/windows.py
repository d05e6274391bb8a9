"""Pixels around columns: how far a fit may look, and which pixels belong to which column."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from torch import Tensor

from napari_atomseg._shared.types import Array

Index = NDArray[np.intp]

TYPICAL = 500
"""Columns whose mean is a typical one."""
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

    Parameters
    ----------
    reach : how far from a column its own light is looked for, in pixels.
    """
    some = slice(None, None, max(1, len(y) // TYPICAL))
    y, x = y[some], x[some]
    windows = cut_windows(image, y, x, torch.full_like(y, max(reach, 2.0)))
    own_y, own_x = windows.relative(y[:, None], x[:, None])
    off_y, off_x = (windows.step - own_y) ** 2, (windows.step - own_x) ** 2
    ring = torch.sqrt(off_y[:, :, None] + off_x[:, None, :]).round().long()
    ring, values = ring[windows.inside], windows.sample(image)[windows.inside]
    count = torch.bincount(ring).cpu().numpy()
    total = torch.bincount(ring, values).cpu().numpy()
    distance = np.flatnonzero(count)
    if len(distance) == 0:
        return 0.3 * reach
    profile = total[distance] / count[distance]
    half = 0.5 * (profile[0] + profile.min())
    below = int(np.argmax(profile <= half))
    if below == 0:
        return 0.3 * reach
    step = (profile[below - 1] - half) / (profile[below - 1] - profile[below])
    width = distance[below - 1] + step * (distance[below] - distance[below - 1])
    return float(width / np.sqrt(2 * np.log(2)))
