"""Random column lattices that no crystal book holds, and disordered columns, for training."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_atomseg.specimen.lattice import ColumnLattice

_SITES = (
    (0.0, 0.0),
    (0.5, 0.5),
    (0.5, 0.0),
    (0.0, 0.5),
    (1 / 3, 2 / 3),
    (2 / 3, 1 / 3),
    (0.25, 0.25),
    (0.75, 0.75),
)


def random_lattice(rng: np.random.Generator, spacing: float, contrast: float) -> ColumnLattice:
    """A lattice of one to six columns a cell whose closest columns lie `spacing` Å apart.

    The cell is square, hexagonal, rectangular or oblique; columns stand on special positions, on
    random ones, or in dumbbells. Scattering differs between species by up to a factor `contrast`.
    """
    while True:
        lattice = _trial(rng, contrast)
        nearest = lattice.nearest_spacing()
        cell_area = abs(np.linalg.det(lattice.vectors))
        typical = np.sqrt(cell_area / len(lattice.positions))
        if nearest > 0.35 * typical:
            return lattice.scaled(spacing / nearest)


def _trial(rng: np.random.Generator, contrast: float) -> ColumnLattice:
    kind = rng.choice(["square", "hexagonal", "rectangular", "oblique"], p=[0.25, 0.3, 0.25, 0.2])
    ratio, angle = 1.0, 90.0
    if kind == "hexagonal":
        angle = 120.0
    if kind in ("rectangular", "oblique"):
        ratio = float(np.exp(rng.uniform(0.0, 0.9)))
    if kind == "oblique":
        angle = float(rng.uniform(70.0, 120.0))
    radians = np.deg2rad(angle)
    vectors = np.array([[0.0, 1.0], [ratio * np.sin(radians), ratio * np.cos(radians)]])
    count = int(rng.choice([1, 2, 3, 4, 5, 6], p=[0.3, 0.3, 0.15, 0.12, 0.07, 0.06]))
    if rng.random() < 0.6:
        chosen = np.array(_SITES)[rng.permutation(len(_SITES))[:count]]
        positions = chosen + rng.normal(0.0, rng.choice([0.0, 0.03]), chosen.shape)
    else:
        positions = rng.random((count, 2))
    weights = np.exp(rng.uniform(-np.log(contrast), 0.0, count))
    if rng.random() < 0.3:
        weights[:] = 1.0
    weights /= weights.max()
    if rng.random() < 0.2:
        positions, weights = _split_into_dumbbells(rng, positions, weights)
    return ColumnLattice(vectors, positions, weights)


def _split_into_dumbbells(
    rng: np.random.Generator, positions: NDArray[np.float64], weights: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    turn = rng.uniform(0.0, 2 * np.pi)
    half = 0.5 * rng.uniform(0.2, 0.45) * np.array([np.sin(turn), np.cos(turn)])
    partner = rng.choice([1.0, rng.uniform(0.3, 1.0)])
    return (
        np.concatenate([positions - half, positions + half]),
        np.concatenate([weights, weights * partner]),
    )


def random_points(
    rng: np.random.Generator,
    lower: NDArray[np.float64],
    upper: NDArray[np.float64],
    spacing: float,
) -> NDArray[np.float64]:
    """(N, 2) disordered positions in Å, none closer than `spacing` to another."""
    area = float(np.prod(upper - lower))
    density = rng.uniform(0.1, 0.75)
    points = np.zeros((0, 2))
    for _ in range(6):
        fresh = rng.uniform(lower, upper, (max(1, int(density * area / spacing**2)), 2))
        candidates = np.concatenate([points, fresh])
        distance = np.linalg.norm(candidates[:, None] - candidates[None], axis=-1)
        too_close = np.any(np.tril(distance < spacing, -1), axis=1)
        points = candidates[~too_close]
    return points
