"""Bounds of the joint fit; columns that leave them are frozen."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from napari_atomseg.localization.fit.independent import FREE_WIDTH
from napari_atomseg.localization.fit.joint.model import AMPLITUDE, LOG_SIGMA, X, Y
from napari_atomseg.localization.fit.windows import InitialEstimates, tensor_like

FAINTEST, BRIGHTEST = 1e-3, 4.0
"""Amplitudes, relative to the median, between which a column stays; a column that was brighter
when it was fitted alone may grow as much over that."""
LONGEST, WIDEST = 0.5, 0.2
"""Steps of a position, over sigma, and of ln sigma, at most."""
PATIENCE = 30.0
"""A column that leaves its bounds this many times less far than another is not frozen yet: it may
be the other one that pushes it."""
LARGEST_FACTOR = 4.0
"""By which a step is made shorter, at most."""


@dataclass(frozen=True)
class JointBounds:
    """Bounds of the parameters (N, 5).

    A step cannot simply be cut at a bound: the step of the other parameters and of the neighbours
    was computed for all of it. Where there is no column at a starting position, or two positions
    share one column, amplitudes of opposite signs would grow from step to step. Such a column is
    frozen at its start; only its amplitude and background, in which the model is linear, are still
    fitted.

    Attributes
    ----------
    start : (N, 5) where the fit begins, within the bounds.
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
    def around(cls, start: Tensor, initial: InitialEstimates, shared: list[int]) -> JointBounds:
        """Bounds of a fit that begins at `start` (N, 5)."""
        place = torch.stack([tensor_like(start, initial.y), tensor_like(start, initial.x)], dim=1)
        return cls(start, place, tensor_like(start, initial.step), initial.sigma, shared)

    def leaving(self, theta: Tensor, step: Tensor, held: Tensor, overshoot: float) -> Tensor:
        """(N, 5) parameters to be held from now on, as a step would take them out of their bounds.

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
        dim = bright <= 1.0
        within = (far <= 1.0) & dim & (amplitude >= FAINTEST * typical)
        out = torch.zeros_like(held)
        out[:, [Y, X, LOG_SIGMA, *self.shared]] = ~within[:, None]
        # The amplitude of such a column is determined only by pixels of its neighbours.
        out[:, AMPLITUDE] = held[:, Y] & ~dim
        if LOG_SIGMA not in self.shared:
            out[:, LOG_SIGMA] |= ~(wide <= 1.0)
        out &= ~held
        # An undetermined column drags its neighbours along: it is frozen first.
        distance = torch.stack([far, bright, wide]).amax(0).nan_to_num(nan=torch.inf)
        distance = torch.where(out.any(1), distance, 0.0)
        return out & (distance >= distance.max() / PATIENCE)[:, None]

    def reset(self, theta: Tensor, left: Tensor) -> Tensor:
        """Parameters (N, 5), those that left their bounds back at the start; shared ones stay."""
        new = torch.where(left | left[:, Y, None], self.start, theta)
        new[:, self.shared] = theta[:, self.shared]
        return new

    def advanced(self, theta: Tensor, step: Tensor) -> Tensor:
        """Parameters after a step; each column's step is scaled as a whole until it is allowed."""
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


def shortened(
    step: Tensor, before: Tensor, gone: Tensor, stiff: Tensor, shared: list[int]
) -> Tensor:
    """A step (N, 5), shorter where the one before it went too far.

    After a step `before`, of which `gone` (both (N, 5)) was taken, the next should be the rest.
    Where columns are not Gaussian, steps are too long by a factor that follows from the next one,
    as in a secant method; the shared parameters have one factor, and each column has its own.

    Parameters
    ----------
    stiff : (N, 5) inverse standard errors, which make parameters comparable.
    """
    own = [parameter for parameter in range(step.shape[1]) if parameter not in shared]
    weight = gone * stiff**2
    new = step.clone()
    for some, over in ((own, (1,)), (shared, (0, 1))):
        if some:
            missed = (weight * (before - step))[:, some].sum(over, keepdim=True)
            factor = missed / (weight * gone)[:, some].sum(over, keepdim=True)
            new[:, some] /= torch.nan_to_num(factor, nan=1.0).clamp(1.0, LARGEST_FACTOR)
    return new
