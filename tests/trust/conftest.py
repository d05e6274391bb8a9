from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

Plane = NDArray[np.float64]


@dataclass(frozen=True)
class Lattice:
    """A square lattice of Gaussian columns on a background, in electrons, and its columns."""

    image: Plane
    y: Plane
    x: Plane
    sigma: float
    height: float

    def column(self, index: int) -> Plane:
        """The light of one column."""
        rows, cols = np.indices(self.image.shape)
        square = (rows - self.y[index]) ** 2 + (cols - self.x[index]) ** 2
        return np.asarray(self.height * np.exp(-0.5 * square / self.sigma**2))

    @property
    def middle(self) -> int:
        """Number of the column next to the centre."""
        centre = np.array(self.image.shape) / 2
        return int(np.argmin((self.y - centre[0]) ** 2 + (self.x - centre[1]) ** 2))

    def pixel(self, index: int) -> tuple[int, int]:
        """The pixel of one column."""
        return round(self.y[index]), round(self.x[index])


def make_lattice(side: int, spacing: float, sigma: float, height: float, level: float) -> Lattice:
    places = np.arange(spacing / 2, side, spacing)
    y, x = (v.ravel() for v in np.meshgrid(places, places + 0.3, indexing="ij"))
    line = np.arange(side)
    rows = np.exp(-0.5 * ((line[:, None] - places) / sigma) ** 2).sum(axis=1)
    cols = np.exp(-0.5 * ((line[:, None] - places - 0.3) / sigma) ** 2).sum(axis=1)
    return Lattice(level + height * np.outer(rows, cols), y, x, sigma, height)


@pytest.fixture(scope="session")
def lattice() -> Lattice:
    """A few electrons a pixel."""
    return make_lattice(256, 12.0, 2.0, 6.0, 1.0)
