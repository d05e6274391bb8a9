"""Random networks of threefold atoms: carbon in three dimensions, graphene in two."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_atomseg._shared.types import Array, Indices
from napari_atomseg.specimen.matter.packing import fill_box, healed, random_turn, scatter
from napari_atomseg.specimen.specimen import Field
from napari_atomseg.specimen.structure import Structure

if TYPE_CHECKING:
    from ase import Atoms


ANGLE = 1.7
"""Second neighbours over bonds at angles near 120° (√3 at 120°, 1.63 at the tetrahedron's)."""
STEPS = 100
REBUILD = 20
"""Steps of relaxation, and between new lists of neighbours."""
SMOOTHINGS = 40
"""Rounds that push random seeds apart: enough for rings of five to eight, too few for a crystal."""


def relaxed_network(points: Array, box: Array, bond: float, neighbours: int) -> Array:
    """Points of a periodic box moved until each has about so many neighbours at one distance.

    The closest pairs are bonded, up to `neighbours` a point, and pull or push each other to the
    length of a bond; all others push each other beyond the distance of second neighbours.

    Parameters
    ----------
    points : (N, D) in Å. box : (D,) sides in Å.
    bond : length of a bond in Å.
    neighbours : bonds of a point.
    """
    second = ANGLE * bond
    for step in range(STEPS):
        if step % REBUILD == 0:
            points = points % box
            pairs, bonded = _bonds(points, box, second + 0.5, neighbours)
        offset = points[pairs[:, 0]] - points[pairs[:, 1]]
        offset -= box * np.rint(offset / box)
        length = np.linalg.norm(offset, axis=1)
        stretch = np.where(bonded, bond - length, np.maximum(second - length, 0.0) * 0.4)
        points = points + _sum_on_points(pairs, 0.3 * stretch / length, offset, len(points))
    return points % box


def _bonds(
    points: Array, box: Array, reach: float, neighbours: int
) -> tuple[Indices, NDArray[np.bool_]]:
    """Pairs within reach, nearest first, and which of them are bonded."""
    from scipy.spatial import cKDTree

    pairs = cKDTree(points, boxsize=box).query_pairs(reach, output_type="ndarray")
    offset = points[pairs[:, 0]] - points[pairs[:, 1]]
    length = np.linalg.norm(offset - box * np.rint(offset / box), axis=1)
    pairs = pairs[np.argsort(length, kind="stable")]
    free = [neighbours] * len(points)
    bonded = np.zeros(len(pairs), dtype=bool)
    for k, (i, j) in enumerate(pairs.tolist()):
        if free[i] and free[j]:
            free[i] -= 1
            free[j] -= 1
            bonded[k] = True
    return pairs, bonded


def _sum_on_points(pairs: Indices, strength: Array, offset: Array, count: int) -> Array:
    """(count, D) sum of equal and opposite pushes along each pair's offset."""
    push = strength[:, None] * offset
    return np.stack(
        [
            np.bincount(pairs[:, 0], axis, count) - np.bincount(pairs[:, 1], axis, count)
            for axis in push.T
        ],
        axis=1,
    )


def dual_network(rng: np.random.Generator, side: float, bond: float) -> tuple[Array, float]:
    """A threefold network in a periodic square: the vertices of random Voronoi cells, relaxed.

    Parameters
    ----------
    side : about the side of the square in Å.
    bond : mean length of a bond in Å.

    Returns
    -------
    (N, 2) points in Å, and the square's side with which the mean bond has its length.
    """
    ring = 1.5 * np.sqrt(3.0) * bond**2
    seeds = rng.random((round(side**2 / ring), 2)) * side
    for _ in range(SMOOTHINGS):
        seeds = _pushed_apart(seeds, side)
    triangles, centres = _triangulated(seeds, side)
    return _relaxed_sheet(centres, _shared_edges(triangles), side, bond)


def _triangulated(seeds: Array, side: float) -> tuple[Indices, Array]:
    """(M, 3) corners of the Delaunay triangles of a periodic square, and their (M, 2) centres."""
    from scipy.spatial import Delaunay

    shifts = [side * np.array([i, j]) for i in (0, -1, 1) for j in (0, -1, 1)]
    copies = np.concatenate([seeds + shift for shift in shifts])
    triangles = Delaunay(copies).simplices.astype(np.int64)
    centres = copies[triangles].mean(axis=1)
    home = np.all((centres >= 0) & (centres < side), axis=1)
    return triangles[home] % len(seeds), centres[home]


def _pushed_apart(seeds: Array, side: float) -> Array:
    """Seeds of a periodic square, each pushed away from those closer than its share of room."""
    from scipy.spatial import cKDTree

    reach = 1.35 * side / np.sqrt(len(seeds))
    pairs = cKDTree(seeds, boxsize=np.full(2, side)).query_pairs(reach, output_type="ndarray")
    offset = seeds[pairs[:, 0]] - seeds[pairs[:, 1]]
    offset -= side * np.rint(offset / side)
    length = np.maximum(np.linalg.norm(offset, axis=1), 1e-3)
    strength = 0.15 * (reach - length) / length
    return (seeds + _sum_on_points(pairs, strength, offset, len(seeds))) % side


def _shared_edges(triangles: Indices) -> Indices:
    """(M, 2) pairs of triangles that share an edge."""
    owners: dict[tuple[int, ...], list[int]] = {}
    for index, corners in enumerate(np.sort(triangles, axis=1).tolist()):
        for edge in ((0, 1), (0, 2), (1, 2)):
            owners.setdefault(tuple(corners[k] for k in edge), []).append(index)
    return np.array([pair for pair in owners.values() if len(pair) == 2])


def _relaxed_sheet(points: Array, pairs: Indices, side: float, bond: float) -> tuple[Array, float]:
    """Points moved until bonds and second neighbours have their lengths; the square follows."""
    second = _second_neighbours(pairs, len(points))
    links = np.concatenate([pairs, second])
    wanted = np.concatenate([np.full(len(pairs), bond), np.full(len(second), np.sqrt(3.0) * bond)])
    stiffness = np.concatenate([np.full(len(pairs), 0.3), np.full(len(second), 0.06)])
    for _ in range(10 * STEPS):
        offset = points[links[:, 0]] - points[links[:, 1]]
        offset -= side * np.rint(offset / side)
        length = np.maximum(np.linalg.norm(offset, axis=1), 1e-3)
        strength = stiffness * (wanted - length) / length
        points = points + _sum_on_points(links, strength, offset, len(points))
        growth = bond / float(length[: len(pairs)].mean())
        points, side = points * growth, side * growth
    return points % side, side


def _second_neighbours(pairs: Indices, count: int) -> Indices:
    """(M, 2) pairs of points that have a bonded neighbour in common."""
    around: list[list[int]] = [[] for _ in range(count)]
    for i, j in pairs.tolist():
        around[i].append(j)
        around[j].append(i)
    found = {(min(a, b), max(a, b)) for near in around for a in near for b in near if a != b}
    return np.array(sorted(found))


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
    side : side of the cube in Å.
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
