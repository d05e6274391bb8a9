"""Matter without order: amorphous elements, carbon, graphene, and the supports made of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from napari_atomseg.specimen.columns import Array, Indices
from napari_atomseg.specimen.fill import fill_box, random_turn
from napari_atomseg.specimen.hard_spheres import healed, scatter
from napari_atomseg.specimen.network import dual_network, relaxed_network
from napari_atomseg.specimen.specimen import Field
from napari_atomseg.specimen.structure import Structure

if TYPE_CHECKING:
    from ase import Atoms

AVOGADRO = 0.602214
"""Atoms a mole, in units that turn g/cm³ over g/mol into atoms per Å³."""
DENSEST = 0.25
"""Share of space that spheres thrown in at random may fill; they jam at 0.38 (Widom 1966)."""
CARBON_DENSITY = 2.0
"""g/cm³ of evaporated amorphous carbon (1.8 to 2.1: Robertson, Adv. Phys. 35, 317, 1986)."""
CARBON_BOND = 1.44
"""Å between neighbours in amorphous carbon, from 1.42 (sp²) to 1.54 (sp³)."""
CARBON_CLOSEST = 1.3
"""Å, closer than which no two of its atoms come."""
CELL = 40.0
"""Side of the periodic cells in Å."""


@dataclass(frozen=True)
class AmorphousCell:
    """A periodic cube of amorphous matter.

    Attributes
    ----------
    side : of the cube in Å.
    points : (N, 3) atoms in Å.
    number : their atomic number.
    distance : Å, closer than which no two atoms come.
    """

    side: float
    points: Array
    number: int
    distance: float

    @property
    def density(self) -> float:
        """Atoms per Å³."""
        return len(self.points) / self.side**3

    def cut(self, rng: np.random.Generator, lower: Array, upper: Array) -> Structure:
        """A box (y, x, z) of the matter, no two parts of it alike; its atoms are of no column.

        Repeating the cell would give a large box the order of a crystal. Blocks as large as the
        cell, each cut at a random place and turn, do not.
        """
        counts = np.maximum(np.ceil((upper - lower) / self.side), 1).astype(int)
        edges = [np.linspace(a, b, n + 1) for a, b, n in zip(lower, upper, counts, strict=True)]
        blocks = []
        for index in np.ndindex(*counts):
            first, last = (
                np.array([axis[i + s] for axis, i in zip(edges, index, strict=True)])
                for s in (0, 1)
            )
            blocks.append(self._block(rng, first, last))
        points = healed(rng, np.concatenate(blocks), edges, self.distance)
        return _of_one_element(points, self.number)

    def _block(self, rng: np.random.Generator, lower: Array, upper: Array) -> Array:
        turn = random_turn(rng)
        points = (self.points + rng.uniform(0.0, self.side, 3)) @ turn
        return fill_box(self.side * turn, points, lower, upper)[0]


def number_density(number: int, density: float, distance: float) -> float:
    """Atoms per Å³ of an element at a density in g/cm³, or as many as keep their distance (Å)."""
    from ase.data import atomic_masses

    wanted = density * AVOGADRO / float(atomic_masses[number])
    return min(wanted, DENSEST / (np.pi / 6.0 * distance**3))


def amorphous_cell(
    rng: np.random.Generator, number: int, density: float, distance: float, atoms: int = 1500
) -> AmorphousCell:
    """A cube of an element in which no two atoms come closer than a minimum distance.

    r_em's amorphous specimens: atoms at random until the density is reached. Very light elements
    cannot reach every density at every distance; they are packed as densely as is possible.

    Parameters
    ----------
    number : atomic number.
    density : g/cm³.
    distance : smallest distance between atoms in Å.
    atoms : atoms of the cube, which sets its side.
    """
    side = float(np.cbrt(atoms / number_density(number, density, distance)))
    points = scatter(rng, np.full(3, side), atoms, distance)
    return AmorphousCell(side, points, number, distance)


@lru_cache(maxsize=8)
def _carbon(seed: int) -> AmorphousCell:
    rng = np.random.default_rng(seed)
    count = round(CELL**3 * number_density(6, CARBON_DENSITY, 1.0))
    start = scatter(rng, np.full(3, CELL), count, 1.1)
    points = relaxed_network(start, np.full(3, CELL), CARBON_BOND, 3)
    return AmorphousCell(CELL, points, 6, CARBON_CLOSEST)


def amorphous_carbon(seed: int = 0) -> Atoms:
    """A periodic cube of amorphous carbon with a side of 40 Å: a random threefold network.

    The same seed gives the same atoms.
    """
    from ase import Atoms

    cell = _carbon(seed)
    return Atoms(
        numbers=np.full(len(cell.points), 6), positions=cell.points, cell=[CELL] * 3, pbc=1
    )


def amorphous_graphene(seed: int = 0) -> Atoms:
    """A periodic square of graphene without order, some 40 Å wide: all atoms threefold, in rings
    of five to eight.

    The vertices of the Voronoi cells of random points are threefold; relaxing bonds and angles
    makes a continuous random network of them (Zachariasen's model, seen in monolayer carbon).
    The same seed gives the same atoms.
    """
    from ase import Atoms

    flat, side = dual_network(np.random.default_rng(seed), CELL, bond=1.42)
    gap = 3.35
    points = np.column_stack([flat, np.full(len(flat), gap)])
    return Atoms(
        numbers=np.full(len(points), 6), positions=points, cell=[side, side, 2 * gap], pbc=True
    )


def amorphous_support(rng: np.random.Generator, field: Field, thickness: float) -> Structure:
    """A film of amorphous carbon over the whole field with its margin.

    Parameters
    ----------
    thickness : Å; the film's atoms lie at 0 ≤ z < thickness.

    Raises
    ------
    ValueError
        The thickness is not positive.
    """
    if not thickness > 0:
        raise ValueError(f"thickness={thickness!r} of the support must be positive, in Å")
    lower, upper = np.append(field.lower, 0.0), np.append(field.upper, thickness)
    return _carbon(0).cut(rng, lower, upper)


def _of_one_element(points: Array, number: int) -> Structure:
    numbers: Indices = np.full(len(points), number, dtype=np.int64)
    return Structure(points[:, 0], points[:, 1], points[:, 2], numbers, np.full_like(numbers, -1))
