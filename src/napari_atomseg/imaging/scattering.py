"""How single atoms scatter electrons: form factors and cross-sections."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_atomseg.imaging.probe import REST_ENERGY, wavelength

Array = NDArray[np.float64]
BOHR = 0.529177211
"""Bohr radius in Å (CODATA 2018)."""
LAST_TABULATED = 98
"""Californium: the tables end here, and heavier elements are taken to scatter as it does."""


@lru_cache(maxsize=128)
def coefficients(number: int) -> tuple[Array, Array]:
    """Amplitudes (Å) and exponents (Å²) of f(s) = Σ a exp(-b s²), s = sin θ / λ = k / 2.

    From the International Tables for Crystallography, volume C, table 4.3.2.2 (Peng et al. 1996).

    Raises
    ------
    ValueError
        If there is no element of this atomic number.
    """
    if not 1 <= number <= 118:
        raise ValueError(f"atomic number {number!r} must lie between 1 and 118")
    import gemmi

    table = gemmi.Element(min(int(number), LAST_TABULATED)).c4322
    return np.array(table.a), np.array(table.b)


def form_factor(number: int, k: NDArray[np.floating[Any]]) -> Array:
    """Electron form factor in Å, for electrons at rest, at frequencies k = 2 sin θ / λ in 1/Å."""
    a, b = coefficients(number)
    s2 = np.square(0.5 * k)[..., None]
    return np.asarray((a * np.exp(-b * s2)).sum(axis=-1))


def high_angle_form_factor(number: int, k: NDArray[np.floating[Any]]) -> Array:
    """Electron form factor in Å from that of X-rays, f = (Z - f_x) / 2π² a₀ k² (Mott and Bethe).

    It goes over into Rutherford scattering beyond the angles that the tables of electron form
    factors were fitted to. The X-ray form factors are those of the International Tables for
    Crystallography, volume C, table 6.1.1.4.

    Parameters
    ----------
    k : frequencies above zero, in 1/Å.
    """
    import gemmi

    table = gemmi.Element(min(number, LAST_TABULATED)).it92
    s2 = np.square(0.5 * k)[..., None]
    bound = (np.array(table.a) * np.exp(-np.array(table.b) * s2)).sum(axis=-1) + table.c
    charge = min(number, LAST_TABULATED)
    return np.asarray((charge - bound) / (2.0 * np.pi**2 * BOHR * np.square(k)))


@lru_cache(maxsize=1024)
def cross_section(number: int, energy: float, detector: tuple[float, float]) -> float:
    """Cross-section in Å² for scattering between two angles in mrad: λ² ∫ γ²f² 2πk dk.

    Of an atom at rest and alone, in the first Born approximation; energy in eV.
    """
    lam = wavelength(energy)
    k = np.linspace(detector[0], detector[1], 401) * 1e-3 / lam
    k = np.maximum(k, 1e-3)
    relativistic = 1.0 + energy / REST_ENERGY
    density = np.square(relativistic * high_angle_form_factor(number, k)) * 2.0 * np.pi * k
    return float(lam**2 * np.trapezoid(density, k))
