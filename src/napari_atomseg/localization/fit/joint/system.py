"""The sparse Fisher matrix of a joint fit, solved and inverted, with shared parameters."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from napari_atomseg.localization.fit.joint.bounds import WIDEST
from napari_atomseg.localization.fit.joint.model import AMPLITUDE, BACKGROUND, LOG_SIGMA
from napari_atomseg.localization.fit.least_squares import covariance
from napari_atomseg.localization.fit.windows import Index
from napari_atomseg.localization.settings import Backgrounds, Widths

SOLVER_STEPS, SOLVER_ACCURACY = 60, 1e-4
CLOSE, RIDGE = 0.7, 4e-3
"""Columns whose light is alike to this correlation, less than 1.2 sigma apart, have their diagonal
raised by this fraction where steps are made: windows of pairs end, and without it the matrix of
columns on top of one another need not be positive."""
LEAST_KNOWN = 2e-3
"""Smallest part of the information on shared parameters that is taken to be independent: where
columns are wide for their distance, a shared width and background are nearly the same parameter."""
MESSAGES = 6
"""Rounds of messages; each carries information from neighbours one pair farther away."""
UNSETTLED = 0.02
"""Change of a variance in the last round of messages, over it, that is too much."""


def shared_parameters(widths: Widths, backgrounds: Backgrounds) -> list[int]:
    """Which of a column's parameters all columns have in common, for a choice of each."""
    chosen = {LOG_SIGMA: widths, BACKGROUND: backgrounds}
    return [parameter for parameter, choice in chosen.items() if choice == "shared"]


class JointSystem:
    """The Fisher matrix of N columns of five parameters, see `fisher_blocks`.

    A parameter that all share, as one width, is the sum of the rows and columns of those of all: a
    border to the matrix of the others, removed by its Schur complement.

    Parameters
    ----------
    own, cross : (N, 5, 5) and (M, 5, 5) blocks.
    pairs : (M, 2) indices of the columns of `cross`.
    shared : those of `shared_parameters`.
    held : (N, 5) parameters that are fixed; None for none. A held parameter does not contribute to
        the shared one, but takes its value.
    """

    def __init__(
        self,
        own: Tensor,
        cross: Tensor,
        pairs: Tensor,
        shared: list[int],
        held: Tensor | None = None,
    ) -> None:
        close = _close(own, cross, pairs)
        if held is not None and bool(held.any()):
            free = (~held).to(own)
            own = own * free[:, :, None] * free[:, None]
            cross = cross * free[pairs[:, 0], :, None] * free[pairs[:, 1], None]
        self._held = held
        self._from = torch.cat([pairs[:, 0], pairs[:, 1]])
        self._to = torch.cat([pairs[:, 1], pairs[:, 0]])
        both = torch.cat([cross, cross.mT])
        self._shared, self._rest = shared, [k for k in range(own.shape[1]) if k not in shared]
        if shared:
            border = own[:, :, shared].index_add(0, self._from, both[:, :, shared])
            self._border, corner = border[:, self._rest], border[:, shared].sum(0)
            own, both = (m[:, self._rest][:, :, self._rest] for m in (own, both))
        # Parameters without information: the identity keeps the matrix invertible.
        empty = own.diagonal(dim1=1, dim2=2) <= 0
        own = own + torch.diag_embed(empty.to(own))
        self._own, self._both = own, both
        ridge = RIDGE * close[:, None] * own.diagonal(dim1=1, dim2=2)
        self._firm = own + torch.diag_embed(ridge)
        self._inverse = torch.nan_to_num(covariance(self._firm))
        if shared:
            bent = [self._solved(self._border[..., k, None]) for k in range(len(shared))]
            self._bent = torch.cat(bent, dim=-1)
            schur = corner - torch.einsum("nps,npt->st", self._border, self._bent)
            self._spread = _inverse_of(schur, corner.diagonal())

    def solve(self, slope: Tensor) -> Tensor:
        """(N, 5) Gauss–Newton step for a slope (N, 5) of the log-likelihood."""
        if self._held is not None:
            slope = slope.masked_fill(self._held, 0.0)
        if not self._shared:
            return self._solved(slope[..., None])[..., 0]
        step = torch.empty_like(slope)
        rest = self._solved(slope[:, self._rest, None])[..., 0]
        pull = slope[:, self._shared].sum(0) - torch.einsum("nps,np->s", self._border, rest)
        common = self._spread @ pull
        if LOG_SIGMA in self._shared:
            # The other parameters step as far as the width lets them.
            width = common[self._shared.index(LOG_SIGMA)]
            common = common / (width.abs() / WIDEST).clamp_min(1.0)
        step[:, self._rest], step[:, self._shared] = rest - self._bent @ common, common
        return step

    def covariance(self) -> Tensor:
        """(N, 5, 5) each column's block of the inverse, NaN where it has none.

        Neighbours are integrated out by belief propagation between the pairs (Weiss & Freeman,
        Neural Comput. 13, 2173 (2001)): exact but for walks around closed rings of columns, whose
        parts are products of at least three overlaps. Where the messages do not settle, as in
        crystals of columns that merge, columns are inverted with all that are near them.
        """
        rest, settled = self._by_messages()
        if not bool(settled.all()):
            rest = self._by_neighbourhoods(rest, ~settled)
        if not self._shared:
            return rest
        size = len(self._rest) + len(self._shared)
        whole = rest.new_empty(len(rest), size, size)
        some, all_ = (torch.tensor(k, device=rest.device) for k in (self._rest, self._shared))
        bound = self._bent @ self._spread
        whole[:, some[:, None], some] = rest + bound @ self._bent.mT
        whole[:, some[:, None], all_] = -bound
        whole[:, all_[:, None], some] = -bound.mT
        whole[:, all_[:, None], all_] = self._spread
        return whole

    def _by_messages(self) -> tuple[Tensor, Tensor]:
        """(N, P, P) inverse blocks by belief propagation, and (N,) where that came to an end."""
        message = torch.zeros_like(self._both)
        reverse = len(message) // 2
        lost = torch.zeros(len(self._own), dtype=torch.bool, device=self._own.device)
        before = rest = covariance(self._own)
        for number in range(MESSAGES if len(message) else 0):
            total = self._own.index_add(0, self._to, message)
            # Information of the sender, without what came from the receiver.
            cavity = covariance(total[self._from] - message.roll(reverse, 0))
            failed = ~torch.isfinite(cavity).all(2).all(1)
            lost[self._to[failed]] = lost[self._from[failed]] = True
            message = torch.nan_to_num(-self._both.mT @ cavity @ self._both)
            if number + 2 >= MESSAGES:
                before = rest
                rest = covariance(self._own.index_add(0, self._to, message))
        lost |= ~torch.isfinite(rest).all(2).all(1)
        now, last = (each.diagonal(dim1=1, dim2=2) for each in (rest, before))
        settled = ((now - last).abs() <= UNSETTLED * now).all(1) & ~lost
        return rest, settled

    def _by_neighbourhoods(self, rest: Tensor, wanted: Tensor) -> Tensor:
        """Blocks (N, P, P) of which those `wanted` (N,) are inverted with all columns about them.

        Columns that merge, in rings of many, send messages that do not settle. A few of them, those
        that share light with one of these, and those that share light with these, are inverted
        together.
        """
        rest, size = rest.clone(), rest.shape[1]
        order = torch.argsort(self._from, stable=True)
        sender, receiver = self._from[order].cpu().numpy(), self._to[order].cpu().numpy()
        first = np.searchsorted(sender, np.arange(len(rest) + 1))

        def beside(some: Index) -> tuple[Index, Index]:
            """Edges that leave some columns, and those columns with all that they lead to."""
            edges = np.concatenate([np.arange(first[k], first[k + 1]) for k in some])
            return edges, np.union1d(some, receiver[edges])

        left = wanted.cpu().numpy().copy()
        for seed in np.flatnonzero(left):
            if not left[seed]:
                continue
            _, near = beside(np.array([seed]))
            core = near[left[near]]
            _, every = beside(core)
            edges, _ = beside(every)
            edges = edges[np.isin(receiver[edges], every)]
            matrix = rest.new_zeros(len(every), len(every), size, size)
            numbers = torch.from_numpy(every).to(rest.device)
            places = torch.arange(len(every), device=rest.device)
            matrix[places, places] = self._own[numbers]
            rows, cols = (
                torch.from_numpy(np.searchsorted(every, ends[edges])).to(rest.device)
                for ends in (sender, receiver)
            )
            matrix[rows, cols] = self._both[order[torch.from_numpy(edges).to(rest.device)]]
            inverse = _inverted(matrix)
            if not bool(torch.isfinite(inverse).all()):
                # Columns on top of one another: only with its ridge has the matrix an inverse.
                matrix[places, places] = self._firm[numbers]
                inverse = _inverted(matrix)
            inside = torch.from_numpy(np.searchsorted(every, core)).to(rest.device)
            rest[torch.from_numpy(core).to(rest.device)] = inverse[inside, :, inside, :]
            left[core] = False
        return rest

    def _times(self, way: Tensor) -> Tensor:
        """The matrix, with its ridge, times columns (N, P, R)."""
        return (self._firm @ way).index_add(0, self._from, self._both @ way[self._to])

    def _solved(self, goal: Tensor) -> Tensor:
        """The inverse times (N, P, 1), by conjugate gradients."""
        found, rest = torch.zeros_like(goal), goal
        way = self._inverse @ rest
        size = first = (rest * way).sum()
        for _ in range(SOLVER_STEPS):
            if not float(size) > SOLVER_ACCURACY**2 * float(first):
                break
            image = self._times(way)
            curvature = (way * image).sum()
            # Columns on top of one another: the rest of the solution is below rounding.
            if not float(curvature) > 0:
                break
            length = size / curvature
            found, rest = found + length * way, rest - length * image
            ahead = self._inverse @ rest
            size, before = (rest * ahead).sum(), size
            way = ahead + size / before * way
        return found


def _inverted(matrix: Tensor) -> Tensor:
    """(n, P, n, P) inverse of a matrix of blocks (n, n, P, P); NaN where it has none."""
    count, size = len(matrix), matrix.shape[-1]
    whole = matrix.transpose(1, 2).reshape(1, count * size, count * size)
    return covariance(whole)[0].view(count, size, count, size)


def _inverse_of(schur: Tensor, corner: Tensor) -> Tensor:
    """(S, S) inverse of what others leave of shared parameters, whose information was `corner`."""
    scale = torch.where(corner > 0, corner, 1.0).sqrt()
    scale = scale[:, None] * scale
    initial, ways = torch.linalg.eigh(0.5 * (schur + schur.mT) / scale)
    inverse: Tensor = ways / initial.clamp_min(LEAST_KNOWN) @ ways.mT / scale
    return inverse


def _close(own: Tensor, cross: Tensor, pairs: Tensor) -> Tensor:
    """(N,) 1 for columns that have another nearly on top of them, 0 for the others."""
    light = own[:, AMPLITUDE, AMPLITUDE].clamp_min(0.0)
    alike = cross[:, AMPLITUDE, AMPLITUDE] ** 2 > CLOSE**2 * light[pairs].prod(1)
    return torch.zeros_like(light).index_fill(0, pairs[alike].view(-1), 1.0)
