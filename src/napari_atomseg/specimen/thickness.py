"""Thickness of the specimen across the field: vacuum edges, wedges, facets and undulations."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Thickness:
    """Relative thickness t(y, x) in 0..1: a product of ramps and of one smooth undulation.

    Attributes
    ----------
    planes : (P, 4) rows (ny, nx, distance, width): the specimen lies where
        n·r > distance, and grows from 0 to 1 over `width` Å beyond (0: a cliff).
    waves : (K, 4) rows (ky, kx, phase, amplitude) of an undulation in 1/Å and radians.
    """

    planes: Array = field(default_factory=lambda: np.zeros((0, 4)))
    waves: Array = field(default_factory=lambda: np.zeros((0, 4)))

    def __call__(self, y: Array, x: Array) -> Array:
        """Thickness at positions in Å."""
        result = np.ones(np.broadcast(y, x).shape)
        for ny, nx, distance, width in self.planes:
            depth = ny * y + nx * x - distance
            result = result * np.clip(depth / max(width, 1e-6), 0.0, 1.0)
        wave = np.zeros_like(result)
        for ky, kx, phase, amplitude in self.waves:
            wave += amplitude * np.cos(2 * np.pi * (ky * y + kx * x) + phase)
        return result * np.clip(1.0 + wave, 0.15, None)


def random_planes(
    rng: np.random.Generator, centre: Array, extent: float, count: int, width: float
) -> Array:
    """`count` half-planes around a point near the centre; 3 or more make a faceted particle."""
    start = rng.uniform(0.0, 2 * np.pi)
    turns = start + 2 * np.pi * (np.arange(count) + rng.uniform(-0.2, 0.2, count)) / max(count, 1)
    normals = np.stack([np.sin(turns), np.cos(turns)], axis=1)
    away = extent * rng.uniform(0.05 if count < 3 else 0.2, 0.45, count)
    distance = normals @ centre - away
    return np.column_stack([normals, distance, np.full(count, width)])


def random_waves(rng: np.random.Generator, wavelength: float, amplitude: float) -> Array:
    """Four long waves that sum to an undulation of the given amplitude."""
    turns = rng.uniform(0.0, 2 * np.pi, 4)
    k = 1.0 / (wavelength * np.exp(rng.uniform(0.0, 1.0, 4)))
    return np.column_stack(
        [
            k * np.sin(turns),
            k * np.cos(turns),
            rng.uniform(0.0, 2 * np.pi, 4),
            amplitude * rng.uniform(0.0, 0.5, 4),
        ]
    )
