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
from scipy.special import fdtrc, stdtr

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
CHANCE_LINES = 1e-4
"""The same for means of lines of columns, which are few."""
CHANCE_ALIKE = 2e-3
"""The same for correlations of lines, which must also be strong, and in both directions."""
ALMOST = 0.9
"""The smallest cell is taken that explains this part of what the best one does."""
AROUND = 12
"""What varies over more than so many neighbours is no order."""
ALIKE = 0.3
"""Least correlation over the vectors of a cell, and by how much it is above that within it."""
FEWEST_PAIRS = 3
"""Lines of the lattice with fewer pairs of columns tell no correlation, and fewer lines nothing."""
MARGIN = 0.1
"""By so much, columns a cell apart are more alike than others where there is no order."""
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
        places, cells, kinds = points[on] * lattice.scale, sites.cells[on], sites.sublattice[on]
        self.vectors = lattice.vectors * lattice.scale
        self.varying = [_Varying(sites.displacement[on] * lattice.scale, places, cells, kinds)]
        if intensity is not None:
            light = intensity[on, None]
            known = np.isfinite(light[:, 0])
            if not known.all():
                # Whether an intensity could be measured at all tells faint columns, too.
                self.varying.append(_Varying(known[:, None], places, cells, kinds))
            if known.any():
                some = light[known], places[known], cells[known], kinds[known]
                self.varying.append(_Varying(*some))

    def share(self, matrix: Array) -> float:
        """Part of the variance that repeats after a larger cell, 0 where it may be chance."""
        everywhere = [each.explained(matrix) for each in self.varying]
        return max(
            *everywhere, *(each.alike.explained(matrix, self.vectors) for each in self.varying)
        )


class _Varying:
    """What varies from column to column, over the columns whose values are known."""

    def __init__(self, values: Array, points: Array, cells: Indices, sublattice: Indices) -> None:
        self.cells, self.sublattice = cells, sublattice
        self.local = fluctuation(values, points, sublattice)
        self.alike = _Alike(self.local, cells, sublattice)

    def explained(self, matrix: Array) -> float:
        """Part of the variance that the cells explain that a larger one joins."""
        index = round(abs(float(np.linalg.det(matrix))))
        coset = coset_of(self.cells, matrix)
        return _explained(self.local, self.cells, coset, self.sublattice, index)


def fluctuation(values: Array, points: Array, sublattice: Indices) -> Array:
    """Values (N, C) less their sublattice's median and the mean of their surroundings, and
    without the tails that bad fits give them.
    """
    rest = values.astype(np.float64).copy()
    for k in np.unique(sublattice):
        rest[sublattice == k] -= np.median(rest[sublattice == k], axis=0)
    spread = np.median(np.abs(rest), axis=0) * 1.4826
    # Where most values are exactly equal, as those of a simulation, they have no tails.
    spread = np.where(spread > 0, spread, np.inf)
    rest = np.clip(rest, -6 * spread, 6 * spread)
    near = cKDTree(points).query(points, k=min(AROUND + 1, len(points)))[1].reshape(len(points), -1)
    return np.asarray(rest - rest[near].mean(axis=1))


def coset_of(cells: Indices, matrix: Array) -> Indices:
    """(N,) which of the cells that a larger cell joins."""
    (p, q), (_, r) = matrix
    rows = cells[:, 0] // p
    return np.asarray((cells[:, 0] - p * rows) * r + (cells[:, 1] - q * rows) % r)


def _explained(
    values: Array, cells: Indices, coset: Indices, sublattice: Indices, index: int
) -> float:
    """Part of the variance within sublattices that cosets explain, 0 where by chance.

    Columns of one line of the lattice may share what a line of the scan or a layer of the crystal
    has, so that means of lines are tested as one value each, along each of four directions.
    """
    count = int(sublattice.max()) + 1
    total = _residual(values, sublattice, count)
    if total <= 0:
        return 0.0
    i, j = cells.T
    least = 1.0
    for line in (i, j, i - j, i + j):
        _, line = np.unique(np.column_stack([sublattice, line]), axis=0, return_inverse=True)
        line = line.ravel()
        members = np.bincount(line)
        mean = np.stack([np.bincount(line, v) / members for v in values.T], axis=1)
        inside = _settled(values - mean[line], sublattice, coset, count, index, len(values), CHANCE)
        orbit = np.full(len(members), index)
        np.minimum.at(orbit, line, coset)
        kind = np.zeros(len(members), np.int64)
        kind[line] = sublattice
        # Means of short lines count less, but each as one.
        weight = np.sqrt(members)[:, None]
        between = _settled(mean, kind, orbit, count, index, len(members), CHANCE_LINES, weight)
        least = min(least, (inside + between) / total)
    return least


def _settled(
    values: Array,
    sublattice: Indices,
    coset: Indices,
    count: int,
    index: int,
    units: int,
    chance: float,
    weight: Array | None = None,
) -> float:
    """Sum of squares that cosets explain, 0 where it may be by chance."""
    kinds = sublattice * index + coset
    within = _residual(values, kinds, count * index, weight)
    without = _residual(values, sublattice, count, weight)
    groups = len(np.unique(kinds)) - len(np.unique(sublattice))
    channels = values.shape[1]
    spare = (units - len(np.unique(kinds))) * channels
    if groups <= 0 or spare <= 0 or without <= 0:
        return 0.0
    ratio = (without - within) / (groups * channels) / max(within / spare, 1e-300)
    by_chance = fdtrc(groups * channels, spare, max(ratio, 0.0))
    return without - within if by_chance < chance else 0.0


def _residual(values: Array, kinds: Indices, count: int, weight: Array | None = None) -> float:
    """Sum of squares about the mean of each kind, with weights whose squares count columns."""
    share = np.ones(len(values)) if weight is None else weight[:, 0] ** 2
    members = np.maximum(np.bincount(kinds, share, count), 1e-300)
    total = 0.0
    for channel in values.T:
        mean = np.bincount(kinds, share * channel, count) / members
        total += float((share * (channel - mean[kinds]) ** 2).sum())
    return total


class _Alike:
    """How alike the values of columns are that stand a translation apart.

    Attributes
    ----------
    grid : (K, I, J, C) values by sublattice and cell, NaN where there is no column.
    known : correlations by translation.
    """

    def __init__(self, values: Array, cells: Indices, sublattice: Indices) -> None:
        low = cells.min(axis=0)
        size = cells.max(axis=0) - low + 1
        self.grid = np.full((int(sublattice.max()) + 1, *size, values.shape[1]), np.nan)
        self.grid[sublattice, *(cells - low).T] = values
        self.known: dict[tuple[int, int], float] = {}

    def correlation(self, step: Indices) -> float:
        """Correlation of the values of columns a step (i, j) apart."""
        i, j = self._forward(step)
        if (i, j) not in self.known:
            product, power, _ = self._pairs(i, j)
            total = float(power.sum())
            self.known[i, j] = float(product.sum()) / total if total > 0 else 0.0
        return self.known[i, j]

    def by_chance(self, step: Indices, between: Indices, along: Indices) -> float:
        """Probability that columns a step apart are more alike than those a smaller step apart by
        chance, of what columns of one line along a direction have in common: each line counts once.
        """
        after, within = (self._of_lines(each, along) for each in (step, between))
        both = sorted(set(after) & set(within))
        if len(both) < FEWEST_PAIRS:
            return 1.0
        # Values less those of their surroundings are a little less alike a small step apart.
        contrast = np.array([0.5 * (after[line] - within[line]) - MARGIN for line in both])
        error = max(float(contrast.std(ddof=1)) / np.sqrt(len(both)), 1e-9)
        return float(stdtr(len(both) - 1, -contrast.mean() / error))

    def _of_lines(self, step: Indices, along: Indices) -> dict[tuple[int, int], float]:
        """Correlation of columns a step apart, by the line along a direction of the first one."""
        product, power, where = self._pairs(*self._forward(step))
        place = where[:, 1] * along[1] - where[:, 2] * along[0]
        lines, index = np.unique(np.column_stack([where[:, 0], place]), axis=0, return_inverse=True)
        index = index.ravel()
        weight = np.bincount(index, power)
        enough = (np.bincount(index) >= FEWEST_PAIRS) & (weight > 0)
        each = np.bincount(index, product) / np.maximum(weight, 1e-300)
        pairs = zip(lines[enough].tolist(), each[enough].tolist(), strict=True)
        return {(line[0], line[1]): value for line, value in pairs}

    @staticmethod
    def _forward(step: Indices) -> tuple[int, int]:
        i, j = (int(n) for n in step)
        return (i, j) if (i, j) > (0, 0) else (-i, -j)

    def _pairs(self, i: int, j: int) -> tuple[Array, Array, Indices]:
        """Products and powers (P,) of columns a step apart, and where (P, 3) the first stands."""
        rows, cols = self.grid.shape[1:3]
        first = self.grid[:, : max(rows - i, 0), max(-j, 0) : max(cols - max(j, 0), 0)]
        second = self.grid[:, i:, max(j, 0) : max(cols + min(j, 0), 0)]
        both = np.isfinite(first[..., 0]) & np.isfinite(second[..., 0])
        one, other = first[both], second[both]
        power = 0.5 * (one**2 + other**2).sum(axis=1)
        return (one * other).sum(axis=1), power, np.argwhere(both)

    def explained(self, matrix: Array, vectors: Array) -> float:
        """Part of the variance that repeats after the larger cell, but not after a smaller one.

        By the correlation over its shorter two vectors, whichever is less, as what lines of a scan
        share is alike along them alone; and that over steps within it, as what varies slowly is
        alike there too. 0 where it may be chance.
        """
        basis = np.round(reduced(matrix @ vectors) @ np.linalg.inv(vectors)).astype(np.int64)
        least = min(self.correlation(step) for step in basis)
        if least < ALIKE:
            return 0.0
        index = round(abs(float(np.linalg.det(matrix))))
        between = np.full(index, np.nan)
        smaller = np.zeros((index, 2), np.int64)
        order = NEAR[np.argsort(np.hypot(*(NEAR @ vectors).T), kind="stable")]
        for step, coset in zip(order, coset_of(order, matrix), strict=True):
            if coset and not np.isfinite(between[coset]):
                between[coset], smaller[coset] = self.correlation(step), step
        likest = 1 + int(np.argmax(between[1:]))
        if least < between[likest] + ALIKE:
            return 0.0
        for step, along in (basis, basis[::-1]):
            if self.by_chance(step, smaller[likest], along) > CHANCE_ALIKE:
                return 0.0
        # Where it all repeats, the correlation is 1 after the cell and -1/(n - 1) on average
        # between its n parts.
        return float((1.0 - 1.0 / index) * (least - between[1:].mean()))
