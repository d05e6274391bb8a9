"""The joint model and its Fisher matrix in blocks: of columns, and of pairs that overlap."""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from napari_atomseg.localization.fit.gaussian import elongated
from napari_atomseg.localization.fit.slopes import Slopes
from napari_atomseg.localization.fit.windows import (
    BATCH_PIXELS,
    REACH,
    Canvas,
    InitialEstimates,
    cut_windows,
    tensor_like,
)

PAIRED = 6.5
"""Columns farther apart than this, over sigma, share no light: of its square exp(-d² / 4) is left,
three parts in 100,000. Without the diagonals of a square, 5.7 sigma long, steps overshoot."""
Y, X, LOG_SIGMA, AMPLITUDE, BACKGROUND = range(5)
"""Parameters of a column, in the order of `GaussianProblem`; positions are of the image."""
COMMON = {"sigma": LOG_SIGMA, "background": BACKGROUND}
"""Parameters that all columns may share, as tables name them."""


class JointModel:
    """An image as a sum of columns.

    Parameters
    ----------
    image : (H, W) float64; NaN pixels do not count.
    initial : starting positions, neighbours and the typical sigma.
    frames : (H, W) relative number of frames in each pixel; None for the same in all.

    Attributes
    ----------
    canvas : windows about the starts, which carry the Gaussians.
    data : (H', W') canvas of the image; 0 where there is none.
    used : (H', W') 1 where a pixel takes part: finite, and in the window of its nearest column.
    frames : (H', W') relative number of frames, by which the variance of a pixel is divided.
    owner : (H', W') index of the nearest column, the one whose background a pixel has.
    pairs : (M, 2) indices i < j of columns that share light.
    slopes : planes that were subtracted from the data; None for none.
    """

    def __init__(
        self,
        image: Tensor,
        initial: InitialEstimates,
        frames: Tensor | None = None,
        aspect: float = 0.0,
    ) -> None:
        height, width = image.shape
        y, x = tensor_like(image, initial.y), tensor_like(image, initial.x)
        # On pixels that are not square, round columns are longer along one axis.
        self.aspect = aspect
        self.longer = math.exp(0.5 * aspect), math.exp(-0.5 * aspect)
        widest = initial.sigma * max(self.longer)
        self.canvas = canvas = Canvas((height, width), y, x, widest)
        self.data = torch.nn.functional.pad(image, (canvas.margin,) * 4, value=torch.nan)
        self.owner = torch.full(canvas.shape, -1, dtype=torch.long, device=image.device)
        numbers = torch.arange(len(y), device=image.device)
        for batch in canvas.batches():
            reach = torch.full_like(y[batch], canvas.margin)
            others_y, others_x = (
                tensor_like(image, v) for v in initial.others(numbers[batch].cpu().numpy())
            )
            windows = cut_windows(image, y[batch], x[batch], reach, (others_y, others_x))
            mine, number = windows.inside, numbers[batch, None, None]
            place = canvas.places(batch, windows.step.long())
            self.owner.view(-1)[place[mine]] = number.expand_as(mine)[mine]
        self.used = ((self.owner >= 0) & torch.isfinite(self.data)).to(image)
        self.owner.clamp_min_(0)
        self.data = torch.nan_to_num(self.data)
        self.frames = torch.ones_like(self.data)
        if frames is not None:
            self.frames = torch.nn.functional.pad(frames, (canvas.margin,) * 4, value=1.0)
        points = np.stack([initial.y, initial.x], axis=1) / self.longer
        self.slopes: Slopes | None = None
        near = cKDTree(points).query_pairs(PAIRED * initial.sigma, output_type="ndarray")
        self.pairs = torch.from_numpy(near.reshape(-1, 2).astype(np.int64)).to(image.device)

    def take_slopes(self, slopes: Slopes, *, level: bool) -> None:
        """Subtract the planes under columns from the data, each in the cell of its column.

        Parameters
        ----------
        level : subtract, too, what the backgrounds of the planes deviate from their median: one
            background that all share has no slope of its own.
        """
        row = torch.arange(self.canvas.shape[0], device=self.data.device) - self.canvas.margin
        col = torch.arange(self.canvas.shape[1], device=self.data.device) - self.canvas.margin
        at = slopes.at + torch.stack([self.canvas.row, self.canvas.col], dim=1)
        gradient, at = slopes.gradient[self.owner], at[self.owner]
        ground = gradient[..., 0] * (row[:, None] - at[..., 0])
        ground = ground + gradient[..., 1] * (col - at[..., 1])
        if level:
            ground = ground + (slopes.level - slopes.level.nanmedian())[self.owner]
        self.data = torch.where(self.used > 0, self.data - ground, self.data)
        self.slopes = slopes

    def render(self, theta: Tensor) -> Tensor:
        """(H', W') image of the model at parameters (N, 5)."""
        place = torch.stack([self.canvas.row, self.canvas.col], dim=1)
        relative = torch.cat([theta[:, :2] - place, theta[:, 2:]], dim=1)
        light = self.canvas.light(elongated(relative, self.aspect))
        return light + theta[:, BACKGROUND][self.owner]

    def slope(self, theta: Tensor, canvas: Tensor) -> Tensor:
        """(N, 5) sums of a canvas times the derivatives of the model."""
        v, u, inverse = self.profiles(theta)
        gv, gu = torch.exp(-0.5 * v**2), torch.exp(-0.5 * u**2)
        rows = torch.stack([gv, gv * v, gv * v**2], dim=-1)
        cols = torch.stack([gu, gu * u, gu * u**2], dim=-1)
        m = self.canvas.collect(canvas, rows, cols)
        a = theta[:, AMPLITUDE]
        tall, wide = inverse / self.longer[0], inverse / self.longer[1]
        by = [a * tall * m[:, 1, 0], a * wide * m[:, 0, 1], a * (m[:, 2, 0] + m[:, 0, 2])]
        return torch.stack([*by, m[:, 0, 0], self.by_owner(canvas)], dim=1)

    def profiles(self, theta: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Distances v, u (N, S) over sigma of the windows' pixels from their columns; 1 / sigma."""
        canvas, inverse = self.canvas, torch.exp(-theta[:, LOG_SIGMA])
        tall, wide = (inverse[:, None] / longer for longer in self.longer)
        v = (canvas.step - (theta[:, Y] - canvas.row)[:, None]) * tall
        u = (canvas.step - (theta[:, X] - canvas.col)[:, None]) * wide
        return v, u, inverse

    def by_owner(self, canvas: Tensor) -> Tensor:
        """(N,) sums of a canvas over the cells."""
        total = torch.zeros(len(self.canvas.row), dtype=canvas.dtype, device=canvas.device)
        return total.index_add_(0, self.owner.view(-1), canvas.reshape(-1))


TAIL, SHORTEST = 8.0, 1.75
"""A window of a pair ends, over sigma, where their product is exp(-TAIL), but not nearer."""
_V = torch.tensor([1, 0, 2, 0, 0])
_U = torch.tensor([0, 1, 0, 2, 0])
"""Powers of v and u in the functions g vᵃ uᵇ whose sums are the derivatives of a column."""


def fisher_blocks(model: JointModel, theta: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Σ w ∂f ∂fᵀ of all columns with themselves (N, 5, 5), and of `model.pairs` (M, 5, 5).

    Parameters
    ----------
    theta : (N, 5) parameters.
    weight : (H', W') canvas of inverse variances, 0 where a pixel does not take part.
    """
    count, pairs = len(theta), model.pairs
    alone = torch.arange(count, device=theta.device)[:, None].expand(-1, 2)
    light = _of_light(model, theta, weight, torch.cat([alone, pairs]))
    blocks = torch.zeros(len(light), 5, 5, dtype=theta.dtype, device=theta.device)
    blocks[:, :4, :4] = light
    # Cell j's background with column i's light, for both orders of a pair, and with its own.
    edges = torch.cat([alone, pairs, pairs.flip(1)])
    ground = _of_ground(model, theta, weight, edges)
    own, cross = blocks[:count], blocks[count:]
    own[:, :4, BACKGROUND] = own[:, BACKGROUND, :4] = ground[:count]
    own[:, BACKGROUND, BACKGROUND] = model.by_owner(weight)
    cross[:, BACKGROUND, :4] = ground[count : count + len(pairs)]
    cross[:, :4, BACKGROUND] = ground[count + len(pairs) :]
    return own, cross


def _of_light(model: JointModel, theta: Tensor, weight: Tensor, pairs: Tensor) -> Tensor:
    """(M, 4, 4) blocks of y, x, ln sigma and amplitude of pairs (M, 2).

    The product of two Gaussians is one about the middle of the pair, narrower by √2, and fainter
    the farther apart they are: windows of far pairs are small.
    """
    widest = float(theta[:, LOG_SIGMA].max().exp())
    away = (theta[pairs[:, 0], :2] - theta[pairs[:, 1], :2]) / theta.new_tensor(model.longer)
    gap = torch.linalg.vector_norm(away, dim=1) / widest
    reach = widest * max(model.longer) * (TAIL - gap**2 / 4).clamp(SHORTEST**2, REACH**2 / 2).sqrt()
    order = torch.argsort(gap)
    margin, (height, width) = model.canvas.margin, model.canvas.shape
    flat, change = weight.reshape(-1), _derivatives(theta, model.longer)
    blocks = torch.empty(len(pairs), 4, 4, dtype=theta.dtype, device=theta.device)
    start = 0
    while start < len(order):
        half = min(math.ceil(float(reach[order[start]])) + 1, margin)
        step = torch.arange(-half, half + 1, device=theta.device)
        batch = order[start : start + max(1, BATCH_PIXELS // len(step) ** 2)]
        start += len(batch)
        first, second = pairs[batch].unbind(1)
        middle = theta[pairs[batch]][..., : X + 1].mean(1).round().long()
        rows = middle[:, Y, None] + step
        cols = middle[:, X, None] + step
        at_row, at_col = (rows + margin).clamp(0, height - 1), (cols + margin).clamp(0, width - 1)
        there = flat[(at_row * width)[:, :, None] + at_col[:, None, :]]

        def thin(pixels: Tensor, axis: int, columns: Tensor) -> Tensor:
            own = theta[columns]
            t = (pixels - own[:, axis, None]) * torch.exp(-own[:, LOG_SIGMA, None])
            t = t / model.longer[axis]
            bell = torch.exp(-0.5 * t**2)
            return torch.stack([bell, bell * t, bell * t * t], dim=-1)

        tall = thin(rows, Y, first)[..., :, None] * thin(rows, Y, second)[..., None, :]
        wide = thin(cols, X, first)[..., :, None] * thin(cols, X, second)[..., None, :]
        moments = tall.flatten(2).mT @ (there @ wide.flatten(2))
        gram = moments.view(-1, 3, 3, 3, 3)[:, _V[:, None], _V, _U[:, None], _U]
        blocks[batch] = change[first] @ gram @ change[second].mT
    return blocks


def _of_ground(model: JointModel, theta: Tensor, weight: Tensor, edges: Tensor) -> Tensor:
    """(E, 4) of the background of the first of each edge (E, 2) with the light of the second."""
    order = torch.argsort(edges[:, 0], stable=True)
    owner, lit = edges[order].unbind(1)
    per_cell = torch.bincount(owner, minlength=len(theta))
    slots = int(per_cell.max())
    slot = torch.arange(len(owner), device=owner.device)
    slot = slot - (per_cell.cumsum(0) - per_cell)[owner]
    columns = torch.full((len(theta), slots), -1, dtype=torch.long, device=theta.device)
    columns[owner, slot] = lit
    canvas, flat = model.canvas, weight.reshape(-1)
    owners, sums = model.owner.reshape(-1), []
    numbers = torch.arange(len(theta), device=theta.device)
    for batch in canvas.batches():
        places = canvas.places(batch)
        cell = torch.where(owners[places] == numbers[batch, None, None], flat[places], 0.0)
        others = theta[columns[batch].clamp_min(0)]
        inverse = torch.exp(-others[..., LOG_SIGMA])

        def thin(middle: Tensor, axis: int, others: Tensor, inverse: Tensor) -> Tensor:
            pixels = (middle[:, None] + canvas.step)[:, :, None]
            return (pixels - others[:, None, :, axis]) * inverse[:, None] / model.longer[axis]

        v = thin(canvas.row[batch], Y, others, inverse)
        u = thin(canvas.col[batch], X, others, inverse)
        gv, gu = torch.exp(-0.5 * v**2), torch.exp(-0.5 * u**2)
        mixed = cell @ torch.cat([gu, gu * u, gu * u**2], dim=-1)
        plain, once, twice = torch.split(mixed, slots, dim=-1)
        terms = (gv * v * plain, gv * once, gv * v**2 * plain, gv * twice, gv * plain)
        sums.append(torch.stack([term.sum(1) for term in terms], dim=-1))
    found = torch.cat(sums)[owner, slot]
    result = torch.empty(len(edges), 4, dtype=theta.dtype, device=theta.device)
    result[order] = (_derivatives(theta, model.longer)[lit] @ found[..., None])[..., 0]
    return result


def _derivatives(theta: Tensor, longer: tuple[float, float]) -> Tensor:
    """(N, 4, 5) derivatives by y, x, ln sigma and A as sums of g v, g u, g v², g u² and g.

    Columns are `longer` by factors along y and along x than sigma.
    """
    amplitude = theta[:, AMPLITUDE]
    slope = amplitude * torch.exp(-theta[:, LOG_SIGMA])
    change = torch.zeros(len(theta), 4, 5, dtype=theta.dtype, device=theta.device)
    change[:, Y, 0], change[:, X, 1] = slope / longer[0], slope / longer[1]
    change[:, LOG_SIGMA, 2] = change[:, LOG_SIGMA, 3] = amplitude
    change[:, AMPLITUDE, 4] = 1.0
    return change
