"""The Fisher matrix of a joint model, in blocks: of columns, and of pairs that share light."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from napari_atomseg.localization.canvas import BATCH_PIXELS, REACH
from napari_atomseg.localization.joint_model import (
    AMPLITUDE,
    BACKGROUND,
    LOG_SIGMA,
    JointModel,
    X,
    Y,
)

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
    gap = torch.linalg.vector_norm(theta[pairs[:, 0], :2] - theta[pairs[:, 1], :2], dim=1) / widest
    reach = widest * (TAIL - gap**2 / 4).clamp(SHORTEST**2, REACH**2 / 2).sqrt()
    order = torch.argsort(gap)
    margin, (height, width) = model.canvas.margin, model.canvas.shape
    flat, change = weight.reshape(-1), _derivatives(theta)
    blocks = torch.empty(len(pairs), 4, 4, dtype=theta.dtype, device=theta.device)
    start = 0
    while start < len(order):
        half = min(math.ceil(float(reach[order[start]])) + 1, margin)
        step = torch.arange(-half, half + 1, device=theta.device)
        share = order[start : start + max(1, BATCH_PIXELS // len(step) ** 2)]
        start += len(share)
        first, second = pairs[share].unbind(1)
        middle = theta[pairs[share]][..., : X + 1].mean(1).round().long()
        rows = middle[:, Y, None] + step
        cols = middle[:, X, None] + step
        at_row, at_col = (rows + margin).clamp(0, height - 1), (cols + margin).clamp(0, width - 1)
        there = flat[(at_row * width)[:, :, None] + at_col[:, None, :]]

        def thin(pixels: Tensor, axis: int, columns: Tensor) -> Tensor:
            own = theta[columns]
            t = (pixels - own[:, axis, None]) * torch.exp(-own[:, LOG_SIGMA, None])
            bell = torch.exp(-0.5 * t**2)
            return torch.stack([bell, bell * t, bell * t * t], dim=-1)

        tall = thin(rows, Y, first)[..., :, None] * thin(rows, Y, second)[..., None, :]
        wide = thin(cols, X, first)[..., :, None] * thin(cols, X, second)[..., None, :]
        moments = tall.flatten(2).mT @ (there @ wide.flatten(2))
        gram = moments.view(-1, 3, 3, 3, 3)[:, _V[:, None], _V, _U[:, None], _U]
        blocks[share] = change[first] @ gram @ change[second].mT
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
    for share in canvas.shares():
        places = canvas.places(share)
        cell = torch.where(owners[places] == numbers[share, None, None], flat[places], 0.0)
        others = theta[columns[share].clamp_min(0)]
        inverse = torch.exp(-others[..., LOG_SIGMA])

        def thin(middle: Tensor, axis: int, others: Tensor, inverse: Tensor) -> Tensor:
            pixels = (middle[:, None] + canvas.step)[:, :, None]
            return (pixels - others[:, None, :, axis]) * inverse[:, None]

        v = thin(canvas.row[share], Y, others, inverse)
        u = thin(canvas.col[share], X, others, inverse)
        gv, gu = torch.exp(-0.5 * v**2), torch.exp(-0.5 * u**2)
        mixed = cell @ torch.cat([gu, gu * u, gu * u**2], dim=-1)
        plain, once, twice = torch.split(mixed, slots, dim=-1)
        terms = (gv * v * plain, gv * once, gv * v**2 * plain, gv * twice, gv * plain)
        sums.append(torch.stack([term.sum(1) for term in terms], dim=-1))
    found = torch.cat(sums)[owner, slot]
    result = torch.empty(len(edges), 4, dtype=theta.dtype, device=theta.device)
    result[order] = (_derivatives(theta)[lit] @ found[..., None])[..., 0]
    return result


def _derivatives(theta: Tensor) -> Tensor:
    """(N, 4, 5) derivatives by y, x, ln sigma and A as sums of g v, g u, g v², g u² and g."""
    amplitude = theta[:, AMPLITUDE]
    slope = amplitude * torch.exp(-theta[:, LOG_SIGMA])
    change = torch.zeros(len(theta), 4, 5, dtype=theta.dtype, device=theta.device)
    change[:, Y, 0] = change[:, X, 1] = slope
    change[:, LOG_SIGMA, 2] = change[:, LOG_SIGMA, 3] = amplitude
    change[:, AMPLITUDE, 4] = 1.0
    return change
