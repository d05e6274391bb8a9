"""What noise that neighbouring pixels share does to a joint fit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from napari_atomseg.localization.fit.correlation import (
    TOUCHING,
    NoiseFound,
    Shared,
    Standardised,
    estimate_correlation,
    looked_at,
    looks_white,
    taken_for_white,
)
from napari_atomseg.localization.fit.gaussian import derivatives, elongated
from napari_atomseg.localization.fit.joint.model import BACKGROUND, LOG_SIGMA, JointModel, Y
from napari_atomseg.localization.fit.learning import HIDDEN, ROUNDS, SAMPLES, SHARED_COLUMNS
from napari_atomseg.localization.fit.least_squares import covariance
from napari_atomseg.localization.fit.noise import ResidualNoise, estimate_noise
from napari_atomseg.localization.fit.windows import Windows
from napari_atomseg.localization.settings import Likelihood
from napari_atomseg.trust.correlation import NoiseCorrelation


@dataclass
class SharedNoise:
    """The correlation of the noise that a joint fit leaves over, and what it does to the errors.

    The covariance of all columns together would need the noise of all pairs of pixels. Each
    column's errors grow by the factor by which they grow where it is fitted alone to its own light.

    Parameters
    ----------
    model, theta, expected : the model, its parameters (N, 5), and its image (H', W').
    fitted : the noise that set the weights of the fit.
    shared : parameters that all columns have in common.
    held : (N, 5) parameters that were not fitted.

    Attributes
    ----------
    found : what the residuals show of the noise.
    noise : the noise, estimated again where pixels share it.
    """

    model: JointModel
    theta: Tensor
    expected: Tensor
    fitted: ResidualNoise
    shared: list[int]
    held: Tensor
    found: NoiseFound = field(default_factory=NoiseFound)

    def __post_init__(self) -> None:
        self.noise = self.fitted

    def learn(self, likelihood: Likelihood) -> None:
        """Estimate how far pixels share their noise, and the noise anew if they do."""
        good = torch.nonzero(~self.held[:, Y])[:, 0]
        some = good[:: max(1, len(good) // SHARED_COLUMNS)]
        if not len(some):
            return
        self.found = looked_at(list(self._standardised(some)))
        if looks_white(list(self._standardised(some)), self._free()):
            return
        image = self.model.canvas.image(self.model.data)
        width = float(self.theta[:, LOG_SIGMA].median().exp())
        white = taken_for_white(image, width, self.noise, self.found)
        if white is not None:
            self.found = white
            return
        for number in range(ROUNDS):
            count = SAMPLES if number + 1 == ROUNDS else SAMPLES // 2
            residuals = list(self._standardised(some))
            samples = [
                next(self._standardised(self._with_neighbours(int(column))))
                for column in some[:: max(1, len(some) // count)][:count]
            ]
            self.found = estimate_correlation(residuals, samples, self._free(), joint=True)
            if self.found.correlation.white:
                break
            self.noise = self._estimated(some, likelihood)

    def take(self, correlation: NoiseCorrelation, likelihood: Likelihood) -> None:
        """Take how far pixels share noise as known, and estimate the noise anew if they do."""
        self.found = NoiseFound(correlation=correlation, given=True)
        good = torch.nonzero(~self.held[:, Y])[:, 0]
        some = good[:: max(1, len(good) // SHARED_COLUMNS)]
        for _ in range(ROUNDS if len(some) and not correlation.white else 0):
            self.noise = self._estimated(some, likelihood)

    def factors(self) -> tuple[Tensor, Tensor]:
        """By how much errors (N, 5) exceed those of white noise; and (H', W') what residuals keep.

        The latter is the variance of a residual over that of the noise.
        """
        growth = torch.ones_like(self.theta)
        kept = torch.ones_like(self.expected)
        for part, inverse, effect in self._effects(torch.arange(len(self.theta))):
            some, place = part
            ratio = effect.covariance().diagonal(dim1=1, dim2=2) / inverse.diagonal(dim1=1, dim2=2)
            growth[some] = torch.nan_to_num(ratio.clamp_min(0.0).sqrt(), nan=1.0, posinf=1.0)
            mine = self.model.owner.view(-1)[place] == some[:, None, None].to(place.device)
            kept.view(-1)[place[mine]] = effect.left()[mine]
        growth[:, self.shared] = 1.0
        return growth, kept

    def _free(self) -> Tensor:
        free = torch.ones(self.theta.shape[1], dtype=torch.bool, device=self.theta.device)
        free[self.shared] = False
        # The axes of columns on pixels that are not square are not fitted.
        return torch.nn.functional.pad(free, (0, 2)) if self.model.aspect else free

    def _with_neighbours(self, number: int) -> Tensor:
        gap = torch.linalg.vector_norm(self.theta[:, :2] - self.theta[number, :2], dim=1)
        reach = 2 * TOUCHING * float(torch.exp(self.theta[number, 2]))
        near = torch.nonzero((gap < reach) & ~self.held[:, Y])[:, 0]
        return torch.cat([near.new_tensor([number]), near[near != number]])

    def _standardised(self, some: Tensor, own: bool = True) -> Iterator[Standardised]:
        """Batches of columns, with the pixels of their cells, or all of their windows."""
        canvas, model = self.model.canvas, self.model
        size = max(1, canvas.batches()[0].stop)
        variance = self.noise.variance(self.expected) / model.frames
        weights = variance * model.frames / self.fitted.variance(self.expected)
        residual = model.used * (model.data - self.expected) / variance.sqrt()
        for batch in torch.split(some, size):
            place = canvas.places_of(batch)
            inside = model.used.view(-1)[place] > 0
            if own:
                inside = inside & (model.owner.view(-1)[place] == batch[:, None, None])
            windows = Windows(
                canvas.row[batch, None], canvas.col[batch, None], canvas.step.to(residual), inside
            )
            theta = self.theta[batch].clone()
            theta[:, :2] -= torch.stack([canvas.row[batch], canvas.col[batch]], dim=1)
            planes = (
                each.view(-1)[place].masked_fill(~inside, fill)
                for each, fill in ((residual, 0.0), (variance.sqrt(), 1.0), (weights, 0.0))
            )
            left, deviation, weighted = planes
            theta = elongated(theta, self.model.aspect)
            yield Standardised(windows, left, deviation, theta, weighted)

    def _effects(self, some: Tensor) -> Iterator[tuple[tuple[Tensor, Tensor], Tensor, Shared]]:
        """Batches of columns and their places, (JᵀWJ)⁻¹ of each alone, and what sharing does."""
        start = 0
        for part in self._standardised(some.to(self.theta.device), own=False):
            batch = some[start : start + len(part.theta)].to(self.theta.device)
            start += len(part.theta)
            place = self.model.canvas.places_of(batch)
            slopes = derivatives(part.theta, part.windows.step)[:, : self.theta.shape[1]]
            mine = self.model.owner.view(-1)[place] == batch[:, None, None]
            slopes[:, BACKGROUND] = mine.to(slopes)
            slopes[:, self.shared] = 0.0
            slopes = slopes * (part.windows.inside / part.deviation)[:, None]
            matrix = (slopes * part.weights[:, None]).flatten(2) @ slopes.flatten(2).mT
            matrix.diagonal(dim1=1, dim2=2)[:, self.shared] = 1.0
            inverse = torch.nan_to_num(covariance(matrix))
            inverse[:, self.shared] = 0.0
            effect = Shared(slopes, inverse, self.found.correlation, part.weights)
            yield (batch, place), inverse, effect

    def _estimated(self, some: Tensor, likelihood: Likelihood) -> ResidualNoise:
        expected, squared, sure = [], [], []
        for (batch, place), _, effect in self._effects(some):
            mine = self.model.owner.view(-1)[place] == batch[:, None, None]
            mine &= self.model.used.view(-1)[place] > 0
            here = place[mine]
            left = effect.left()[mine].clamp_min(HIDDEN)
            there = self.expected.view(-1)[here]
            expected.append(there)
            off = (self.model.data.view(-1)[here] - there) ** 2
            squared.append(self.model.frames.view(-1)[here] * off / left)
            sure.append(left**2)
        return estimate_noise(torch.cat(expected), torch.cat(squared), likelihood, torch.cat(sure))
