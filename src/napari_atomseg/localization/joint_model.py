"""A sum of Gaussians of one width on cells of constant background, and its image."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from napari_atomseg.localization.canvas import Canvas
from napari_atomseg.localization.survey import Survey, on
from napari_atomseg.localization.windows import cut_windows, nearer_to_another


@dataclass(frozen=True)
class State:
    """Parameters of N columns, each (N,): pixels, intensities; the ln sigma is shared."""

    y: Tensor
    x: Tensor
    amplitude: Tensor
    background: Tensor
    log_sigma: Tensor


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
            windows = cut_windows(image, y[share], x[share], reach)
            others = known.others(numbers[share].cpu().numpy())
            others_y, others_x = (on(image, v) for v in others)
            mine = windows.inside & ~nearer_to_another(
                windows, y[share], x[share], others_y, others_x
            )
            number = numbers[share, None, None].expand_as(mine)
            self.owner.view(-1)[canvas.places(share)[mine]] = number[mine]
        self.used = ((self.owner >= 0) & torch.isfinite(self.data)).to(image)
        self.owner.clamp_min_(0)
        self.data = torch.nan_to_num(self.data)

    def render(self, state: State) -> Tensor:
        """(H', W') image of the model."""
        sigma = state.log_sigma.exp().expand_as(state.y)
        light = self.canvas.gaussians(state.y, state.x, sigma, state.amplitude)
        return light + state.background[self.owner]

    def by_owner(self, canvas: Tensor) -> Tensor:
        """(N,) sums of a canvas over the cells."""
        total = torch.zeros(len(self.canvas.row), dtype=canvas.dtype, device=canvas.device)
        return total.index_add_(0, self.owner.view(-1), canvas.reshape(-1))
