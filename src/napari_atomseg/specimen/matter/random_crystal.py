"""Hypothetical crystals: random cells, space groups and atoms (r_em, Specimen generation).

Space groups are gemmi's reference settings; trigonal ones have hexagonal axes.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_atomseg._shared.types import Array, Indices
from napari_atomseg.ranges import PositiveRange, log_uniform, uniform
from napari_atomseg.specimen.crystals.projection import ColumnLattice

if TYPE_CHECKING:
    from ase import Atoms


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


Rng = np.random.Generator
HEAVIEST = 103
"""Largest atomic number drawn."""
COINCIDE = 1e-4
"""Å below which two images of an atom are one."""
CRYSTALS = 1000
"""Crystals tried before the ranges are taken to hold none."""
TRIES = 8
"""Positions tried for an element before it is left out."""
_NEIGHBOURS = np.array(list(product((-1, 0, 1), repeat=3)), dtype=np.float64)


def random_crystal(
    rng: Rng,
    *,
    elements: tuple[int, int] = (1, 16),
    lengths: PositiveRange = (3.1, 25.0),
    angles: PositiveRange = (45.0, 120.0),
    distance: PositiveRange = (0.95, 7.0),
    atoms: int = 400,
) -> Atoms:
    """A crystal of a random space group whose cell fits the group's crystal system.

    An atom whose images come too close to each other is moved onto the symmetry element between
    them, so that special positions are taken as in real crystals; an element that finds no room
    is left out. Only cells that stay empty or too sparse are drawn anew.

    Parameters
    ----------
    elements : fewest and most elements, each an orbit of atoms of its own.
    lengths, angles : of the cell, in Å and degrees, where the crystal system leaves them free.
    distance : Å within which the closest distance of atoms lies. How close they may come is drawn
        evenly on a logarithmic scale.
    atoms : most atoms of a cell.

    Returns
    -------
    Unit cell; `info["spacegroup"]` is the number of its space group, 1 to 230.

    Raises
    ------
    ValueError
        The ranges are so narrow that no crystal was found in them.
    """
    from ase import Atoms

    for _ in range(CRYSTALS):
        number = int(rng.integers(1, 231))
        cell = _random_cell(rng, number, lengths, angles)
        metric = _Metric(cell)
        shortest = metric.shortest_vector
        if shortest < distance[0]:
            continue
        closest = log_uniform(rng, (distance[0], min(distance[1], shortest)))
        species = rng.permutation(np.arange(1, HEAVIEST + 1))
        wanted = int(rng.integers(elements[0], elements[1] + 1))
        points, numbers, gap = _place(rng, number, metric, closest, species[:wanted], atoms)
        if len(points) and gap <= distance[1]:
            return Atoms(
                numbers=numbers,
                scaled_positions=points,
                cell=cell,
                pbc=True,
                info={"spacegroup": number},
            )
    raise ValueError(
        f"no crystal found with lengths={lengths} Å, angles={angles}° and distance={distance} Å; "
        "choose wider ranges"
    )


class _Metric:
    """Distances in a periodic cell, by its reduced vectors."""

    def __init__(self, cell: Array) -> None:
        from ase.geometry import minkowski_reduce

        self._reduced, _ = minkowski_reduce(cell)
        self._to_reduced = cell @ np.linalg.inv(self._reduced)
        self._inverse = np.linalg.inv(cell)
        self._steps = _NEIGHBOURS @ self._reduced
        self.shortest_vector = float(np.sort(np.linalg.norm(self._steps, axis=1))[1])

    def shortest(self, offsets: Array) -> Array:
        """(N, 3) shortest periodic image, in Å, of N offsets in fractions of the cell."""
        reduced = offsets @ self._to_reduced
        near = (reduced - np.rint(reduced)) @ self._reduced
        images = near[:, None] + self._steps
        best = np.einsum("nkd,nkd->nk", images, images).argmin(axis=1)
        return np.asarray(images[np.arange(len(images)), best])

    def fractions(self, vector: Array) -> Array:
        """A vector in Å as fractions of the cell."""
        return np.asarray(vector @ self._inverse)


@lru_cache(maxsize=230)
def operations(number: int) -> tuple[Array, Array]:
    """(G, 3, 3) rotations and (G, 3) translations of a space group, on columns of fractions."""
    import gemmi

    group = gemmi.find_spacegroup_by_number(number).operations()
    rotations, translations = [], []
    for operation in group.sym_ops:
        for centring in group.cen_ops:
            rotations.append(np.array(operation.rot) / operation.DEN)
            translations.append((np.array(operation.tran) + np.array(centring)) / operation.DEN)
    return np.array(rotations), np.array(translations) % 1.0


def _random_cell(rng: Rng, number: int, lengths: PositiveRange, angles: PositiveRange) -> Array:
    """(3, 3) cell vectors in Å of the space group's crystal system."""
    import gemmi
    from ase.geometry import cellpar_to_cell

    system = gemmi.find_spacegroup_by_number(number).crystal_system_str()
    a, b, c = rng.uniform(*lengths, 3)
    alpha = beta = gamma = 90.0
    if system == "triclinic":
        alpha, beta, gamma = _triclinic_angles(rng, angles)
    if system == "monoclinic":
        beta = uniform(rng, angles)
    if system in ("tetragonal", "trigonal", "hexagonal", "cubic"):
        b = a
    if system in ("trigonal", "hexagonal"):
        gamma = 120.0
    if system == "cubic":
        c = a
    return np.asarray(cellpar_to_cell([a, b, c, alpha, beta, gamma]), dtype=np.float64)


def _triclinic_angles(rng: Rng, bounds: PositiveRange) -> tuple[float, float, float]:
    """Three angles between which a cell can stand without being flat.

    Raises
    ------
    ValueError
        Cells within the bounds are flat.
    """
    for _ in range(CRYSTALS):
        angles = rng.uniform(*bounds, 3)
        cosines = np.cos(np.deg2rad(angles))
        if 1.0 - (cosines**2).sum() + 2.0 * cosines.prod() > 0.1:
            return float(angles[0]), float(angles[1]), float(angles[2])
    raise ValueError(f"angles={bounds}° leave a triclinic cell no volume; choose wider ones")


def _place(
    rng: Rng, number: int, metric: _Metric, closest: float, species: Indices, atoms: int
) -> tuple[Array, Indices, float]:
    """(N, 3) fractions of the cell and (N,) atomic numbers of the elements that found room, and
    the closest distance between atoms in Å.
    """
    points, numbers = np.zeros((0, 3)), np.zeros(0, dtype=np.int64)
    smallest = metric.shortest_vector
    for element in species:
        for trial in rng.random((TRIES, 3)):
            orbit = _orbit(trial, number, metric, closest)
            if orbit is None or len(points) + len(orbit) > atoms:
                continue
            # By symmetry it is enough to look from one atom of the orbit.
            others = np.concatenate([points, orbit[1:]])
            gap = np.linalg.norm(metric.shortest(others - orbit[0]), axis=1).min(initial=np.inf)
            if gap >= closest:
                points = np.concatenate([points, orbit])
                numbers = np.concatenate([numbers, np.full(len(orbit), element)])
                smallest = min(smallest, float(gap))
                break
    return points, numbers, smallest


def _orbit(point: Array, number: int, metric: _Metric, closest: float) -> Array | None:
    """(N, 3) images of a point, moved so that none is closer to another than allowed; None where
    that fails.
    """
    rotations, translations = operations(number)
    for _ in range(4):
        images = rotations @ point + translations
        offsets = metric.shortest(images - point)
        distance = np.linalg.norm(offsets, axis=1)
        near = distance < closest
        if np.all(distance[near] < COINCIDE):
            return _distinct(images)
        point = point + metric.fractions(offsets[near].mean(axis=0))
    return None


def _distinct(images: Array) -> Array:
    """The images that differ by more than whole cells."""
    images = images % 1.0
    offsets = images[:, None] - images
    same = np.all(np.abs(offsets - np.rint(offsets)) < 1e-3, axis=-1)
    return np.asarray(images[same.argmax(axis=1) == np.arange(len(images))])


def with_faint_sublattice(
    rng: np.random.Generator, lattice: ColumnLattice, ratio: tuple[float, float]
) -> ColumnLattice:
    """The lattice with some of the sites of its cell as much fainter than the brightest.

    The sites are any of them but one, and scatter alike: 1 / r of the brightest, r from the range
    `ratio`, its logarithm drawn evenly. A lattice of one site stays as it is.
    """
    count = len(lattice.weights)
    if count < 2:
        return lattice
    faint = rng.permutation(count)[: rng.integers(1, count)]
    weights = lattice.weights.copy()
    bright = np.delete(weights, faint).max()
    weights[faint] = bright / log_uniform(rng, ratio)
    return replace(lattice, weights=weights / weights.max())
