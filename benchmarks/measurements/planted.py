"""Tables of columns whose truth is known, for the other benchmarks of this theme."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from benchmarks.seeds import MEASUREMENTS, generator
from napari_atomseg.analysis.lattice.strain import turned

Array = NDArray[np.float64]
Deviations = Iterator[tuple[str, Array]]
"""Names of measurements with (n,) deviations from the truth over the stated errors."""

SAMPLING = 0.1
"""Å a pixel."""
NOISE = 0.5
"""px, of each position along y and along x: 5 pm."""
SQUARE = np.array([[20.0, 0.0], [0.0, 20.0]])
HEXAGONAL = np.array([[0.0, 20.0], [10.0 * np.sqrt(3.0), 10.0]])
CELL = 2.0 * SQUARE
CAGE = np.array([[0.0, 0.0], [0.53, 0.5]])
"""Sites of a perovskite without its oxygen, the second one displaced along a."""


def seeded(part: int, seed: int) -> np.random.Generator:
    """Random numbers of their own for each simulation of each part."""
    return generator(MEASUREMENTS, part, seed)


def planted(
    vectors: Array, motif: ArrayLike = ((0.0, 0.0),), size: float = 300.0, turn: float = 0.0
) -> pd.DataFrame:
    """Columns of a square image of `size` px: ``y``, ``x`` (px), ``kind`` and ``volume``.

    The cell (rows (y, x), px) is turned counter-clockwise as seen, by degrees.
    """
    cell = vectors @ turned(np.radians(turn)).T
    reach = int(2 * size / np.sqrt(abs(np.linalg.det(cell)))) + 4
    steps = np.stack(np.meshgrid(*[np.arange(-reach, reach)] * 2), axis=-1).reshape(-1, 1, 2)
    places = ((steps + np.asarray(motif)) @ cell + 0.5 * size).reshape(-1, 2)
    kind = np.tile(np.arange(len(np.asarray(motif))), len(steps))
    table = pd.DataFrame({"y": places[:, 0], "x": places[:, 1], "kind": kind})
    table["volume"] = 3.0 / (1.0 + table["kind"])
    return table[table["y"].between(0, size) & table["x"].between(0, size)].reset_index(drop=True)


def strayed(columns: pd.DataFrame, rng: np.random.Generator, noise: float = NOISE) -> pd.DataFrame:
    """Columns with normal errors of their positions, stated as they are."""
    away = rng.normal(0.0, noise, (2, len(columns)))
    y, x = columns["y"] + away[0], columns["x"] + away[1]
    return columns.assign(y=y, x=x, y_err=noise, x_err=noise)


def deformed(columns: pd.DataFrame, gradient: Array, size: float = 300.0) -> pd.DataFrame:
    """Columns about the middle of the image, mapped by a deformation gradient (2, 2) in (y, x)."""
    places = (columns[["y", "x"]].to_numpy() - 0.5 * size) @ gradient.T + 0.5 * size
    return columns.assign(y=places[:, 0], x=places[:, 1])


def random_gradient(rng: np.random.Generator) -> tuple[Array, dict[str, float]]:
    """A deformation gradient of a per cent or so, and its strain and rotation."""
    xx, yy, xy, angle = rng.normal(0.0, 0.01, 4)
    gradient = turned(angle) @ (np.eye(2) + np.array([[yy, xy], [xy, xx]]))
    rotation = float(np.degrees(angle))
    return gradient, {"eps_xx": xx, "eps_yy": yy, "eps_xy": -xy, "rotation_deg": rotation}
