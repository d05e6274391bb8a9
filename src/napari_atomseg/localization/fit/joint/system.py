"""A sparse Fisher matrix, solved and inverted: columns in blocks, and what they may share."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from napari_atomseg.localization.fit.iterations import FREE_WIDTH
from napari_atomseg.localization.fit.joint.model import AMPLITUDE, BACKGROUND, LOG_SIGMA, X, Y
from napari_atomseg.localization.fit.least_squares import covariance
from napari_atomseg.localization.fit.neighbourhood import Survey, on

FAINTEST, BRIGHTEST = 1e-3, 4.0
"""Amplitudes, relative to the median, between which a column stays; a column that was brighter
when it was fitted alone may grow as much over that."""
LONGEST, WIDEST = 0.5, 0.2
"""Steps of a position, over sigma, and of ln sigma, at most."""
WILD = 30.0
"""Columns that leave their limits so many times less far than another wait for what comes then."""
LARGEST_FACTOR = 4.0
"""By which a step is made shorter, at most."""


@dataclass(frozen=True)
class Limits:
    """What parameters (N, 5) stay between.

    A step that is cut short in one parameter is wrong in the others, which reckoned with all of
    it, and those of its neighbours: where the column of a given place is none, or two are given
    for one, amplitudes of both signs grow from step to step. Such a column is held where it began,
    and only its amplitude and background, of which the model is a linear function, follow.

    Attributes
    ----------
    start : (N, 5) where the fit begins, within the limits.
    place : (N, 2) the given positions.
    walk : (N,) how far from them a fit may end.
    sigma : the typical width.
    shared : parameters that all columns have in common.
    """

    start: Tensor
    place: Tensor
    walk: Tensor
    sigma: float
    shared: list[int]

    @classmethod
    def about(cls, start: Tensor, known: Survey, shared: list[int]) -> Limits:
        """The limits of a fit that begins at `start` (N, 5)."""
        place = torch.stack([on(start, known.y), on(start, known.x)], dim=1)
        return cls(start, place, on(start, known.step), known.sigma, shared)

    def left(self, theta: Tensor, step: Tensor, held: Tensor, overshoot: float) -> Tensor:
        """(N, 5) parameters to be held, too, for a step would take them out of their limits.

        Parameters
        ----------
        held : (N, 5) parameters that are held already.
        overshoot : how far a step of positions may go, over where they may end.
        """
        new = theta + step
        amplitude, first = new[:, AMPLITUDE], self.start[:, AMPLITUDE]
        typical = first.median()
        far = (new[:, :LOG_SIGMA] - self.place).abs().amax(1) / (overshoot * self.walk)
        bright = amplitude.abs() / (BRIGHTEST * first.clamp_min(typical))
        wide = (new[:, LOG_SIGMA] - math.log(self.sigma)).abs() / math.log(FREE_WIDTH)
        told = bright <= 1.0
        within = (far <= 1.0) & told & (amplitude >= FAINTEST * typical)
        lost = torch.zeros_like(held)
        lost[:, [Y, X, LOG_SIGMA, *self.shared]] = ~within[:, None]
        # No pixels but those of its neighbours tell the amplitude of such a column.
        lost[:, AMPLITUDE] = held[:, Y] & ~told
        if LOG_SIGMA not in self.shared:
            lost[:, LOG_SIGMA] |= ~(wide <= 1.0)
        lost &= ~held
        # A column of which nothing is known takes the others with it: it goes first.
        wild = torch.stack([far, bright, wide]).amax(0).nan_to_num(nan=torch.inf)
        wild = torch.where(lost.any(1), wild, 0.0)
        return lost & (wild >= wild.max() / WILD)[:, None]

    def back(self, theta: Tensor, lost: Tensor) -> Tensor:
        """Parameters (N, 5) with those that are lost where they began, but for shared ones."""
        new = torch.where(lost | lost[:, Y, None], self.start, theta)
        new[:, self.shared] = theta[:, self.shared]
        return new

    def moved(self, theta: Tensor, step: Tensor) -> Tensor:
        """One step on: all of a column's parameters as far as the first of them may go."""
        length = step[:, :LOG_SIGMA].abs().amax(1) / (LONGEST * self.sigma)
        if LOG_SIGMA not in self.shared:
            length = torch.maximum(length, step[:, LOG_SIGMA].abs() / WIDEST)
        new = theta + step / length.clamp_min(1.0)[:, None]
        walk = self.walk[:, None]
        new[:, :LOG_SIGMA] = new[:, :LOG_SIGMA].clamp(self.place - walk, self.place + walk)
        new[:, self.shared] = (theta + step)[:, self.shared]
        if LOG_SIGMA in self.shared:
            typical, factor = math.log(self.sigma), math.log(FREE_WIDTH)
            new[:, LOG_SIGMA] = new[:, LOG_SIGMA].clamp(typical - factor, typical + factor)
        return new


def eased(step: Tensor, before: Tensor, gone: Tensor, stiff: Tensor, shared: list[int]) -> Tensor:
    """A step (N, 5), shorter where the one before it went too far.

    Of a step `before`, the way that is `gone` (both (N, 5)) should leave the rest to the next one.
    Where columns are no Gaussians, steps are too long, by a factor that the next one tells, as in a
    secant method; the shared parameters have one factor, and each column has its own.

    Parameters
    ----------
    stiff : (N, 5) inverse standard errors, which make parameters comparable.
    """
    own = [parameter for parameter in range(step.shape[1]) if parameter not in shared]
    weight = gone * stiff**2
    new = step.clone()
    for some, over in ((own, (1,)), (shared, (0, 1))):
        if some:
            lost = (weight * (before - step))[:, some].sum(over, keepdim=True)
            factor = lost / (weight * gone)[:, some].sum(over, keepdim=True)
            new[:, some] /= torch.nan_to_num(factor, nan=1.0).clamp(1.0, LARGEST_FACTOR)
    return new


WIDTHS, BACKGROUNDS = ("shared", "free"), ("local", "shared")
SOLVER_STEPS, SOLVER_ACCURACY = 60, 1e-4
CLOSE, RIDGE = 0.7, 4e-3
"""Columns whose light is alike to this correlation, less than 1.2 sigma apart, have their diagonal
raised by this fraction where steps are made: windows of pairs end, and without it the matrix of
columns on top of one another need not be positive."""
LEAST_KNOWN = 2e-3
"""Of what is known of shared parameters, at least so much is their own: where columns are wide for
their distance, one width and one background are nearly the same, and less would be rounding."""
MESSAGES = 6
"""Rounds of messages: each tells a column of neighbours one pair farther away."""


def shared_parameters(widths: str, backgrounds: str) -> list[int]:
    """Which of a column's parameters all columns have in common, for a choice of each."""
    chosen = {LOG_SIGMA: widths, BACKGROUND: backgrounds}
    return [parameter for parameter, choice in chosen.items() if choice == "shared"]


class JointSystem:
    """The Fisher matrix of N columns of five parameters, see `joint_blocks.fisher_blocks`.

    A parameter that all share, as one width, is the sum of the rows and columns of those of all: a
    border to the matrix of the others, removed by its Schur complement.

    Parameters
    ----------
    own, cross : (N, 5, 5) and (M, 5, 5) blocks.
    pairs : (M, 2) indices of the columns of `cross`.
    shared : those of `shared_parameters`.
    held : (N, 5) parameters that are not to move, none without it. One that is held takes no part
        in the shared one, but follows it.
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
        # What nothing is known of takes no part: the identity in place of nothing.
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
        parts are products of at least three overlaps.
        """
        message = torch.zeros_like(self._both)
        reverse = len(message) // 2
        for _ in range(MESSAGES if len(message) else 0):
            total = self._own.index_add(0, self._to, message)
            # What the sender knows without what the receiver has told it.
            cavity = covariance(total[self._from] - message.roll(reverse, 0))
            message = torch.nan_to_num(-self._both.mT @ cavity @ self._both)
        rest = covariance(self._own.index_add(0, self._to, message))
        rest = torch.where(torch.isfinite(rest), rest, covariance(self._own))
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
            # Columns on top of one another: what is left to find is beyond rounding.
            if not float(curvature) > 0:
                break
            length = size / curvature
            found, rest = found + length * way, rest - length * image
            ahead = self._inverse @ rest
            size, before = (rest * ahead).sum(), size
            way = ahead + size / before * way
        return found


def _inverse_of(schur: Tensor, corner: Tensor) -> Tensor:
    """(S, S) inverse of what others leave of shared parameters, whose information was `corner`."""
    scale = torch.where(corner > 0, corner, 1.0).sqrt()
    scale = scale[:, None] * scale
    known, ways = torch.linalg.eigh(0.5 * (schur + schur.mT) / scale)
    inverse: Tensor = ways / known.clamp_min(LEAST_KNOWN) @ ways.mT / scale
    return inverse


def _close(own: Tensor, cross: Tensor, pairs: Tensor) -> Tensor:
    """(N,) 1 for columns that have another nearly on top of them, 0 for the others."""
    light = own[:, AMPLITUDE, AMPLITUDE].clamp_min(0.0)
    alike = cross[:, AMPLITUDE, AMPLITUDE] ** 2 > CLOSE**2 * light[pairs].prod(1)
    return torch.zeros_like(light).index_fill(0, pairs[alike].view(-1), 1.0)
