"""What a recipe is given, and what it gives back; nothing of napari-atomseg is needed here."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path

import numpy as np


def none(width: int = 4) -> np.ndarray:
    """No rows."""
    return np.zeros((0, width))


@dataclass(frozen=True)
class Scene:
    """An image, and what its user sees or clicks on. Lengths in px, vectors as (y, x).

    Attributes
    ----------
    name : of the scene.
    image : (H, W).
    sampling : Å a pixel.
    origin, u, v : a column of the first kind and the sides of the cell, to whole pixels.
    second : of the second column in the cell, as parts of `u` and `v`.
    structure : a CIF file of the crystal.
    zone : (3, 3) zone axis, and directions of `u` and `v` in it.
    light : elements that are not seen, with commas.
    rest : (2,) first and last x of the part that strain is measured against.
    """

    name: str
    image: np.ndarray
    sampling: float
    origin: np.ndarray
    u: np.ndarray
    v: np.ndarray
    second: np.ndarray
    structure: str
    zone: np.ndarray
    light: str
    rest: np.ndarray

    @property
    def dumbbells(self) -> bool:
        """Whether the two columns of a cell are a dumbbell, of two in a centred cell."""
        return bool(abs(self.second[0]) < 0.1)

    def spots(self, *orders: tuple[int, int]) -> np.ndarray:
        """Places (y, x) of reflections in the shifted Fourier transform, in px."""
        inverse = np.linalg.inv(np.array([self.u, self.v])).T
        size = np.array(self.image.shape)
        return size / 2 + np.array(orders) @ inverse * size

    def save(self, path: Path) -> None:
        """As an .npz file."""
        np.savez(path, **{each.name: getattr(self, each.name) for each in fields(self)})

    @classmethod
    def load(cls, path: Path) -> Scene:
        """From an .npz file."""
        data = np.load(path)
        arrays = {each.name: data[each.name] for each in fields(cls)}
        return cls(**{name: a.item() if a.ndim == 0 else a for name, a in arrays.items()})


@dataclass(frozen=True)
class Answer:
    """What was measured. Lengths in px.

    Attributes
    ----------
    columns : (N, 2) y and x.
    a, b : lengths of the sides of the cell; NaN where they are not measured.
    moved : (M, 4) y, x of a column of the second kind, or of the middle of those around it, and its
        displacement (dy, dx) from there. Of dumbbells, the vector from one column to the other.
    strain : (K, 3) y, x and the strain along `v` against the rest.
    """

    columns: np.ndarray
    a: float = np.nan
    b: float = np.nan
    moved: np.ndarray = field(default_factory=none)
    strain: np.ndarray = field(default_factory=lambda: none(3))


def relative(scene: Scene, y, x, lengths) -> np.ndarray:
    """Strain (K, 3) of lengths over their mean in the rest."""
    y, x, lengths = (np.asarray(each, dtype=float) for each in (y, x, lengths))
    still = (x > scene.rest[0]) & (x < scene.rest[1])
    return np.stack([y, x, lengths / np.mean(lengths[still]) - 1], axis=1)


def sampled(scene: Scene, strain: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Strain (K, 3) of a map at places (K, 2), against the rest."""
    inside = ((np.round(places) >= 0) & (np.round(places) < strain.shape)).all(axis=1)
    y, x = places[inside].T
    return relative(scene, y, x, 1 + strain[np.round(y).astype(int), np.round(x).astype(int)])


def nearest(columns: np.ndarray, places: np.ndarray, reach: float):
    """The column (N, 2) nearest to each place, and which of them are within reach."""
    away = np.linalg.norm(columns - places[:, None], axis=2)
    return columns[np.argmin(away, axis=1)], np.min(away, axis=1) < reach
