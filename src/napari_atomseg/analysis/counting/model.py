"""Counted columns as atoms in space: a model to start from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from napari_atomseg._shared.types import Array, Indices, Sampling
from napari_atomseg.analysis.positions import placed

if TYPE_CHECKING:
    from ase import Atoms

ALIGNMENTS = ("centre", "bottom")
MARGIN = 5.0
"""Å of vacuum behind the model, and before it along the beam."""


def start_model(
    columns: pd.DataFrame,
    spacing: float,
    *,
    sampling: Sampling,
    element: str | Mapping[Any, str],
    heights: Mapping[int, float] | ArrayLike = 0.0,
    align: str = "centre",
) -> Atoms:
    """Atoms in three dimensions, from the number in each column.

    The atoms of a column stand one spacing from each other. Columns are arranged about one plane,
    as symmetrically as the heights of the crystal allow, as in a free particle; or they stand on
    one plane, as on a support. It is where a relaxation of energies may start from (De Backer et
    al., Nanoscale 9, 8791, 2017), and is no better at the surfaces than the counts are.

    Parameters
    ----------
    columns : table with `y`, `x` (px) and ``count``, as of `count_by_mixture`. Columns without a
        count, or of none, have no atoms.
    spacing : distance of the atoms of a column, Å along the beam.
    sampling : Å a pixel, one number or (dy, dx).
    element : symbol of all atoms, or of each value of ``species``, or, where there is none, of
        ``sublattice``.
    heights : Å along the beam of an atom of each sublattice, as {0: 0.0, 1: 1.44}; or of each
        column (N,), where columns of one sublattice differ, as of fcc crystals along [001].
    align : "centre" or "bottom".

    Returns
    -------
    Atoms in a box, not periodic, that ends 5 Å behind the last of them. x and y are those of the
    image (y down, Å from the centre of its first pixel), z runs along the beam from 5 Å on;
    ``column`` is an array with the row of each atom's column, and ``count_err`` one with its
    standard deviation, where the table has it.

    Raises
    ------
    ValueError
        An argument is wrong, or a name has no element.
    """
    from ase import Atoms
    from ase.data import atomic_numbers

    if not spacing > 0:
        raise ValueError(f"spacing={spacing!r} must be positive, in Å")
    if align not in ALIGNMENTS:
        raise ValueError(f"align={align!r}; choose one of {', '.join(ALIGNMENTS)}")
    if "count" not in columns:
        raise ValueError(f"columns must have the column 'count'; it has {list(columns)}")
    whole = columns["count"].astype("Int64").fillna(0)
    count: Indices = np.asarray(whole, dtype=np.int64)
    symbols = _symbols(columns, element)
    strange = sorted(set(symbols[count > 0]) - set(atomic_numbers))
    if strange:
        raise ValueError(f"element={element!r}: {strange[0]!r} is no symbol of an element")
    places = placed(columns.loc[count > 0], sampling)
    z = _heights(columns, heights, count, spacing, align)
    column = np.repeat(np.arange(len(columns)), count)
    flat = np.repeat(places, count[count > 0], axis=0)
    # As in `Structure.to_ase`, the image's (row, col) and ASE's (x, y) change places.
    atoms = Atoms(symbols[column].tolist(), np.stack([flat[:, 1], flat[:, 0], z], axis=1))
    if len(atoms):
        atoms.positions[:, 2] += MARGIN - z.min()
        atoms.cell[:] = np.diag(atoms.positions.max(axis=0) + MARGIN)
    atoms.set_array("column", column)
    if "count_err" in columns:
        atoms.set_array("count_err", columns["count_err"].to_numpy(dtype=np.float64)[column])
    return atoms


def _symbols(columns: pd.DataFrame, element: str | Mapping[Any, str]) -> Any:
    """(N,) symbols, as objects; "" where the name of a column has none."""
    if isinstance(element, str):
        return np.full(len(columns), element, dtype=object)
    name = next((name for name in ("species", "sublattice") if name in columns), None)
    if name is None:
        raise ValueError("element by name needs the column 'species' or 'sublattice'")
    known = {str(key): symbol for key, symbol in element.items()}
    return np.array([known.get(str(value), "") for value in columns[name]], dtype=object)


def _heights(
    columns: pd.DataFrame,
    heights: Mapping[int, float] | ArrayLike,
    count: Indices,
    spacing: float,
    align: str,
) -> Array:
    """(A,) heights of the atoms, those of each column after those of the one before."""
    if isinstance(heights, Mapping):
        if "sublattice" not in columns:
            raise ValueError("heights by sublattice need the column 'sublattice'; see `assign`")
        known = columns["sublattice"].map(dict(heights)).to_numpy(dtype=np.float64)
    else:
        known = np.broadcast_to(np.asarray(heights, dtype=np.float64), len(columns))
    if not np.isfinite(known[count > 0]).all():
        raise ValueError(f"heights={heights!r} must have a finite number for each sublattice")
    lowest = -0.5 * spacing * (count - 1) if align == "centre" else np.zeros(len(count))
    # A column that could stand a half spacing up or down goes up: all of a crystal do as one.
    steps = (lowest - known) / spacing
    start = np.ceil(steps - 1e-6) if align == "bottom" else np.floor(steps + 0.5 + 1e-6)
    atom = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    bottom = np.repeat(np.where(np.isfinite(known), known, 0.0) + spacing * start, count)
    return np.asarray(bottom + spacing * atom)
