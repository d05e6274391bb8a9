"""A measured lattice laid on the columns of a crystal."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy.optimize import linear_sum_assignment

from napari_atomseg._shared.types import Array, Indices
from napari_atomseg.analysis.lattice.lattice import Lattice
from napari_atomseg.analysis.lattice.motif import AROUND
from napari_atomseg.analysis.lattice.vectors import reduced, small_cells
from napari_atomseg.analysis.zone_axis.patterns import Pattern

STRAY = 0.15
"""Å: how far columns may stand from where they are expected, in a cell that fits."""
BRIGHTNESS = 0.5
"""By how much the logarithm of an intensity may be off: specimens are thick, and light spills."""
EQUAL = 0.15
"""By how much those of columns of one composition may differ."""
DARKEST = 1.0
"""A column so bright beside the faintest that is seen is not overlooked."""
UNMATCHED = 0.1
"""Part of the columns, measured or expected, that may lack a partner."""
MOST_CELLS = 16
"""Most cells of the crystal in a measured one."""
HOPELESS = 200.0
"""Beyond this cost, no better cell is looked for."""
ALIKE = 1e-6
"""Costs that differ by less are equal, as those of cells that symmetry makes one."""
_STEPS = np.array(list(product((-1, 0, 1), repeat=4)), dtype=np.float64).reshape(-1, 2, 2)
HANDS = _STEPS[np.abs(np.linalg.det(_STEPS)).round() == 1]
"""(40, 2, 2) changes between the reduced cells of a lattice, and nearly reduced ones."""


@dataclass(frozen=True)
class Fit:
    """Columns of a crystal on those of a measured lattice.

    Attributes
    ----------
    cost : sum of squares of what does not agree, each in units of what may be expected.
    pattern : what is seen of the crystal.
    cell : (2, 2) what a and b of the measured lattice are in the crystal, rows (y, x) in Å.
    scale : by which the crystal must be stretched to be as large as measured.
    mirrored : whether it is seen from its other side.
    rms : Å that columns stray from where they are expected in the cell.
    column : (K,) of the pattern, for each measured sublattice; -1 for none.
    """

    cost: float
    pattern: Pattern
    cell: Array
    scale: float
    mirrored: bool
    rms: float
    column: Indices


@dataclass(frozen=True)
class Measured:
    """A measured lattice, ready for comparison.

    Attributes
    ----------
    vectors : (2, 2) reduced, in Å, or in px where the sampling is not known.
    change : (2, 2) whole numbers that make them of a and b.
    motif : (K, 2) sites in fractions of the reduced vectors.
    brightness : (K,) logarithms of intensities about their mean; None where they do not count.
    known : whether the sampling is known.
    """

    vectors: Array
    change: Array
    motif: Array
    brightness: Array | None
    known: bool

    @classmethod
    def of(cls, lattice: Lattice, *, by_intensity: bool) -> Measured:
        """The lattice as it is, its intensities left out where they do not count."""
        whole = lattice.vectors * lattice.scale
        vectors = reduced(whole)
        change: Array = np.round(vectors @ np.linalg.inv(whole)).astype(np.float64)
        intensity = np.abs(np.asarray(lattice.intensity, dtype=np.float64))
        known = by_intensity and bool(np.all(np.isfinite(intensity) & (intensity > 0)))
        brightness = np.log(intensity) - np.log(intensity).mean() if known else None
        motif = lattice.motif @ np.linalg.inv(change)
        return cls(vectors, change, motif, brightness, lattice.pixel is not None)


def fits(measured: Measured, pattern: Pattern, tolerance: float, enough: float) -> list[Fit]:
    """The best ways to lay a pattern on a measured lattice, all of one cost.

    Cells of the crystal of any shape that hold as many columns as the measured one are stretched
    onto it. What the stretch is apart from a turn, how far columns stray, how far their brightness
    is off, and columns without partners add to the cost.

    Parameters
    ----------
    tolerance : relative error of lengths that may be expected.
    enough : cost beyond which none are needed.
    """
    fixed = (pattern.hidden / DARKEST) ** 2 + (pattern.strayed / STRAY) ** 2
    if measured.brightness is not None:
        fixed += (pattern.spread / BRIGHTNESS) ** 2
    best: list[Fit] = []
    for base, cells, stretch in _cells(measured, pattern, tolerance):
        if base + fixed > min(enough + ALIKE, HOPELESS if np.isfinite(enough) else np.inf):
            break
        rest, rms, column = _laid(measured, pattern, *cells)
        cost = base + fixed + rest
        if cost < enough - ALIKE:
            best, enough = [], cost
        if cost <= enough + ALIKE:
            determinant = float(np.linalg.det(stretch))
            cell = np.linalg.inv(measured.change) @ cells[0]
            scale = float(np.sqrt(abs(determinant)))
            best.append(Fit(cost, pattern, cell, scale, determinant < 0, rms, column))
    return best


def _cells(
    measured: Measured, pattern: Pattern, tolerance: float
) -> list[tuple[float, tuple[Array, Array], Array]]:
    """Cells of the crystal that may be the measured one, by rising cost of the stretch and of
    columns without partners.

    Each has its vectors (2, 2) Å with the translations (M, 2) of the crystal in it, and the stretch
    (2, 2).
    """
    ratio = len(measured.motif) / len(pattern)
    counts = {int(np.clip(n, 1, MOST_CELLS)) for n in (np.floor(ratio), np.ceil(ratio))}
    found = []
    for count in sorted(counts):
        sites = (len(measured.motif), count * len(pattern))
        lost = ((max(sites) - min(sites)) / max(sites) / UNMATCHED) ** 2
        for shape in small_cells(count):
            (p, _), (_, r) = shape
            steps = np.array(list(product(range(p), range(r))), dtype=np.float64) @ pattern.vectors
            cells = HANDS @ reduced(shape @ pattern.vectors)
            stretches = np.linalg.inv(cells) @ measured.vectors
            cost = _stretch_cost(stretches, measured.known, tolerance)
            for each, vectors, stretch in zip(cost, cells, stretches, strict=True):
                found.append((float(each) + lost, (vectors, steps), stretch))
    return sorted(found, key=lambda each: each[0])


def _stretch_cost(stretches: Array, known: bool, tolerance: float) -> Array:
    """(M,) by the logarithms of the ratio of both principal stretches and of their mean."""
    area = np.abs(np.linalg.det(stretches))
    half = np.maximum(0.5 * (stretches**2).sum(axis=(1, 2)) / area, 1.0)
    cost = (np.arccosh(half) / tolerance) ** 2
    return np.asarray(cost + (0.5 * np.log(area) / tolerance) ** 2 if known else cost)


def _laid(
    measured: Measured, pattern: Pattern, vectors: Array, steps: Array
) -> tuple[float, float, Indices]:
    """Cost and rms (Å) of the best pairs of sites, and the columns (K,) of the pattern."""
    turn = np.linalg.inv(vectors)
    places = ((steps[:, None] + pattern.places @ pattern.vectors) @ turn).reshape(-1, 2)
    kind = np.tile(np.arange(len(pattern)), len(steps))
    bright = np.log(pattern.weights)[kind]
    dim: Array = np.zeros((len(measured.motif), len(places)))
    if measured.brightness is not None:
        dim = ((measured.brightness[:, None] - (bright - bright.mean())) / BRIGHTNESS) ** 2
    # Each place of the crystal in turn stands on the first site.
    away = (measured.motif - measured.motif[0])[:, None] - places
    shifted = _shortest(away + places[:, None, None], vectors)
    costs = (shifted**2).sum(axis=-1) / STRAY**2 + dim
    best, chosen = np.inf, (0.0, 0.0, np.zeros(len(measured.motif), np.int64))
    for anchor in range(len(places)):
        row, col = linear_sum_assignment(costs[anchor])
        offsets = shifted[anchor, row, col]
        rms = float(np.sqrt(((offsets - offsets.mean(axis=0)) ** 2).sum(axis=1).mean()))
        cost = (rms / STRAY) ** 2 + float(dim[row, col].mean())
        if measured.brightness is not None:
            cost += _unequal(measured.brightness[row], bright[col])
        if cost < best - ALIKE:
            column = np.full(len(measured.motif), -1)
            column[row] = kind[col]
            best, chosen = cost, (cost, rms, column)
    return chosen


def _shortest(fractions: Array, vectors: Array) -> Array:
    """(..., 2) the shortest steps, in Å, that whole cells make of steps in fractions of a cell."""
    images = ((fractions - np.round(fractions))[..., None, :] + AROUND) @ vectors
    nearest = np.linalg.norm(images, axis=-1).argmin(axis=-1)
    return np.asarray(np.take_along_axis(images, nearest[..., None, None], -2)[..., 0, :])


def _unequal(found: Array, expected: Array) -> float:
    """Cost of how much columns that should be equally bright are not."""
    _, group = np.unique(expected.round(3), return_inverse=True)
    mean = np.bincount(group, found) / np.bincount(group)
    return float(((found - mean[group]) ** 2).mean() / EQUAL**2)
