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
    rest : (2,) first and last x of the unstrained part; (0, 0) for none.
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
    strain : (K, 3) y, x and ε_xx against the unstrained part.
    """

    columns: np.ndarray
    a: float = np.nan
    b: float = np.nan
    moved: np.ndarray = field(default_factory=none)
    strain: np.ndarray = field(default_factory=lambda: none(3))
