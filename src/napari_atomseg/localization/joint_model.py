"""A sum of round Gaussians on cells of constant background, and its image."""

from __future__ import annotations

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from napari_atomseg.localization.canvas import Canvas
from napari_atomseg.localization.survey import Survey, on
from napari_atomseg.localization.windows import cut_windows

PAIRED = 6.5
"""Columns farther apart than this, over sigma, share no light: of its square exp(-d² / 4) is left,
three parts in 100,000. Without the diagonals of a square, 5.7 sigma long, steps overshoot."""
Y, X, LOG_SIGMA, AMPLITUDE, BACKGROUND = range(5)
COMMON = {"sigma": LOG_SIGMA, "background": BACKGROUND}
"""Parameters that all columns may share, as tables name them."""
"""Parameters of a column, in the order of `gaussian.PARAMETERS`; positions are of the image."""


class JointModel:
    """An image and the columns whose light makes it up.

    Parameters
    ----------
    image : (H, W) float64; NaN pixels do not count.
    known : starting positions, neighbours and the typical sigma.

    Attributes
    ----------
    canvas : windows about the starts, which carry the Gaussians.
    data : (H', W') canvas of the image; 0 where there is none.
    used : (H', W') 1 where a pixel takes part: finite, and in the window of its nearest column.
    owner : (H', W') index of the nearest column, the one whose background a pixel has.
    pairs : (M, 2) indices i < j of columns that share light.
    """

    def __init__(self, image: Tensor, known: Survey) -> None:
        height, width = image.shape
        y, x = on(image, known.y), on(image, known.x)
        self.canvas = canvas = Canvas((height, width), y, x, known.sigma)
        self.data = torch.nn.functional.pad(image, (canvas.margin,) * 4, value=torch.nan)
        self.owner = torch.full(canvas.shape, -1, dtype=torch.long, device=image.device)
        numbers = torch.arange(len(y), device=image.device)
        for share in canvas.shares():
            reach = torch.full_like(y[share], canvas.margin)
            others_y, others_x = (on(image, v) for v in known.others(numbers[share].cpu().numpy()))
            windows = cut_windows(image, y[share], x[share], reach, (others_y, others_x))
            mine, number = windows.inside, numbers[share, None, None]
            place = canvas.places(share, windows.step.long())
            self.owner.view(-1)[place[mine]] = number.expand_as(mine)[mine]
        self.used = ((self.owner >= 0) & torch.isfinite(self.data)).to(image)
        self.owner.clamp_min_(0)
        self.data = torch.nan_to_num(self.data)
        points = np.stack([known.y, known.x], axis=1)
        near = cKDTree(points).query_pairs(PAIRED * known.sigma, output_type="ndarray")
        self.pairs = torch.from_numpy(near.reshape(-1, 2).astype(np.int64)).to(image.device)

    def render(self, theta: Tensor) -> Tensor:
        """(H', W') image of the model at parameters (N, 5)."""
        place = torch.stack([self.canvas.row, self.canvas.col], dim=1)
        relative = torch.cat([theta[:, :2] - place, theta[:, 2:]], dim=1)
        return self.canvas.light(relative) + theta[:, BACKGROUND][self.owner]

    def slope(self, theta: Tensor, canvas: Tensor) -> Tensor:
        """(N, 5) sums of a canvas times the derivatives of the model."""
        v, u, inverse = self.profiles(theta)
        gv, gu = torch.exp(-0.5 * v**2), torch.exp(-0.5 * u**2)
        rows = torch.stack([gv, gv * v, gv * v**2], dim=-1)
        cols = torch.stack([gu, gu * u, gu * u**2], dim=-1)
        m = self.canvas.collect(canvas, rows, cols)
        a = theta[:, AMPLITUDE]
        by = [a * inverse * m[:, 1, 0], a * inverse * m[:, 0, 1], a * (m[:, 2, 0] + m[:, 0, 2])]
        return torch.stack([*by, m[:, 0, 0], self.by_owner(canvas)], dim=1)

    def profiles(self, theta: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Distances v, u (N, S) over sigma of the windows' pixels from their columns; 1 / sigma."""
        canvas, inverse = self.canvas, torch.exp(-theta[:, LOG_SIGMA])
        v = (canvas.step - (theta[:, Y] - canvas.row)[:, None]) * inverse[:, None]
        u = (canvas.step - (theta[:, X] - canvas.col)[:, None]) * inverse[:, None]
        return v, u, inverse

    def by_owner(self, canvas: Tensor) -> Tensor:
        """(N,) sums of a canvas over the cells."""
        total = torch.zeros(len(self.canvas.row), dtype=canvas.dtype, device=canvas.device)
        return total.index_add_(0, self.owner.view(-1), canvas.reshape(-1))
