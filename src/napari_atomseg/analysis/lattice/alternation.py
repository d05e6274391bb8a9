"""Sites that alternate: displacements or intensities by which a cell is larger than it was taken.

`ordered` takes what explains much of what varies from column to column. What explains little may
still be no chance, as the displacements of a noisy ferroelectric whose two kinds of columns are
about equally bright: it is told here, not acted on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_atomseg._shared.types import Array, Indices, Mask
from napari_atomseg.analysis.lattice.lattice import Lattice
from napari_atomseg.analysis.lattice.order import coset_of, fluctuation
from napari_atomseg.analysis.lattice.vectors import small_cells

CLEAR = 6.0
"""Standard errors from which on sites alternate, by the scatter of columns, and by that of lines of
columns, which share what the scan does."""
BOTH = 2.8
"""The same by lines, where displacements and intensities alternate alike. Of 150 scans whose lines
jitter, up to 18 show that of displacements alone."""
FEWEST_LINES = 6
"""Lines of the lattice that show an error, along each direction."""
LEAST_SHIFT = 0.01
"""Smaller alternations, as a part of the least distance of sites, are what pixels do to fits."""
LEAST_CONTRAST = 0.05
"""The same of intensities, as a part of them."""


@dataclass(frozen=True)
class Alternation:
    """By how much every other site of a sublattice differs from those between.

    Attributes
    ----------
    kind : "displacement" or "intensity".
    size, error : of a displacement in Å, or px where the sampling is not known; of an intensity as
        a part of it. The error is the larger one, by columns or by lines of them.
    columns : in the cell that has both.
    """

    kind: str
    size: float
    error: float
    columns: int


def alternation(
    lattice: Lattice,
    displacement: Array,
    points: Array,
    cells: Indices,
    sublattice: Indices,
    intensity: Array | None = None,
) -> Alternation | None:
    """The clearest alternation of columns on sites, over cells twice as large; None if none is.

    Parameters
    ----------
    displacement : (N, 2) px, of columns from their sites.
    points : (N, 2) px.
    cells, sublattice : (N, 2) and (N,), their sites.
    intensity : (N,) or None.
    """
    every = np.ones(len(points), bool)
    shifts = _Quantity(displacement * lattice.scale, every, points * lattice.scale, sublattice)
    quantities = {"displacement": (shifts, LEAST_SHIFT * lattice.separation)}
    if intensity is not None and np.isfinite(intensity).any():
        known = np.isfinite(intensity)
        light = _Quantity(intensity[:, None], known, points * lattice.scale, sublattice)
        quantities["intensity"] = light, LEAST_CONTRAST
    best, clearest = None, 0.0
    for matrix in small_cells(2):
        sign = np.where(coset_of(cells, matrix) > 0, -1.0, 1.0)
        for k in np.unique(sublattice):
            found = {}
            for kind, (quantity, least) in quantities.items():
                size, error, by_lines = quantity.contrast(sublattice == k, sign, cells)
                if size > max(least, CLEAR * error, BOTH * by_lines):
                    found[kind] = Alternation(kind, size, max(error, by_lines), 2 * len(lattice))
            if not found:
                continue
            # Where both alternate, what displacements show is told.
            one = next(iter(found.values()))
            clear = one.size / one.error
            if clear > clearest and (len(found) == 2 or clear > CLEAR):
                best, clearest = one, clear
    return best


class _Quantity:
    """What may alternate: values (N, C) less those of their surroundings, where they are known.

    Parameters
    ----------
    known, places, sublattice : (N,), (N, 2) and (N,) of the columns.
    """

    def __init__(self, values: Array, known: Mask, places: Array, sublattice: Indices) -> None:
        self._values, self._known = values, known
        self._rest = np.zeros(values.shape)
        if known.any():
            self._rest[known] = fluctuation(values[known], places[known], sublattice[known])

    def contrast(self, own: Mask, sign: Array, cells: Indices) -> tuple[float, float, float]:
        """As `_contrast`, of some columns; of one channel as a part of its median."""
        own = own & self._known
        found = _contrast(self._rest[own], sign[own], cells[own])
        if self._values.shape[1] > 1 or not own.any():
            return found
        unit = max(abs(float(np.median(self._values[own]))), 1e-300)
        return found[0] / unit, found[1] / unit, found[2] / unit


def _contrast(values: Array, sign: Array, cells: Indices) -> tuple[float, float, float]:
    """Difference (its length) of values (N, C) with one sign and the other, its error by the
    scatter of single columns, and the largest of those by sums over lines in four directions.
    """
    nan = float("nan")
    counts = np.array([(sign > 0).sum(), (sign < 0).sum()])
    if counts.min() < FEWEST_LINES:
        return 0.0, nan, nan
    means = np.stack([values[sign > 0].mean(axis=0), values[sign < 0].mean(axis=0)])
    step = means[0] - means[1]
    size = float(np.linalg.norm(step))
    if not size > 0:
        return 0.0, nan, nan
    side = (sign < 0).astype(np.int64)
    rest = (values - means[side]) @ (step / size) * sign / counts[side]
    squares = []
    i, j = cells.T
    for line in (i, j, i - j, i + j):
        _, index = np.unique(line, return_inverse=True)
        sums = np.bincount(index.ravel(), rest)
        if len(sums) < FEWEST_LINES:
            return 0.0, nan, nan
        squares.append(float((sums**2).sum()) * len(sums) / (len(sums) - 2))
    return size, float(np.sqrt((rest**2).sum())), float(np.sqrt(max(squares)))
