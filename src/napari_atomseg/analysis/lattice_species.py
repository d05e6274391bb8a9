"""Species: sublattices whose columns are equally bright."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from napari_atomseg.analysis.positions import Array, Indices

APART = 1.0
"""Species differ in intensity by this many deviations within a sublattice..."""
SURE = 5.0
"""...and by this many standard errors of their means."""


def species_of_means(groups: Sequence[Array]) -> Indices:
    """(K,) species of sublattices, 0 the brightest, from the intensities of each one's columns."""
    median = np.array([np.median(np.abs(g)) for g in groups])
    pairs = zip(groups, median, strict=True)
    spread = np.array([1.4826 * np.median(np.abs(np.abs(g) - m)) for g, m in pairs])
    count = np.array([len(g) for g in groups])
    error = 1.2533 * spread / np.sqrt(count)
    order = np.argsort(-median, kind="stable")
    species = np.zeros(len(groups), np.int64)
    for before, after in pairwise(order):
        gap = median[before] - median[after]
        pooled = np.hypot(spread[before], spread[after]) / np.sqrt(2)
        far = gap > APART * pooled and gap > SURE * np.hypot(error[before], error[after])
        species[after] = species[before] + int(far)
    return species
