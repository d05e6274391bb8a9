"""Order that makes a crystal's cell larger: of intensities, or of small displacements."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree
from scipy.stats import f as f_distribution

from napari_atomseg.analysis.lattice import Lattice
from napari_atomseg.analysis.lattice_assign import Sites
from napari_atomseg.analysis.lattice_vectors import reduced, small_cells
from napari_atomseg.analysis.positions import Array, Indices

LARGEST = 4
"""Cells that an order may join at once."""
EXPLAINED = 0.5
"""An order must explain this part of the variance, not only be significant."""
CHANCE = 1e-6
"""Probability below which an order is no play of chance."""
ALMOST = 0.9
"""The smallest cell is taken that explains this part of what the best one does."""
AROUND = 12
"""What varies over more than so many neighbours is no order."""


def ordered(lattice: Lattice, points: Array, sites: Sites, intensity: Array | None) -> Lattice:
    """The lattice in the cell after which intensities and displacements repeat, too.

    Parameters
    ----------
    points : (N, 2) px.
    sites : of the points.
    intensity : (N,) or None.
    """
    on = np.flatnonzero(sites.on)
    values = [sites.displacement[on] * lattice.scale]
    if intensity is not None and np.isfinite(intensity[on]).all():
        values.append(intensity[on, None])
    cells, sublattice = sites.cells[on], sites.sublattice[on]
    local = [_fluctuation(v, points[on] * lattice.scale, sublattice) for v in values]
    shares: dict[int, list[tuple[float, Array]]] = {}
    for index in range(2, LARGEST + 1):
        for matrix in small_cells(index):
            share = max(_explained(v, _coset(cells, matrix), sublattice, index) for v in local)
            shares.setdefault(index, []).append((share, matrix))
    best = max(share for trials in shares.values() for share, _ in trials)
    if best < EXPLAINED:
        return lattice
    for trials in shares.values():
        share, matrix = max(trials, key=lambda trial: trial[0])
        if share >= max(EXPLAINED, ALMOST * best):
            break
    larger = matrix @ lattice.vectors * lattice.scale
    basis = reduced(larger) / lattice.scale
    return lattice.with_cell(np.round(basis @ np.linalg.inv(lattice.vectors)))


def _fluctuation(values: Array, points: Array, sublattice: Indices) -> Array:
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
