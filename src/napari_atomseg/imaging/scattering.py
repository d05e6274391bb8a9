"""How single atoms scatter electrons: form factors and projected potentials."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
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
