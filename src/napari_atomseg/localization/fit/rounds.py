"""What rounds of fits know of columns, and the pixels of each without the light of the others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from napari_atomseg._shared.types import Array
from napari_atomseg.localization.fit.correlation import NoiseFound
from napari_atomseg.localization.fit.gaussian import ROUND, column_values, elongated
from napari_atomseg.localization.fit.noise import Frames, ResidualNoise
from napari_atomseg.localization.fit.slopes import Slopes, find_slopes, plane
from napari_atomseg.localization.fit.windows import (
    Canvas,
    Index,
    InitialEstimates,
    Windows,
    tensor_like,
    windows_of,
)
from napari_atomseg.localization.settings import Shape
from napari_atomseg.progress import checkpoint
from napari_atomseg.trust.correlation import NoiseCorrelation

ENDS = 0.99
"""Part of the allowed distance; a fit that ends beyond it was stopped by its bound."""


@dataclass(frozen=True)
class Cells:
    """Pixels of n columns: the data without the neighbours' light, and that light.

    With the neighbours' light goes the slope of the background, where there is evidence for one.
    `frames` is how many frames lie in each pixel, over their mean.
    """

    windows: Windows
    data: Tensor
    neighbours: Tensor
    frames: Tensor | float = 1.0

    def variance(self, values: Tensor, noise: ResidualNoise) -> Tensor:
        """(n, S, S) of the noise, for columns with these values."""
        return noise.variance(values + self.neighbours) / self.frames


class Rounds:
    """Columns as the last round of fits found them; each starts from the last one.

    Parameters are those of `GaussianProblem` or `EllipticProblem`, positions relative to the
    windows' centres.
    """

    def __init__(
        self,
        image: Tensor,
        initial: InitialEstimates,
        frames: Frames | None = None,
        aspect: float = 0.0,
    ) -> None:
        y, x = tensor_like(image, initial.y), tensor_like(image, initial.x)
        self._image, self._initial = image, initial
        self._windows = list(windows_of(image, initial))
        # On pixels that are not square, round columns are longer along one axis.
        self._aspect = aspect
        widest = initial.sigma * float(np.exp(0.5 * abs(aspect)))
        self._canvas = Canvas((image.shape[0], image.shape[1]), y, x, widest)
        self._light = torch.zeros_like(image)
        self._theta = torch.full((len(y), 5), torch.nan, dtype=image.dtype, device=image.device)
        self._theta[:, 3] = 0.0
        self._theta = elongated(self._theta, aspect)
        self._good = torch.zeros(len(y), dtype=torch.bool, device=image.device)
        self._frames = frames
        self._slopes: Slopes | None = None
        self._noise: ResidualNoise | None = None
        self._weighting: ResidualNoise | None = None
        self._counted: ResidualNoise | None = None
        self.found = NoiseFound()
        self._shaped = self._free_axes = False
        self.table = np.full((10, len(y)), np.nan)

    def begin(self, known: Array) -> None:
        """Start from round columns that were fitted before.

        Parameters
        ----------
        known : (N, 5) y, x, sigma, amplitude and background, NaN where there was no fit.
        """
        theta = tensor_like(self._image, known)
        theta[:, :2] -= torch.stack([self._canvas.row, self._canvas.col], dim=1)
        theta[:, 2] = theta[:, 2].log()
        self._good = torch.isfinite(theta).all(1) & (theta[:, 3] > 0)
        self._theta[self._good] = elongated(theta[self._good], self._aspect)
        self.render_light()

    @property
    def correlation(self) -> NoiseCorrelation:
        """How far pixels share their noise."""
        return self.found.correlation

    def cells(self, only: Index | None = None) -> Iterator[tuple[Index, Cells]]:
        """Batches of all or some columns, with the pixels of each."""
        some = self._windows if only is None else windows_of(self._image, self._initial, only)
        for batch, windows in some:
            own = self._theta[batch].clone()
            own[:, 4] = 0.0
            shape = column_values(own, windows.step)
            # Beyond its margin the canvas has no light of the column that could be subtracted.
            near = windows.step.abs() <= self._canvas.margin
            seen = self._good[batch, None, None] & near[:, None] & near
            shape = torch.where(seen, shape, 0.0)
            neighbours = (windows.sample(self._light) - shape).masked_fill_(~windows.inside, 0.0)
            if self._slopes is not None:
                ground = plane(self._slopes.gradient[batch], self._slopes.at[batch], windows.step)
                neighbours = neighbours + ground.masked_fill(~windows.inside, 0.0)
            data = windows.sample(self._image) - neighbours
            often = 1.0 if self._frames is None else self._frames.at(windows)
            yield batch, Cells(windows, data, neighbours, often)

    @property
    def good(self) -> Tensor:
        """(N,) whether the last fit of a column converged."""
        return self._good

    @property
    def slopes(self) -> Slopes | None:
        """Planes under the columns, where there is evidence for them."""
        return self._slopes

    def round_parameters(self) -> Tensor:
        """(N, K) of round columns, positions relative to the windows' centres."""
        return self._theta

    def places(self) -> Tensor:
        """(N, 2) positions in the image, pixels."""
        canvas = self._canvas
        return self._theta[:, :2] + torch.stack([canvas.row, canvas.col], dim=1)

    def pixels(self) -> Array:
        """(N,) pixels in the windows."""
        count = np.zeros(len(self._theta))
        for batch, windows in self._windows:
            checkpoint()
            count[batch] = windows.inside.sum((1, 2)).cpu().numpy()
        return count

    def learn_slopes(self) -> None:
        """Find the slopes of the background, or find them better, and start from there."""
        before, self._slopes = self._slopes, find_slopes(self)
        if self._slopes is not None:
            known = 0.0 if before is None else before.moved
            self._theta[:, :ROUND] -= self._slopes.moved - known
            self.render_light()

    def set_shape(self, shape: Shape) -> None:
        """Fit another shape from now on, starting from round columns."""
        if shape != "gaussian":
            self._shaped = True
            if self._theta.shape[1] == ROUND:
                self._theta = torch.nn.functional.pad(self._theta, (0, 2))
            self._free_axes = shape == "rotated"

    def _free(self, like: Tensor) -> Tensor:
        """(K,) parameters that the last rounds fit."""
        free = torch.ones(self._theta.shape[1], dtype=torch.bool, device=like.device)
        free[ROUND:] = self._shaped
        free[ROUND + 1 :] = self._free_axes
        return free

    def parameters(self) -> Tensor:
        """(N, 5) of round columns, positions in the image; NaN where a fit failed."""
        canvas, initial, theta = self._canvas, self._initial, self._theta[:, :ROUND].clone()
        theta[:, :2] += torch.stack([canvas.row, canvas.col], dim=1)
        start = torch.stack([tensor_like(theta, initial.y), tensor_like(theta, initial.x)], dim=1)
        near = (theta[:, :2] - start).abs().amax(1) < ENDS * tensor_like(theta, initial.step)
        return torch.where((self._good & near)[:, None], theta, torch.nan)

    def render_light(self) -> None:
        """Render all columns that were fitted."""
        canvas, theta = self._canvas, self._theta
        lit = torch.where(self._good[:, None], theta, 0.0)
        self._light = canvas.image(canvas.light(lit)).contiguous()
