"""The cell after which not only places but also intensities and small displacements repeat.

An order is sought in two ways. Over the whole crystal, columns on equivalent sites of a larger cell
must be alike: this settles small crystals. From place to place, columns one translation of the
larger cell apart must be alike, in both directions: this also settles crystals whose intensities
change over the image or are reversed from layer to layer, as of PbTiO3, whose A columns are the
brighter ones, on SrRuO3, whose B columns are.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree
from scipy.stats import f as f_distribution

from napari_atomseg._shared.types import Array, Indices
from napari_atomseg.analysis.lattice.assign import Sites
from napari_atomseg.analysis.lattice.lattice import Lattice
from napari_atomseg.analysis.lattice.vectors import reduced, small_cells

LARGEST = 4
"""Cells that an order may join at once."""
LARGEST_BY_HAND = 16
"""Cells that may be joined where their number is given."""
EXPLAINED = 0.5
"""An order must explain this part of the variance, not only be significant."""
CHANCE = 1e-6
"""Probability below which an order is no play of chance."""
ALMOST = 0.9
"""The smallest cell is taken that explains this part of what the best one does."""
AROUND = 12
"""What varies over more than so many neighbours is no order."""
ALIKE = 0.3
"""Least correlation over the vectors of a cell, and by how much it is above that within it."""
DEVIATIONS = 5.0
"""Correlations of so many deviations are no play of chance."""
NEAR = np.array([(i, j) for i in range(-3, 4) for j in range(-3, 4) if (i, j) != (0, 0)])
"""Steps among which the shortest one between any two cells of a larger one is."""


def ordered(lattice: Lattice, points: Array, sites: Sites, intensity: Array | None) -> Lattice:
    """The lattice in the cell after which intensities and displacements repeat, too.

    Parameters
    ----------
    points : (N, 2) px.
    sites : sites of the points.
    intensity : (N,) or None.
    """
    order = _Order(lattice, points, sites, intensity)
    shares: dict[int, list[tuple[float, Array]]] = {}
    for index in range(2, LARGEST + 1):
        for matrix in small_cells(index):
            shares.setdefault(index, []).append((order.share(matrix), matrix))
    best = max(share for trials in shares.values() for share, _ in trials)
    if best < EXPLAINED:
        return lattice
    for trials in shares.values():
        share, matrix = max(trials, key=lambda trial: trial[0])
        if share >= max(EXPLAINED, ALMOST * best):
            break
    return _joined(lattice, matrix)


def enlarged(
    lattice: Lattice, points: Array, sites: Sites, intensity: Array | None, sublattices: int
) -> Lattice:
    """The lattice in a cell of so many columns: the one whose order explains most, or else the most
    compact one.

    Parameters
    ----------
    lattice : in its smallest cell.
    points, sites, intensity : as for `ordered`.

    Raises
    ------
    ValueError
        No whole number of cells has so many columns.
    """
    index, rest = divmod(sublattices, len(lattice))
    if index < 1 or rest or index > LARGEST_BY_HAND:
        own = f"{len(lattice)} column" + "s" * (len(lattice) > 1)
        raise ValueError(
            f"sublattices={sublattices!r}: the smallest cell that the columns show has {own}, so "
            f"that larger ones have {len(lattice)} times 2 to {LARGEST_BY_HAND}"
        )
    if index == 1:
        return lattice
    order = _Order(lattice, points, sites, intensity)

    def merit(matrix: Array) -> tuple[float, float]:
        cell = reduced(matrix @ lattice.vectors * lattice.scale)
        return order.share(matrix), -float(np.hypot(*cell.T).sum())

    return _joined(lattice, max(small_cells(index), key=merit))


def _joined(lattice: Lattice, matrix: Array) -> Lattice:
    """The lattice in the reduced form of a larger cell."""
    basis = reduced(matrix @ lattice.vectors * lattice.scale) / lattice.scale
    return lattice.with_cell(np.round(basis @ np.linalg.inv(lattice.vectors)))


class _Order:
    """How much of what varies from column to column repeats after larger cells."""

    def __init__(
        self, lattice: Lattice, points: Array, sites: Sites, intensity: Array | None
    ) -> None:
        on = np.flatnonzero(sites.on)
        values = [sites.displacement[on] * lattice.scale]
        if intensity is not None and np.isfinite(intensity[on]).any():
            values.append(intensity[on, None])
        self.cells, self.sublattice = sites.cells[on], sites.sublattice[on]
        self.vectors = lattice.vectors * lattice.scale
        self.local = [_fluctuation(v, points[on] * lattice.scale, self.sublattice) for v in values]
        self.alike = [_Alike(v, self.cells, self.sublattice) for v in self.local]

    def share(self, matrix: Array) -> float:
        """Part of the variance that repeats after a larger cell, 0 where it may be chance."""
        index = round(abs(float(np.linalg.det(matrix))))
        coset = _coset(self.cells, matrix)
        everywhere = [_explained(v, coset, self.sublattice, index) for v in self.local]
        return max(*everywhere, *(each.explained(matrix, self.vectors) for each in self.alike))


def _fluctuation(values: Array, points: Array, sublattice: Indices) -> Array:
    """Values (N, C) less their sublattice's median and the mean of their surroundings, and
    without the tails that bad fits give them. Those that are not known are taken for the median.
    """
    rest = values.astype(np.float64).copy()
    for k in np.unique(sublattice):
        known = rest[sublattice == k]
        rest[sublattice == k] -= np.nanmedian(known, axis=0) if np.isfinite(known).any() else 0.0
    rest[~np.isfinite(rest)] = 0.0
    spread = np.median(np.abs(rest), axis=0) * 1.4826
    # Where most values are exactly equal, as those of a simulation, they have no tails.
    spread = np.where(spread > 0, spread, np.inf)
    rest = np.clip(rest, -6 * spread, 6 * spread)
    near = cKDTree(points).query(points, k=min(AROUND + 1, len(points)))[1].reshape(len(points), -1)
    return np.asarray(rest - rest[near].mean(axis=1))


def _coset(cells: Indices, matrix: Array) -> Indices:
    """(N,) which of the cells that a larger cell joins."""
    (p, q), (_, r) = matrix
    rows = cells[:, 0] // p
    return np.asarray((cells[:, 0] - p * rows) * r + (cells[:, 1] - q * rows) % r)


def _explained(values: Array, coset: Indices, sublattice: Indices, index: int) -> float:
    """Part of the variance within sublattices that cosets explain, 0 where by chance."""
    count = int(sublattice.max()) + 1
    kinds = sublattice * index + coset
    within = _residual(values, kinds, count * index)
    without = _residual(values, sublattice, count)
    channels = values.shape[1]
    freedom = (count * (index - 1) * channels, (len(values) - count * index) * channels)
    if freedom[1] <= 0 or without <= 0:
        return 0.0
    ratio = (without - within) / freedom[0] / max(within / freedom[1], 1e-300)
    return 1.0 - within / without if f_distribution.sf(ratio, *freedom) < CHANCE else 0.0


def _residual(values: Array, kinds: Indices, count: int) -> float:
    """Sum of squares about the mean of each kind."""
    members = np.maximum(np.bincount(kinds, minlength=count), 1)
    total = 0.0
    for channel in values.T:
        mean = np.bincount(kinds, channel, count) / members
        total += float(((channel - mean[kinds]) ** 2).sum())
    return total


class _Alike:
    """How alike the values of columns are that stand a translation apart.

    Attributes
    ----------
    grid : (K, I, J, C) values by sublattice and cell, NaN where there is no column.
    known : share of correlations, and in how many pairs, by translation.
    """

    def __init__(self, values: Array, cells: Indices, sublattice: Indices) -> None:
        low = cells.min(axis=0)
        size = cells.max(axis=0) - low + 1
        self.grid = np.full((int(sublattice.max()) + 1, *size, values.shape[1]), np.nan)
        self.grid[sublattice, *(cells - low).T] = values
        self.known: dict[tuple[int, int], tuple[float, int]] = {}

    def correlation(self, step: Indices) -> tuple[float, int]:
        """Correlation of the values of columns a step (i, j) apart, and the number of pairs."""
        i, j = (int(n) for n in (step if (step[0], step[1]) > (0, 0) else -step))
        if (i, j) not in self.known:
            rows, cols = self.grid.shape[1:3]
            first = self.grid[:, : max(rows - i, 0), max(-j, 0) : max(cols - max(j, 0), 0)]
            second = self.grid[:, i:, max(j, 0) : max(cols + min(j, 0), 0)]
            both = np.isfinite(first[..., 0]) & np.isfinite(second[..., 0])
            one, other = first[both], second[both]
            power = 0.5 * float((one**2).sum() + (other**2).sum())
            product = float((one * other).sum())
            self.known[i, j] = (product / power if power > 0 else 0.0, int(both.sum()))
        return self.known[i, j]

    def explained(self, matrix: Array, vectors: Array) -> float:
        """Part of the variance that repeats after the larger cell, but not after a smaller one.

        By the correlation over its shorter two vectors, whichever is less, as what lines of a scan
        share is alike along them alone; and that over steps within it, as what varies slowly is
        alike there too. 0 where it may be chance.
        """
        larger = matrix @ vectors
        basis = np.round(reduced(larger) @ np.linalg.inv(vectors)).astype(np.int64)
        least, pairs = 1.0, np.inf
        for step in basis:
            found, count = self.correlation(step)
            least, pairs = min(least, found), min(pairs, count)
        # A correlation of independent values deviates by the root of one over their number.
        if least < ALIKE or least * np.sqrt(pairs) < DEVIATIONS:
            return 0.0
        index = round(abs(float(np.linalg.det(matrix))))
        between = np.full(index, np.nan)
        order = NEAR[np.argsort(np.hypot(*(NEAR @ vectors).T), kind="stable")]
        for step, coset in zip(order, _coset(order, matrix), strict=True):
            if coset and not np.isfinite(between[coset]):
                between[coset] = self.correlation(step)[0]
        if least < np.max(between[1:]) + ALIKE:
            return 0.0
        # Where it all repeats, the correlation is 1 after the cell and -1/(n - 1) on average
        # between its n parts.
        return float((1.0 - 1.0 / index) * (least - between[1:].mean()))
