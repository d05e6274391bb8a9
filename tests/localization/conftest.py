from dataclasses import dataclass

import numpy as np
import pytest


@dataclass(frozen=True)
class Scene:
    """Gaussian columns on a jittered square lattice: truth and its noise-free image."""

    y: np.ndarray
    x: np.ndarray
    sigma: float
    image: np.ndarray

    def counted(self, rng):
        return rng.poisson(self.image).astype(float)

    def near(self, rng, step=0.4):
        return self.y + rng.normal(0, step, len(self.y)), self.x + rng.normal(0, step, len(self.x))


def columns_image(shape, y, x, sigma, amplitude, background):
    rows = np.exp(-0.5 * ((np.arange(shape[0])[:, None] - y) / sigma) ** 2)
    cols = np.exp(-0.5 * ((np.arange(shape[1])[:, None] - x) / sigma) ** 2)
    return (rows * amplitude) @ cols.T + background


@pytest.fixture
def rng():
    return np.random.default_rng(11)


@pytest.fixture
def draw():
    return columns_image


@pytest.fixture
def scene(rng):
    def make(count, spacing, sigma, amplitude, background, jitter=0.5):
        axis = (np.arange(count) + 0.5) * spacing
        grid = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
        y, x = (grid + rng.uniform(-jitter, jitter, grid.shape)).T
        size = int(count * spacing)
        image = columns_image((size, size), y, x, sigma, amplitude, background)
        return Scene(y, x, sigma, image)

    return make
