"""Sublattices much fainter than the others of their crystal, as oxygen's beside heavy metals'."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from napari_atomseg.ranges import log_uniform
from napari_atomseg.specimen.crystals.projection import ColumnLattice


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
