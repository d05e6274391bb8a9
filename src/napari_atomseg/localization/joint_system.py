"""Normal equations of the joint model, solved and inverted without being written down."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from napari_atomseg.localization.joint_model import JointModel, State
from napari_atomseg.localization.least_squares import covariance

SOLVER_STEPS, SOLVER_ACCURACY = 40, 1e-3

Vector = tuple[Tensor, Tensor]
"""Of the columns (N, 4), in the order y, x, amplitude, background; of the shared ln sigma."""


class JointSystem:
    """Linearization of a model at a state, under weights (H', W') on its canvas."""

    def __init__(self, model: JointModel, state: State, weight: Tensor) -> None:
        self._model, self._weight = model, weight
        self._slope = state.amplitude * torch.exp(-state.log_sigma)
        self._p = p = _profiles(model, state)
        self._rows = torch.stack([p.gv, p.gv * p.v], dim=-1)
        self._cols = torch.stack([p.gu, p.gu * p.u], dim=-1)
        tall = p.gv * state.amplitude[:, None]
        self._width = model.canvas.spread(
            torch.stack([tall * p.v**2, tall], dim=-1), torch.stack([p.gu, p.gu * p.u**2], dim=-1)
        )
        self._width_square = (weight * self._width**2).sum()
        self._blocks = self._own_blocks()

    def solve(self, weighted_residual: Tensor) -> Vector:
        """The Gauss–Newton step, by preconditioned conjugate gradients."""
        inverse = torch.nan_to_num(covariance(self._blocks))
        tiny = torch.finfo(inverse.dtype).tiny

        def precondition(r: Vector) -> Vector:
            return (inverse @ r[0][..., None])[..., 0], r[1] / (self._width_square + tiny)

        rest = self._adjoint(weighted_residual)
        found = torch.zeros_like(rest[0]), torch.zeros_like(rest[1])
        way = precondition(rest)
        size = first = _dot(rest, way)
        for _ in range(SOLVER_STEPS):
            if not float(size) > SOLVER_ACCURACY**2 * float(first):
                break
            image = self._adjoint(self._weight * self._field(way))
            length = size / _dot(way, image)
            found = _moved(found, length, way)
            rest = _moved(rest, -length, image)
            ahead = precondition(rest)
            size, before = _dot(rest, ahead), size
            way = _moved(ahead, size / before, way)
        return found

    def errors(self, neighbours: Tensor) -> Tensor:
        """(N, 2) standard errors of y and x, the uncertainty of neighbours included.

        Parameters
        ----------
        neighbours : (N, K) indices of the nearest columns, -1 where there is none.
        """
        count, k = neighbours.shape
        ground = self._blocks[:, :3, 3]
        own = self._blocks[:, :3, :3]
        own = own - ground[:, :, None] * ground[:, None, :] / self._blocks[:, 3:, 3:]
        off = torch.stack([self._cross_blocks(other) for other in neighbours.T], dim=1)
        numbers = torch.arange(count, device=own.device)[:, None]
        members = torch.cat([numbers, neighbours], dim=1)
        together = torch.zeros(count, k + 1, 3, k + 1, 3, dtype=own.dtype, device=own.device)
        for i, first in enumerate(members.T):
            exists = (first >= 0)[:, None, None]
            together[:, i, :, i] = torch.where(exists, own[first], torch.eye(3).to(own))
            for j in range(i + 1, k + 1):
                second = members[:, j, None]
                linked = exists[..., 0] & (second >= 0) & (neighbours[first] == second)
                block = (off[first] * linked[..., None, None]).sum(1)
                together[:, i, :, j], together[:, j, :, i] = block, block.mT
        whole = covariance(together.reshape(count, 3 * (k + 1), 3 * (k + 1)))
        variance = whole.diagonal(dim1=1, dim2=2)[:, :2]
        alone = covariance(own).diagonal(dim1=1, dim2=2)[:, :2]
        return torch.where(torch.isfinite(variance), variance, alone).sqrt()

    def _own_blocks(self) -> Tensor:
        """(N, 4, 4) each column's own matrix; its cell is taken for an even part of its window."""
        v, u, gv, gu = self._p.v, self._p.u, self._p.gv, self._p.gu
        rows = torch.stack([gv**2, gv**2 * v, gv**2 * v**2, gv, gv * v, torch.ones_like(v)], -1)
        cols = torch.stack([gu**2, gu**2 * u, gu**2 * u**2, gu, gu * u, torch.ones_like(u)], -1)
        m = self._model.canvas.collect(self._weight, rows, cols)
        total = self._model.by_owner(self._weight)
        part = total / m[:, 5, 5].clamp_min(torch.finfo(total.dtype).tiny)
        s = self._slope
        upper = {
            (0, 0): s * s * m[:, 2, 0],
            (0, 1): s * s * m[:, 1, 1],
            (0, 2): s * m[:, 1, 0],
            (0, 3): s * m[:, 4, 3] * part,
            (1, 1): s * s * m[:, 0, 2],
            (1, 2): s * m[:, 0, 1],
            (1, 3): s * m[:, 3, 4] * part,
            (2, 2): m[:, 0, 0],
            (2, 3): m[:, 3, 3] * part,
            (3, 3): total,
        }
        blocks = torch.empty(len(s), 4, 4, dtype=s.dtype, device=s.device)
        for (i, j), value in upper.items():
            blocks[:, i, j] = blocks[:, j, i] = value
        return blocks

    def _cross_blocks(self, other: Tensor) -> Tensor:
        """(N, 3, 3) matrices (y, x, amplitude) between columns and one other each."""
        model, p = self._model, self._p
        scale = p.v[:, 1] - p.v[:, 0]
        # The other's v on this one's pixels: its own, moved by the distance of the windows.
        v = p.v[other] - ((model.canvas.row[other] - model.canvas.row) * scale)[:, None]
        u = p.u[other] - ((model.canvas.col[other] - model.canvas.col) * scale)[:, None]
        gv, gu = p.gv * torch.exp(-0.5 * v**2), p.gu * torch.exp(-0.5 * u**2)
        rows = torch.stack([gv, gv * p.v, gv * v, gv * p.v * v], dim=-1)
        cols = torch.stack([gu, gu * p.u, gu * u, gu * p.u * u], dim=-1)
        m = model.canvas.collect(self._weight, rows, cols)
        s, t = self._slope, self._slope[other]
        of_y = torch.stack([s * t * m[:, 3, 0], s * t * m[:, 1, 2], s * m[:, 1, 0]], dim=1)
        of_x = torch.stack([s * t * m[:, 2, 1], s * t * m[:, 0, 3], s * m[:, 0, 1]], dim=1)
        of_amplitude = torch.stack([t * m[:, 2, 0], t * m[:, 0, 2], m[:, 0, 0]], dim=1)
        block = torch.stack([of_y, of_x, of_amplitude], dim=1)
        return torch.where((other >= 0)[:, None, None], block, 0.0)

    def _field(self, way: Vector) -> Tensor:
        """The change of the model's image along a way."""
        p = self._p
        dy, dx, amplitude, background = way[0].unbind(1)
        mixed = p.gv * (amplitude[:, None] + (self._slope * dy)[:, None] * p.v)
        rows = torch.stack([mixed, p.gv], dim=-1)
        cols = torch.stack([p.gu, p.gu * p.u * (self._slope * dx)[:, None]], dim=-1)
        model = self._model
        return model.canvas.spread(rows, cols) + background[model.owner] + way[1] * self._width

    def _adjoint(self, canvas: Tensor) -> Vector:
        m = self._model.canvas.collect(canvas, self._rows, self._cols)
        columns = [self._slope * m[:, 1, 0], self._slope * m[:, 0, 1], m[:, 0, 0]]
        columns.append(self._model.by_owner(canvas))
        return torch.stack(columns, dim=1), (canvas * self._width).sum()


@dataclass(frozen=True)
class _Profiles:
    """v, u = (pixel - column) / sigma and the factors exp(-v²/2), exp(-u²/2), each (N, S)."""

    v: Tensor
    u: Tensor
    gv: Tensor
    gu: Tensor


def _profiles(model: JointModel, state: State) -> _Profiles:
    canvas, inverse = model.canvas, torch.exp(-state.log_sigma)
    v = (canvas.step - (state.y - canvas.row)[:, None]) * inverse
    u = (canvas.step - (state.x - canvas.col)[:, None]) * inverse
    return _Profiles(v, u, torch.exp(-0.5 * v**2), torch.exp(-0.5 * u**2))


def _dot(a: Vector, b: Vector) -> Tensor:
    return (a[0] * b[0]).sum() + a[1] * b[1]


def _moved(start: Vector, length: Tensor, way: Vector) -> Vector:
    return start[0] + length * way[0], start[1] + length * way[1]
