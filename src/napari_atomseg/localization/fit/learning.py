"""The noise of an image, learnt from what a round of fits leaves over."""

from __future__ import annotations

import numpy as np
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
from napari_atomseg.localization.fit.gaussian import ROUND, column_values, derivatives, leverage
from napari_atomseg.localization.fit.least_squares import covariance
from napari_atomseg.localization.fit.noise import ResidualNoise, estimate_noise
from napari_atomseg.localization.fit.rounds import Cells, Rounds
from napari_atomseg.localization.fit.windows import Index
from napari_atomseg.localization.settings import Likelihood
from napari_atomseg.progress import checkpoint
from napari_atomseg.trust.correlation import NoiseCorrelation

PRIOR_FREEDOM = 30.0
"""Degrees of freedom of the prior on a column's noise, which is the noise of the whole image."""
NOISE_COLUMNS, SHARED_COLUMNS = 1_000, 300
"""Columns whose residuals are enough to estimate the noise, and how far pixels share it."""
NOISE_PIXELS = 120_000
"""Pixels in their windows that are enough, where columns are wide."""
FEWEST_COLUMNS = 100
"""Columns that are looked at, however wide they are."""
LEAST_LEFT = 0.2
"""Smallest part of a pixel's noise that is assumed to remain in its residual."""
ROUNDS = 3
"""Alternating estimates of how noise is shared, and of how large it is."""
SAMPLES = 8
"""Columns whose surroundings are enough to know what fits leave of correlated noise."""
LARGE = 30.0
"""Pixels; in larger windows neighbours do not matter for what fits leave of the noise."""
HIDDEN = 1e-3
"""The same where pixels share their noise, and such pixels have little weight."""


class NoiseLearning(Rounds):
    """Rounds of fits whose residuals show the noise: how large it is, and how far it is shared.

    Attributes
    ----------
    known_correlation : how far pixels share their noise, where that is known before.
    """

    known_correlation: NoiseCorrelation | None = None

    def estimate_noise(self, likelihood: Likelihood) -> None:
        """Estimate the noise from the residuals of the last round."""
        nothing = torch.zeros(0).to(self._image)
        expected, squared, sure = [nothing], [nothing], [nothing]
        enough = NOISE_COLUMNS if self.correlation.white else SHARED_COLUMNS
        for batch, cells in self.cells(self._some(enough)):
            checkpoint()
            inside = cells.windows.inside
            values = column_values(self._theta[batch], cells.windows.step)
            white = self.correlation.white
            left = self._left(batch, cells, values).clamp_min(LEAST_LEFT if white else HIDDEN)
            expected.append((values + cells.neighbours)[inside])
            squared.append((cells.frames * (cells.data - values) ** 2 / left)[inside])
            sure.append(torch.ones_like(left[inside]) if white else left[inside] ** 2)
        self._noise = estimate_noise(
            torch.cat(expected), torch.cat(squared), likelihood, torch.cat(sure)
        )
        if self._frames is not None and likelihood == "poisson":
            self._counted = self._frames.counted(self._noise)
            self._noise = self._counted or self._noise

    def _some(self, enough: int) -> Index:
        """Columns that are enough to estimate the noise."""
        good = np.flatnonzero(self._good.cpu().numpy())
        side = 2.0 * float(np.median(self._initial.radius)) + 1.0
        enough = min(enough, max(FEWEST_COLUMNS, round(NOISE_PIXELS / side**2)))
        return good[:: max(1, len(good) // enough)]

    def _left(self, batch: Index, cells: Cells, values: Tensor) -> Tensor:
        """(n, S, S) part of the noise's variance that is left in the residuals of a round."""
        theta, windows = self._theta[batch], cells.windows
        if self.correlation.white or self._noise is None:
            return 1.0 - leverage(theta, windows.step, windows.inside)
        part = self._standardised(batch, cells)
        slopes = derivatives(theta, windows.step) * (windows.inside / part.deviation)[:, None]
        held = ~self._free(slopes)
        slopes[:, held] = 0.0
        matrix = (slopes * part.weights[:, None]).flatten(2) @ slopes.flatten(2).mT
        matrix.diagonal(dim1=1, dim2=2)[:, held] = 1.0
        inverse = torch.nan_to_num(covariance(matrix))
        return Shared(slopes, inverse, self.correlation, part.weights).left()

    def learn_correlation(self, likelihood: Likelihood) -> bool:
        """Estimate how far pixels share their noise, and the noise anew; whether they do.

        Noise that pixels share hides in the fits, the more so the smoother it is: its variance has
        been estimated too low, and more so where columns are bright.
        """
        some = self._some(SHARED_COLUMNS)
        if not len(some):
            return False
        if self.known_correlation is not None:
            self.found = NoiseFound(correlation=self.known_correlation, given=True)
            for _ in range(0 if self.correlation.white else ROUNDS):
                self.estimate_noise(likelihood)
            return not self.correlation.white
        if self._counted is not None:
            self.found = NoiseFound(counted=True)
            return False
        residuals = [self._standardised(batch, cells) for batch, cells in self.cells(some)]
        self.found = looked_at(residuals)
        if self._noise is None or looks_white(residuals, self._free(self._theta)):
            return False
        white = taken_for_white(self._image, self._initial.sigma, self._noise, self.found)
        if white is not None:
            self.found = white
            return False
        self.render_light()
        for number in range(ROUNDS):
            checkpoint()
            self._estimate_correlation(some, SAMPLES if number + 1 == ROUNDS else SAMPLES // 2)
            if self.correlation.white:
                break
            self.estimate_noise(likelihood)
        return not self.correlation.white

    def _estimate_correlation(self, some: Index, count: int) -> None:
        residuals = [self._standardised(batch, cells) for batch, cells in self.cells(some)]
        samples = []
        for number in some[:: max(1, len(some) // count)][:count]:
            near = self._initial.touching(number, TOUCHING * 2 * self._initial.sigma)
            near = near[self._good[near].cpu().numpy()]
            if self._initial.radius[number] > LARGE:
                near = near[:0]
            batch, cells = next(self.cells(np.append(near, number)))
            part = self._standardised(batch, cells)
            samples.append(part.beginning(int(np.argmax(batch == number))))
        self.found = estimate_correlation(residuals, samples, self._free(self._theta), joint=False)

    def _standardised(self, batch: Index, cells: Cells) -> Standardised:
        """Residuals of the last round, over the noise as it is known now."""
        if self._noise is None or self._weighting is None:
            raise RuntimeError("the noise is not estimated yet")
        theta = self._theta[batch]
        values = column_values(theta, cells.windows.step)
        variance = cells.variance(values, self._noise)
        residual = (cells.data - values) / variance.sqrt() * cells.windows.inside
        weights = variance / cells.variance(values, self._weighting)
        return Standardised(cells.windows, residual, variance.sqrt(), theta, weights)


def noise_excess(
    cells: Cells,
    theta: Tensor,
    noise: ResidualNoise,
    left: Tensor | None = None,
    patch: float = 1.0,
    parameters: int = ROUND,
) -> Tensor:
    """(n,) factors by which residuals exceed the noise; pixels at its floor are left out.

    Where pixels share their noise, `left` (n, S, S) of its variance is expected in each residual,
    and `patch` pixels fluctuate as one. `parameters` of a column were fitted.
    """
    values = column_values(theta, cells.windows.step)
    informative = noise.variance(values + cells.neighbours) > noise.floor
    informative &= cells.windows.inside
    chi = (
        ((cells.data - values) ** 2 / cells.variance(values, noise))
        .masked_fill_(~informative, 0.0)
        .sum((1, 2))
    )
    if left is None:
        freedom = (informative.sum((1, 2)) - parameters).clamp_min(0)
    else:
        freedom = left.masked_fill(~informative, 0.0).sum((1, 2)).clamp_min(0.0)
    return moderated(torch.where(freedom > 0, chi, 0.0) / patch, freedom / patch)


def moderated(chi: Tensor, freedom: Tensor) -> Tensor:
    """Reduced χ², shrunk towards 1 for few degrees of freedom."""
    return (chi + PRIOR_FREEDOM) / (freedom + PRIOR_FREEDOM)
