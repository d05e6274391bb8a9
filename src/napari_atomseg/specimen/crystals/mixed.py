"""Sites that several elements share, or that are partly empty, as structure files give them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from napari_atomseg._shared.types import Array, Indices

if TYPE_CHECKING:
    from ase import Atoms

Mixture = Mapping[str, float]
"""Occupancy of a site by each element; what is left to 1 is empty."""

SITES, MIXTURES = "mixture", "mixtures"
"""Names by which `Atoms` keep them: the mixture of each atom, -1 for none, and the mixtures."""
WHOLE = 0.999
"""Occupancy from which on a site is full."""


def marked(atoms: Atoms, overlap: float) -> Atoms:
    """Atoms whose mixed sites are marked by `SITES` and `MIXTURES`.

    ASE reads the occupancies of a file into ``info["occupancy"]`` and takes the first element of
    each site. A mixed site gets its most frequent element instead. Partly occupied sites that are
    too close for two atoms hold one atom, and are joined.

    Parameters
    ----------
    overlap : Å that are too close.

    Returns
    -------
    A copy, or the same atoms where no site is mixed.
    """
    from ase.neighborlist import neighbor_list

    occupancy = atoms.info.get("occupancy", {})
    kinds = atoms.arrays.get("spacegroup_kinds")
    mixtures = {
        int(kind): {str(symbol): float(share) for symbol, share in elements.items() if share > 0}
        for kind, elements in occupancy.items()
    }
    mixtures = {kind: m for kind, m in mixtures.items() if len(m) > 1 or sum(m.values()) < WHOLE}
    if SITES in atoms.arrays or kinds is None or not mixtures:
        return atoms
    atoms = atoms.copy()
    each: list[dict[str, float] | None] = [
        dict(mixtures[int(kind)]) if int(kind) in mixtures else None for kind in kinds
    ]
    keep = np.array([mixture is None or bool(mixture) for mixture in each])
    # The fuller of two sites takes what is in the other.
    first, second = neighbor_list("ij", atoms, overlap)
    for i, j in sorted(zip(first.tolist(), second.tolist(), strict=True)):
        here, there = each[i], each[j]
        if i < j and keep[i] and keep[j] and here is not None and there is not None:
            if sum(here.values()) + sum(there.values()) > 1.0 + (1.0 - WHOLE):
                continue
            for symbol, share in there.items():
                here[symbol] = here.get(symbol, 0.0) + share
            keep[j] = False
    different: list[dict[str, float]] = []
    sites = np.full(len(atoms), -1)
    for i, mixture in enumerate(each):
        if mixture and keep[i]:
            if mixture not in different:
                different.append(mixture)
            sites[i] = different.index(mixture)
            atoms.symbols[i] = max(mixture, key=lambda symbol: mixture[symbol])
    atoms.set_array(SITES, sites)
    atoms.info[MIXTURES] = different
    return atoms[keep]


def mixtures_of(atoms: Atoms) -> tuple[Indices, tuple[Mixture, ...]]:
    """(N,) mixture of each atom, -1 for none, and the mixtures."""
    sites = atoms.arrays.get(SITES)
    if sites is None:
        return np.full(len(atoms), -1), ()
    return np.asarray(sites, dtype=np.int64), tuple(atoms.info[MIXTURES])


def written(mixtures: tuple[Mixture, ...]) -> str:
    """The mixtures in words, as "La 0.6 Sr 0.4 and O 0.97"."""
    return " and ".join(
        " ".join(f"{symbol} {share:g}" for symbol, share in mixture.items()) for mixture in mixtures
    )


def drawn(
    numbers: Indices, sites: Indices, mixtures: tuple[Mixture, ...], rng: np.random.Generator
) -> Indices:
    """(N,) atomic numbers with each mixed site drawn by its occupancies; 0 where it is empty.

    Parameters
    ----------
    numbers, sites : (N,) atomic numbers, and mixtures as of `mixtures_of`.
    """
    from ase.data import atomic_numbers

    result = numbers.copy()
    for index, mixture in enumerate(mixtures):
        mine = np.flatnonzero(sites == index)
        edges = np.cumsum(list(mixture.values()))
        # Occupancies of a full site may add up to a little more or less than 1.
        edges /= max(1.0, edges[-1]) if edges[-1] < WHOLE else edges[-1]
        elements = np.array([*(atomic_numbers[symbol] for symbol in mixture), 0])
        result[mine] = elements[np.searchsorted(edges, rng.random(len(mine)), side="right")]
    return result


def mean_strength(
    numbers: Indices, sites: Indices, mixtures: tuple[Mixture, ...], gamma: float
) -> Array:
    """(N,) mean of Z to the power of `gamma` over the elements of each site."""
    from ase.data import atomic_numbers

    strength = numbers.astype(np.float64) ** gamma
    for index, mixture in enumerate(mixtures):
        mean = sum(share * atomic_numbers[symbol] ** gamma for symbol, share in mixture.items())
        strength[sites == index] = mean
    return strength
