"""Windows that overlap, added up on one canvas: the image with a margin."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from napari_atomseg.localization.fit.elliptic import column_values

REACH = 3.5
"""Half width of a column's light over sigma; its edge has two thousandths of the peak."""
BATCH_PIXELS = 1_200_000


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
            rows[share].mT @ (flat[self.places(share)] @ cols[share]) for share in self.shares()
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
        for share in self.shares():
            patches = column_values(bare[share], step)
            canvas.index_add_(0, self.places(share).view(-1), patches.view(-1))
        return canvas.view(self.shape)

    def image(self, canvas: Tensor) -> Tensor:
        """(H, W) the canvas without its margin."""
        inner = slice(self.margin, -self.margin)
        return canvas[inner, inner]

    def shares(self) -> list[slice]:
        """Batches of columns that bound the memory in use."""
        size = max(1, BATCH_PIXELS // len(self.step) ** 2)
        return [slice(i, i + size) for i in range(0, len(self.row), size)]

    def places(self, share: slice, step: Tensor | None = None) -> Tensor:
        """(n, S, S) flat places on the canvas of the pixels of some windows, or `step` of them."""
        step = self.step if step is None else step
        rows = (self.row[share, None] + self.margin + step) * self.shape[1]
        return rows[:, :, None] + (self.col[share, None] + self.margin + step)[:, None, :]
