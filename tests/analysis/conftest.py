"""Crystals whose columns are known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from ase import Atoms

from napari_atomseg.specimen.crystals.builtin import get_crystal
from napari_atomseg.specimen.crystals.projection import project_cell
from napari_atomseg.specimen.crystals.zone import orient


def planted_crystal(
    vectors: Any,
    motif: Any = ((0.0, 0.0),),
    size: float = 400.0,
    *,
    turn: float = 0.0,
    noise: float = 0.0,
    missing: float = 0.0,
    volumes: Any = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Columns of a square image of `size` px: y, x, y_err, x_err, true_y, true_x, kind, volume.

    The cell (rows (y, x), px) is turned counter-clockwise as seen, about the image's middle.
    """
    rng = np.random.default_rng(seed)
    cosine, sine = np.cos(np.radians(turn)), np.sin(np.radians(turn))
    cell = np.asarray(vectors, float) @ np.array([[cosine, sine], [-sine, cosine]])
    reach = int(2 * size / np.sqrt(abs(np.linalg.det(cell)))) + 4
    steps = np.stack(np.meshgrid(*[np.arange(-reach, reach)] * 2), axis=-1).reshape(-1, 1, 2)
    places = ((steps + np.asarray(motif, float)) @ cell + 0.5 * size + 0.3).reshape(-1, 2)
    kind = np.tile(np.arange(len(motif)), len(steps))
    keep = np.all((places > 0) & (places < size), axis=1) & (rng.random(len(places)) >= missing)
    places, kind = places[keep], kind[keep]
    found = places + rng.normal(0.0, noise, places.shape) if noise else places
    bright = np.ones(len(motif)) if volumes is None else np.asarray(volumes, float)
    return pd.DataFrame(
        {
            "y": found[:, 0],
            "x": found[:, 1],
            "y_err": noise,
            "x_err": noise,
            "true_y": places[:, 0],
            "true_x": places[:, 1],
            "kind": kind,
            "volume": bright[kind] * rng.normal(1.0, 0.05, len(kind)),
        }
    )


@pytest.fixture
def planted() -> Callable[..., pd.DataFrame]:
    return planted_crystal


def seen_crystal(
    crystal: str | Atoms,
    axis: tuple[int, int, int],
    *,
    size: float = 60.0,
    turn: float = 0.0,
    faintest: float = 0.1,
    noise: float = 0.03,
    scale: float = 1.0,
    sampling: float = 0.15,
    seed: int = 0,
) -> pd.DataFrame:
    """Columns of a crystal, in px, with the names that they should get."""
    lattice = project_cell(orient(get_crystal(crystal), axis)).rotated(turn)
    columns = lattice.fill(np.zeros(2), np.full(2, size), np.array([3.1, 2.3]))
    kind, names = lattice.species
    rng = np.random.default_rng(seed)
    weights = lattice.weights[columns.species]
    table = pd.DataFrame(
        {
            "y": scale * (columns.y + rng.normal(0, noise, len(columns.y))) / sampling,
            "x": scale * (columns.x + rng.normal(0, noise, len(columns.x))) / sampling,
            "volume": weights * rng.normal(1.0, 0.05, len(weights)),
            "true": [names[kind[k]] for k in columns.species],
        }
    )
    return table[weights >= faintest * lattice.weights.max()].reset_index(drop=True)


@pytest.fixture
def seen() -> Callable[..., pd.DataFrame]:
    return seen_crystal
