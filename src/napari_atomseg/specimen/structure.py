"""A specimen as single atoms, in the image's frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_atomseg._shared.types import Array, Indices
from napari_atomseg.specimen.columns import Columns, Scatterers

if TYPE_CHECKING:
    from ase import Atoms

GAMMA = 1.7
"""An atom scatters into an annular dark-field detector as Z to this power, from 1.6 to 2."""


@dataclass(frozen=True)
class Structure:
    """Atoms under the beam.

    Attributes
    ----------
    y, x : (N,) positions in Å; the origin is the centre of the image's first pixel.
    z : (N,) depth along the beam in Å, growing in its direction.
    number : (N,) atomic numbers.
    column : (N,) index of the column an atom belongs to; -1 for atoms of no column (amorphous
        matter, supports, crystals far off a zone axis).
    """

    y: Array
    x: Array
    z: Array
    number: Indices
    column: Indices

    def __len__(self) -> int:
        return len(self.y)

    def select(self, keep: NDArray[np.bool_] | Indices) -> Structure:
        """The atoms for which `keep` is true, or those of the given indices."""
        return Structure(
            self.y[keep], self.x[keep], self.z[keep], self.number[keep], self.column[keep]
        )

    @staticmethod
    def join(parts: Sequence[Structure]) -> Structure:
        """All atoms of several structures; their columns stay apart."""
        columns, first = [], 0
        for part in parts:
            columns.append(np.where(part.column < 0, -1, part.column + first))
            first += int(part.column.max(initial=-1)) + 1
        return Structure(
            np.concatenate([part.y for part in parts]),
            np.concatenate([part.x for part in parts]),
            np.concatenate([part.z for part in parts]),
            np.concatenate([part.number for part in parts]),
            np.concatenate(columns),
        )

    def scatterers(self) -> Scatterers:
        """Each atom as a point of its own."""
        return Scatterers(self.y, self.x, np.ones(len(self)), self.number)

    def columns(self) -> Columns:
        """The columns: mean positions weighted by Z^`GAMMA`, and the atoms each is made of.

        Columns of the same composition share a species, numbered by falling weight.
        """
        atoms = self.select(self.column >= 0)
        kept, column = np.unique(atoms.column, return_inverse=True)
        strength = atoms.number.astype(np.float64) ** GAMMA
        weight: Array = np.bincount(column, strength, len(kept)).astype(np.float64)
        y = np.bincount(column, strength * atoms.y, len(kept)) / weight
        x = np.bincount(column, strength * atoms.x, len(kept)) / weight
        numbers, element = np.unique(atoms.number, return_inverse=True)
        counts = np.zeros((len(kept), len(numbers)))
        np.add.at(counts, (column, element), 1.0)
        kinds, species = np.unique(counts > 0, axis=0, return_inverse=True)
        order = np.argsort(-(kinds @ numbers**GAMMA), kind="stable")
        rank = np.argsort(order).astype(np.int64)[species]
        return Columns(y, x, weight, rank, counts, tuple(int(n) for n in numbers))

    def to_ase(self, size: tuple[float, float], depth: float) -> Atoms:
        """The atoms in an orthogonal box of `size` (y, x) and `depth` Å, as ASE has them."""
        from ase import Atoms

        # Here, and in `project`, the image's (row, col) and ASE's (x, y) change places.
        return Atoms(
            numbers=self.number,
            positions=np.stack([self.x, self.y, self.z], axis=1),
            cell=[size[1], size[0], depth],
            pbc=True,
        )
