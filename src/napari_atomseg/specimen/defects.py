"""Defects: vacancies, displacements, dislocations, strain, grain boundaries, thermal motion.

Each extended defect is a displacement field, which gives the shift of every point of a plane.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.constants import atomic_mass, hbar
from scipy.constants import k as boltzmann
from scipy.integrate import quad
from scipy.spatial import cKDTree

from napari_atomseg._shared.types import Array
from napari_atomseg.specimen.columns import Columns, Scatterers
from napari_atomseg.specimen.outline import random_waves
from napari_atomseg.specimen.structure import GAMMA, Structure

Matter = TypeVar("Matter", Columns, Structure)
Points = TypeVar("Points", Columns, Structure, Scatterers)


def moved(matter: Matter, shift: Array) -> Matter:
    """The same columns or atoms moved by (N, 2) shifts (y, x) in Å."""
    return replace(matter, y=matter.y + shift[:, 0], x=matter.x + shift[:, 1])


def within(matter: Points, lower: Array, upper: Array) -> Points:
    """Those with lower ≤ (y, x) ≤ upper (Å)."""
    keep = (matter.y >= lower[0]) & (matter.y <= upper[0])
    keep &= (matter.x >= lower[1]) & (matter.x <= upper[1])
    return matter.select(keep)


def with_vacancies(matter: Matter, fraction: float, rng: np.random.Generator) -> Matter:
    """Without a random share of the atoms.

    Each atom is missing on its own; of columns, whose counts must be whole numbers, each keeps a
    binomial number of atoms.
    """
    if isinstance(matter, Structure):
        return matter.select(rng.random(len(matter)) >= fraction)
    counts = rng.binomial(matter.counts.astype(np.int64), 1.0 - fraction).astype(np.float64)
    return counted(matter, counts)


def without_columns(matter: Matter, fraction: float, rng: np.random.Generator) -> Matter:
    """Without a random share of the columns."""
    if isinstance(matter, Structure):
        missing = rng.random(int(matter.column.max(initial=-1)) + 1) < fraction
        return matter.select(~missing[matter.column] | (matter.column < 0))
    return matter.select(rng.random(len(matter)) >= fraction)


def with_substitutes(
    matter: Matter, fraction: float, number: int, rng: np.random.Generator
) -> Matter:
    """With a random share of the atoms replaced by another element.

    Parameters
    ----------
    number : atomic number of the substitute.
    """
    if isinstance(matter, Structure):
        strange = rng.random(len(matter)) < fraction
        return replace(matter, number=np.where(strange, number, matter.number))
    replaced = rng.binomial(matter.counts.astype(np.int64), fraction).astype(np.float64)
    host = replace(matter, counts=matter.counts - replaced)
    numbers = tuple(sorted({*matter.numbers, number}))
    counts = np.zeros((len(matter), len(numbers)))
    counts[:, [numbers.index(n) for n in host.numbers]] = host.counts
    counts[:, numbers.index(number)] += replaced.sum(axis=1)
    return counted(replace(matter, numbers=numbers), counts)


def with_displaced_columns(matter: Matter, rms: float, rng: np.random.Generator) -> Matter:
    """With each column moved on its own by a normal shift of `rms` Å along y and along x.

    Atoms of no column are moved one by one.
    """
    if isinstance(matter, Columns):
        return moved(matter, rng.normal(0.0, rms, (len(matter), 2)))
    columns = int(matter.column.max(initial=-1)) + 1
    lone = matter.column < 0
    shift = rng.normal(0.0, rms, (columns + int(lone.sum()), 2))
    index = matter.column.copy()
    index[lone] = columns + np.arange(lone.sum())
    return moved(matter, shift[index])


def counted(columns: Columns, counts: Array) -> Columns:
    """Columns with new numbers of atoms, (N, E), and weights that follow; empty ones left out."""
    weight = counts @ np.array(columns.numbers, dtype=np.float64) ** GAMMA
    return replace(columns, counts=counts, weight=weight).select(weight > 0)


@dataclass(frozen=True)
class EdgeDislocation:
    """A straight edge dislocation along the beam in an isotropic medium.

    u_b = b/2π [atan2(n, s) + s n / (2 (1-ν)(s² + n²))],
    u_n = -b/2π [(1-2ν)/(4(1-ν)) ln(s² + n²) + (s² - n²)/(4 (1-ν)(s² + n²))],
    where s runs along the Burgers vector b and n along the glide plane's normal (Hirth and Lothe,
    Theory of Dislocations, 2nd edition, Eq. 3-45 and 3-46). The displacement jumps by b across the
    half of the glide plane with s < 0, where a crystal does not notice.

    Attributes
    ----------
    core : (y, x) in Å.
    burgers : (y, x) in Å; a translation of the crystal, as ½[110] of a face-centred cubic one.
    poisson : Poisson's ratio ν.
    """

    core: tuple[float, float]
    burgers: tuple[float, float]
    poisson: float = 0.3

    def __call__(self, y: Array, x: Array) -> Array:
        """(N, 2) shifts (y, x) in Å."""
        length = float(np.hypot(*self.burgers))
        along = np.array(self.burgers) / length
        normal = np.array([along[1], -along[0]])
        dy, dx = y - self.core[0], x - self.core[1]
        s, n = dy * along[0] + dx * along[1], dy * normal[0] + dx * normal[1]
        square = np.maximum(s**2 + n**2, (0.1 * length) ** 2)
        stiff = 1.0 - self.poisson
        u_s = np.arctan2(n, s) + s * n / (2 * stiff * square)
        # The length in the logarithm only moves the whole crystal.
        u_n = (1 - 2 * self.poisson) / (4 * stiff) * np.log(square / length**2)
        u_n = -(u_n + (s**2 - n**2) / (4 * stiff * square))
        shift = u_s[:, None] * along + u_n[:, None] * normal
        return np.asarray(length / (2 * np.pi) * shift)


@dataclass(frozen=True)
class StackingFault:
    """One side of a plane that stands on edge, moved along it.

    Attributes
    ----------
    point, normal : (y, x) of a point of the plane in Å and its unit normal.
    shift : (y, x) in Å of the side that the normal points to, as ⅙[112] of a face-centred cubic
        crystal.
    """

    point: tuple[float, float]
    normal: tuple[float, float]
    shift: tuple[float, float]

    def __call__(self, y: Array, x: Array) -> Array:
        """(N, 2) shifts (y, x) in Å."""
        side = (y - self.point[0]) * self.normal[0] + (x - self.point[1]) * self.normal[1] > 0
        return np.asarray(side[:, None] * np.array(self.shift))


@dataclass(frozen=True)
class Strain:
    """A uniform deformation and long waves of one.

    Attributes
    ----------
    centre : (y, x) in Å of the point that stays.
    gradient : (2, 2) ∂u_i/∂r_j of the uniform part, rows and columns (y, x).
    waves : (K, 4) rows (ky, kx, phase, amplitude) in 1/Å, radians and Å.
    directions : (K, 2) unit vectors (y, x) along which each wave moves the matter.
    """

    centre: tuple[float, float]
    gradient: Array
    waves: Array
    directions: Array

    def __call__(self, y: Array, x: Array) -> Array:
        """(N, 2) shifts (y, x) in Å."""
        away = np.stack([y - self.centre[0], x - self.centre[1]], axis=1)
        phase = away @ self.waves[:, :2].T
        bend = self.waves[:, 3] * np.sin(2 * np.pi * phase + self.waves[:, 2])
        return np.asarray(away @ np.asarray(self.gradient).T + bend @ self.directions)


def random_strain(
    rng: np.random.Generator, size: ArrayLike, strain: float, wavelength: float
) -> Strain:
    """A random deformation of a field of `size` Å (y, x).

    Parameters
    ----------
    strain : deviation of each component of the uniform displacement gradient, and about that of
        the waves' part.
    wavelength : shortest one in Å.
    """
    waves = random_waves(rng, wavelength, 1.0)
    length = np.hypot(waves[:, 0], waves[:, 1])
    # Four waves of gradient g sqrt(2)/2 each have together a deviation of g along their directions.
    waves[:, 3] = 0.5 * np.sqrt(2.0) * strain / (2 * np.pi * length)
    turns = rng.uniform(0.0, 2 * np.pi, len(waves))
    centre = 0.5 * np.asarray(size, dtype=np.float64)
    return Strain(
        (float(centre[0]), float(centre[1])),
        rng.normal(0.0, strain, (2, 2)),
        waves,
        np.stack([np.sin(turns), np.cos(turns)], axis=1),
    )


def grain_boundary(
    first: Matter, second: Matter, point: ArrayLike, normal: ArrayLike, distance: float
) -> Matter:
    """Two grains, or two crystals, that meet at a plane which stands on edge.

    Parameters
    ----------
    first, second : columns or atoms of either grain over the whole field; `second` stays where the
        normal points to.
    point, normal : (y, x) of a point of the plane in Å and its unit normal.
    distance : Å; of columns or atoms of different grains whose projections are closer than this,
        those of the first grain stay.
    """
    border = np.asarray(point, dtype=np.float64)
    across = np.asarray(normal, dtype=np.float64)

    def beyond(grain: Matter) -> NDArray[np.bool_]:
        away = (grain.y - border[0]) * across[0] + (grain.x - border[1]) * across[1]
        return np.asarray(away > 0)

    near, far = first.select(~beyond(first)), second.select(beyond(second))
    if len(near) and len(far):
        tree = cKDTree(np.stack([near.y, near.x], axis=1))
        places = np.stack([far.y, far.x], axis=1)
        gap, _ = tree.query(places, distance_upper_bound=distance)
        far = far.select(np.asarray(gap >= distance))
    if isinstance(near, Structure) and isinstance(far, Structure):
        return Structure.join([near, far])
    return Columns.join([near, far])


DEBYE_TEMPERATURES = {
    5: 1000, 6: 1000, 7: 1000, 13: 428, 14: 543, 22: 420, 24: 630, 25: 410, 26: 470, 27: 445,
    28: 450, 29: 343, 30: 327, 31: 320, 32: 290, 33: 282, 40: 291, 41: 275, 42: 450, 44: 600,
    45: 480, 46: 274, 47: 225, 48: 209, 49: 108, 50: 200, 72: 252, 73: 240, 74: 400, 75: 430,
    76: 500, 77: 420, 78: 240, 79: 165, 82: 105, 83: 119,
}  # fmt: skip
"""K, of the elements as solids (Kittel, Introduction to Solid State Physics, chapter 5, table 1);
of Si and Ge as X-ray diffraction sees them (Batterman and Chipman, Phys. Rev. 127, 690, 1962); of
B, C and N about that of motion within the layers of graphite."""


TYPICAL = 400.0
"""K, of elements that are not in the table, and of light ions in oxides and sulphides."""


def thermal_displacement(number: int, temperature: float) -> float:
    """Deviation in Å along any one axis of an atom of an element in the Debye model.

    u² = 3ħ² / (M k Θ) · [1/4 + (T/Θ)² ∫₀^(Θ/T) x / (eˣ - 1) dx] (James, The Optical Principles of
    the Diffraction of X-Rays, chapter 5).

    Parameters
    ----------
    number : atomic number.
    temperature : K; at 0 the zero-point motion is left.
    """
    from ase.data import atomic_masses

    debye = float(DEBYE_TEMPERATURES.get(number, TYPICAL))
    integral = 0.0
    if temperature > 0:
        limit = debye / temperature
        integral = quad(lambda x: x / np.expm1(x) if x > 0 else 1.0, 0.0, min(limit, 100.0))[0]
        integral /= limit**2
    mass = float(atomic_masses[number]) * atomic_mass
    square = 3 * hbar**2 / (mass * boltzmann * debye) * (0.25 + integral)
    return float(np.sqrt(square) * 1e10)


def with_thermal_displacements(
    structure: Structure, temperature: float, rng: np.random.Generator
) -> Structure:
    """The structure at one moment: every atom moved on its own (Einstein's approximation)."""
    numbers, element = np.unique(structure.number, return_inverse=True)
    deviation = np.array([thermal_displacement(int(n), temperature) for n in numbers])
    shift = rng.normal(size=(len(structure), 2)) * deviation[element][:, None]
    return moved(structure, shift)
