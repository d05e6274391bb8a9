"""Which columns found are which true ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_atomseg.analysis import match
from napari_atomseg.evaluation.case import Case

VISIBLE = 4.0
"""Columns of a smaller signal over noise are neither to be found nor wrong where they are."""


@dataclass(frozen=True)
class Pairs:
    """Columns found beside true ones.

    Attributes
    ----------
    found, known : the N columns found and the M true ones, numbered from 0.
    i, j : rows of `found` and `known` that are one column, one that can be seen.
    uncounted : (N,) what was found is neither right nor wrong: a true column that cannot be seen,
        or none, but so near to the border that it may be a column whose centre lies beyond.
    visible : (M,) true columns that can be seen.
    """

    found: pd.DataFrame
    known: pd.DataFrame
    i: NDArray[np.intp]
    j: NDArray[np.intp]
    uncounted: NDArray[np.bool_]
    visible: NDArray[np.bool_]


def pair(case: Case, columns: pd.DataFrame) -> Pairs:
    """Pair columns found with those of a case, which knows them.

    Raises
    ------
    ValueError
        The case does not know its columns.
    """
    if case.columns is None:
        raise ValueError(f"case {case.name} does not know its columns")
    found, known = columns.reset_index(drop=True), case.columns.reset_index(drop=True)
    i, j = match(found, known, case.radius)
    visible = ~(known["snr"] < VISIBLE).to_numpy() if "snr" in known else np.ones(len(known), bool)
    uncounted = np.zeros(len(found), bool)
    if len(known):
        place = found[["y", "x"]].to_numpy(float)
        far = np.array(case.image.shape) - 1 - place
        uncounted |= np.minimum(place, far).min(axis=1) < case.radius
        uncounted[i] = ~visible[j]
    return Pairs(found, known, i[visible[j]], j[visible[j]], uncounted, visible)
