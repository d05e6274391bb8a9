"""A sum of Gaussians of one width on cells of constant background, and its images."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from napari_atomseg.localization.fits import Survey, on
from napari_atomseg.localization.windows import cut_windows, nearer_to_another

REACH = 3.5
"""Half width of a column's light over sigma; its edge has two thousandths of the peak."""
BATCH_PIXELS = 300_000


@dataclass(frozen=True)
class State:
    """Parameters of N columns, each (N,): pixels, intensities; the ln sigma is shared."""

    y: Tensor
    x: Tensor
    amplitude: Tensor
    background: Tensor
    log_sigma: Tensor


@dataclass(frozen=True)
class Profiles:
    """v, u = (pixel - column) / sigma and the factors exp(-v²/2), exp(-u²/2), each (N, S)."""

    v: Tensor
    u: Tensor
    gv: Tensor
    gu: Tensor


class JointModel:
    """Windows about the starts carry the Gaussians; they overlap and add up on one canvas.

    Parameters
    ----------
    image : (H, W) float64; NaN pixels do not count.
    known : starting positions, neighbours and the typical sigma.

    Attributes
    ----------
    data : (H', W') canvas: the image with a margin; 0 where there is none.
    used : (H', W') 1 where a pixel takes part: finite, and in the window of its nearest column.
    owner : (H', W') index of the nearest column, the one whose background a pixel has.
    """

    def __init__(self, image: Tensor, known: Survey) -> None:
        half = math.ceil(REACH * known.sigma)
        self.half = half
        self.step = torch.arange(-half, half + 1, device=image.device)
        y, x = on(image, known.y), on(image, known.x)
        self.row, self.col = torch.round(y).long(), torch.round(x).long()
        self.data = torch.nn.functional.pad(image, (half,) * 4, value=torch.nan)
        self.owner = torch.full(self.data.shape, -1, dtype=torch.long, device=image.device)
        numbers = torch.arange(len(y), device=image.device)
        for share in self._shares():
            windows = cut_windows(image, y[share], x[share], torch.full_like(y[share], half))
            others = known.others(numbers[share].cpu().numpy())
            others_y, others_x = (on(image, v) for v in others)
            mine = windows.inside & ~nearer_to_another(
                windows, y[share], x[share], others_y, others_x
            )
            number = numbers[share, None, None].expand_as(mine)
            self.owner.view(-1)[self._places(share)[mine]] = number[mine]
        self.used = ((self.owner >= 0) & torch.isfinite(self.data)).to(image)
        self.owner.clamp_min_(0)
        self.data = torch.nan_to_num(self.data)

    def profiles(self, state: State) -> Profiles:
        """Profiles of all columns along the axes of their windows."""
        inverse = torch.exp(-state.log_sigma)
        v = (self.step - (state.y - self.row)[:, None]) * inverse
        u = (self.step - (state.x - self.col)[:, None]) * inverse
        return Profiles(v, u, torch.exp(-0.5 * v**2), torch.exp(-0.5 * u**2))

    def render(self, state: State) -> Tensor:
        """(H', W') image of the model."""
        p = self.profiles(state)
        rows = (p.gv * state.amplitude[:, None])[..., None]
        return self.spread(rows, p.gu[..., None]) + state.background[self.owner]

    def spread(self, rows: Tensor, cols: Tensor) -> Tensor:
        """Σ over columns and r of products of profiles (N, S, r), on the canvas."""
        canvas = torch.zeros_like(self.data).view(-1)
        for share in self._shares():
            patches = rows[share] @ cols[share].mT
            canvas.index_add_(0, self._places(share).view(-1), patches.reshape(-1))
        return canvas.view(self.data.shape)

    def collect(self, canvas: Tensor, rows: Tensor, cols: Tensor) -> Tensor:
        """(N, a, b) sums over windows of a canvas times profiles (N, S, a) and (N, S, b)."""
        flat = canvas.reshape(-1)
        parts = [
            rows[share].mT @ (flat[self._places(share)] @ cols[share]) for share in self._shares()
        ]
        return torch.cat(parts)

    def by_owner(self, canvas: Tensor) -> Tensor:
        """(N,) sums of a canvas over the cells."""
        total = torch.zeros(len(self.row), dtype=canvas.dtype, device=canvas.device)
        return total.index_add_(0, self.owner.view(-1), canvas.reshape(-1))

    def _shares(self) -> list[slice]:
        size = max(1, BATCH_PIXELS // len(self.step) ** 2)
        return [slice(i, i + size) for i in range(0, len(self.row), size)]

    def _places(self, share: slice) -> Tensor:
        """(n, S, S) flat places of the windows' pixels on the canvas."""
        rows = (self.row[share, None] + self.half + self.step) * self.data.shape[1]
        return rows[:, :, None] + (self.col[share, None] + self.half + self.step)[:, None, :]
