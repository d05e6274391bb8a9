"""Thermal displacements of atoms from Debye temperatures."""

from __future__ import annotations

import numpy as np
from scipy.constants import atomic_mass, hbar
from scipy.constants import k as boltzmann
from scipy.integrate import quad

from napari_atomseg.specimen.defects import moved
from napari_atomseg.specimen.structure import Structure

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
