"""Columns named by their species."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pandas as pd

from napari_atomseg._shared.types import Array, Indices
from napari_atomseg.analysis.lattice.lattice import Lattice
from napari_atomseg.analysis.lattice.sites import assigned, intensity_of

APART = 1.0
"""Species differ in intensity by this many deviations within a sublattice..."""
CLEAR = 1.5
"""...or by this factor, however wide they are, as where several crystals share a sublattice..."""
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
        wide = gap > APART * pooled or median[before] > CLEAR * median[after]
        far = wide and gap > SURE * np.hypot(error[before], error[after])
        species[after] = species[before] + int(far)
    return species


def species(
    columns: pd.DataFrame,
    lattice: Lattice,
    names: Sequence[str] | None = None,
    *,
    intensity: str | None = None,
) -> pd.DataFrame:
    """Name the species of columns, by the sublattice and its intensity.

    Sublattices whose columns are equally bright are one species, as are the two columns of a
    silicon dumbbell. The result is a table to be edited: other measurements take sites from its
    ``i``, ``j`` and ``sublattice`` as they stand.

    Parameters
    ----------
    columns : table with `y` and `x` (px); sites are found where it has none, see `assign`.
    lattice : lattice of the columns.
    names : names of the species, the brightest first; None names them "A", "B" and so on.
    intensity : column of the intensities; None takes `volume`, `amplitude` or `intensity`.

    Returns
    -------
    The table (with sites), ``species`` ("" for columns on no site), and ``intensity_z``, how many
    deviations a column is brighter than the median of its sublattice: far off zero for dopants
    and for vacancies in a column.

    Raises
    ------
    ValueError
        There are no intensities, or not as many names as species.
    """
    table = assigned(columns, lattice).copy()
    values = intensity_of(columns, intensity)
    if values is None:
        raise ValueError("columns have no 'volume', 'amplitude' or 'intensity'; name a column")
    kind = table["sublattice"].to_numpy()
    present = [k for k in range(len(lattice)) if np.isfinite(values[kind == k]).any()]
    groups = [values[(kind == k) & np.isfinite(values)] for k in present]
    found = species_of_means(groups)
    count = int(found.max(initial=-1)) + 1
    labels = [chr(ord("A") + k) for k in range(count)] if names is None else list(names)
    if len(labels) != count:
        raise ValueError(f"names={names!r} must be {count}, one for each species by brightness")
    table["species"], table["intensity_z"] = "", np.nan
    for k, group, which in zip(present, groups, found, strict=True):
        members = kind == k
        middle = np.median(group)
        spread = 1.4826 * np.median(np.abs(group - middle))
        table.loc[members, "species"] = labels[which]
        if spread > 0:
            z = np.sign(middle) * (values[members] - middle) / spread
            table.loc[members, "intensity_z"] = z
    return table
