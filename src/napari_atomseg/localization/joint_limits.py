"""Where a joint fit may go: columns that leave their limits are held, and do the others no harm."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from napari_atomseg.localization.joint_model import AMPLITUDE, LOG_SIGMA, X, Y
from napari_atomseg.localization.rounds import FREE_WIDTH
from napari_atomseg.localization.survey import Survey, on

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
