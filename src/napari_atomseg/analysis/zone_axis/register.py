"""A known crystal laid on the columns of an image: every column named, every missing one listed.

The measured lattice says how the crystal lies in the image, up to what the lattice alone leaves
open, such as which of two like sites is which. That is decided by the columns: those of the crystal
must stand on them, and the bright ones of each surrounding must be those that scatter more.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from napari_atomseg._shared.types import Array, Indices, Sampling
from napari_atomseg.analysis.defects import find_vacancies
from napari_atomseg.analysis.lattice.assign import assign, follow
from napari_atomseg.analysis.lattice.find import find_lattice, fitted
from napari_atomseg.analysis.lattice.lattice import Lattice
from napari_atomseg.analysis.lattice.sites import intensity_of
from napari_atomseg.analysis.lattice.vectors import conventional, reduced
from napari_atomseg.analysis.positions import positions_of
from napari_atomseg.analysis.zone_axis.find import (
    APART,
    FITTING,
    STRAY,
    Fit,
    MeasuredLattice,
    best_fits,
    by_plainness,
    directions,
    written,
    zone_row,
)
from napari_atomseg.analysis.zone_axis.patterns import Pattern, patterns, whole_pattern
from napari_atomseg.progress import CancelToken, Progress, report

if TYPE_CHECKING:
    from napari_atomseg.analysis.zone_axis.find import Axis, Crystal
    from napari_atomseg.specimen.crystals.zone import OrientedCell

FAINTEST = 0.1
"""Columns that scatter this part of the brightest should be seen in dark field."""
WRONG_SCALE = 0.15
"""A sampling may be wrong by this part, which is said."""
MOST_FITS = 16
"""Ways to lay a crystal on a lattice that are tried at each of its sites."""
AROUND = 12
"""Columns about each with which its intensity is compared."""
TOLERANCE = 0.3
"""A column stands on a site within this part of the least distance of two sites."""
SAME_CELL = 0.1
"""Vectors are whole multiples of others within this part of these."""
CENTRED = 2
"""Primitive cells in a centred rectangle."""
ALIKE = 1.01
"""Columns whose scattering differs by less than this factor are not told apart by intensities."""


@dataclass(frozen=True)
class Registration:
    """A crystal laid on an image.

    Attributes
    ----------
    lattice : the crystal's cell in the image; its sublattices are the columns of that cell, also
        those of which none was found.
    names : (K,) elements of the sublattices, such as "TiO".
    directions : of the crystal along a and b of `lattice`, as "[1 -1 0]".
    columns : table with sites (see `assign`) and ``species``, "" for columns on no site.
    missing : a row for each site inside the crystal that has no column: ``y``, ``x`` (px), ``i``,
        ``j``, ``sublattice``, ``species``, as `find_vacancies` gives them.
    zone : the row of the zone axis as `find_zone_axis` has it.
    fits : whether the crystal agrees with the columns as well as may be expected, but for the
        sampling.
    sampling : Å per pixel with which the cell has the area of the crystal's.
    scale_error : by which part lengths are longer than the crystal's, with the sampling that was
        given; NaN without.
    alike : other zone axes that fit as well, as "[1 1 0]".
    contrast : largest ratio of the scattering of two of its columns that should be seen.
    agreement : correlation of intensities with what the crystal's columns scatter, each against its
        surroundings; NaN where intensities do not count, or all columns scatter alike.
    """

    lattice: Lattice
    names: tuple[str, ...]
    directions: tuple[str, str]
    columns: pd.DataFrame
    missing: pd.DataFrame
    zone: pd.Series[Any]
    fits: bool
    sampling: float
    scale_error: float
    alike: tuple[str, ...]
    contrast: float
    agreement: float


@dataclass(frozen=True)
class Laid:
    """A fit of a zone axis, and all that is needed to lay it on the image."""

    axis: Axis
    cell: OrientedCell
    fits: list[Fit]
    all_patterns: list[Pattern]

    @property
    def cost(self) -> float:
        """Sum of squares of what does not agree."""
        return self.fits[0].cost


def register_crystal(
    columns: pd.DataFrame,
    crystal: Crystal,
    sampling: Sampling | None = None,
    *,
    zone_axis: tuple[int, ...] | None = None,
    largest_index: int = 3,
    tolerance: float = 0.02,
    resolution: float = 1.0,
    faintest: float = FAINTEST,
    by_intensity: bool = True,
    intensity: str | None = None,
    lattice: Lattice | None = None,
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
) -> Registration:
    """Lay a known crystal on the columns of an image, by its projected cell.

    Where no zone axis fits with the sampling, one that fits with another sampling, up to 15 % off,
    is taken, and `Registration.scale_error` tells by how much.

    Parameters
    ----------
    columns : table with `y` and `x` (px); of one image.
    crystal : name from `crystals()`, path of a structure file, or Atoms.
    sampling : Å a pixel, one number or (dy, dx), or None.
    zone_axis : [uvw] along the beam, or [uvtw] of a hexagonal crystal; None finds it.
    largest_index, tolerance, resolution, by_intensity : as for `find_zone_axis`.
    faintest : columns of the crystal that scatter at least this part of the brightest should be in
        the image; those that are fainter count only if they were seen.
    intensity : column with the intensities; None takes `volume`, `amplitude` or `intensity`.
    lattice : of the columns; found where there is none.

    Raises
    ------
    ValueError
        An argument is wrong, the columns show no lattice, or no axis of the crystal can be laid on
        it at all.
    OSError
        A file is missing, or cannot be read as a crystal.
    Cancelled
        `cancel` was set.
    """
    from napari_atomseg.specimen.crystals.builtin import COLUMNLESS, get_crystal
    from napari_atomseg.specimen.crystals.crystal import material_name

    if not 0.0 < faintest <= 1.0:
        raise ValueError(f"faintest={faintest!r} must be above 0 and at most 1")
    name = material_name(crystal)
    if name in COLUMNLESS:
        raise ValueError(f"crystal: {name} has no columns in any direction")
    atoms = get_crystal(crystal)
    axes = axes_of(atoms, zone_axis, largest_index)
    found = find_lattice(columns, sampling, intensity=intensity) if lattice is None else lattice
    measured = MeasuredLattice.of(found, by_intensity=by_intensity)
    laid, alike = best_axis(atoms, axes, measured, tolerance, resolution, name, progress, cancel)
    bright = intensity_of(columns, intensity) if by_intensity else None
    points = positions_of(columns)
    report(progress, cancel, len(axes), len(axes) + 1, "Naming the columns")
    best, fit, pattern, agreement = _chosen(laid, found, points, bright, faintest, atoms.cell.array)
    matrix = _as_measured(best, found)
    cell = best.with_cell(matrix)
    known = _fitted(cell, points, bright)
    table = assign(columns, known)
    kinds = best.nearest(cell.sites(0, 0, np.arange(len(cell))))[1]
    elements = tuple(pattern.names[k] for k in kinds)
    names = np.array([*elements, ""])
    table["species"] = names[table["sublattice"].to_numpy()]
    missing = find_vacancies(columns, sampling, known)
    missing["species"] = names[missing["sublattice"].to_numpy(dtype=np.int64)]
    zone = pd.Series(
        {"crystal": name} | zone_row(found, [fit], laid.axis, laid.cell, atoms.cell.array)
    )
    shown = replace(fit, cell=matrix @ pattern.vectors)
    along = directions(shown, laid.axis, laid.cell, atoms.cell.array)
    misfit = _misfit(fit, found)
    return Registration(
        known,
        elements,
        (written(along[0]), written(along[1])),
        table,
        missing,
        zone,
        bool(fit.cost <= FITTING),
        float(zone["sampling"]),
        misfit,
        alike,
        float(pattern.weights.max() / pattern.weights.min()),
        agreement,
    )


def axes_of(atoms: Any, zone_axis: tuple[int, ...] | None, largest_index: int) -> list[Axis]:
    """The zone axis in three indices, or all that symmetry makes different where it is None."""
    from napari_atomseg.specimen.crystals.axis import three_indices
    from napari_atomseg.specimen.crystals.symmetry import zone_axes

    if zone_axis is None:
        return zone_axes(atoms, largest_index)
    return [three_indices(zone_axis, atoms.cell.array)]


def _misfit(fit: Fit, lattice: Lattice) -> float:
    return fit.scale - 1.0 if lattice.pixel is not None else float("nan")


def best_axis(
    atoms: Any,
    axes: list[Axis],
    measured: MeasuredLattice,
    tolerance: float,
    resolution: float,
    name: str,
    progress: Progress | None,
    cancel: CancelToken | None,
) -> tuple[Laid, tuple[str, ...]]:
    """The axis that fits best, with another sampling where none does with the one that is given,
    and others that fit as well.
    """
    from napari_atomseg.specimen.crystals.zone import orient

    free = MeasuredLattice(
        measured.vectors, measured.change, measured.motif, measured.brightness, known=False
    )
    found: dict[bool, list[Laid]] = {measured.known: [], False: []}
    for done, axis in enumerate(axes):
        report(progress, cancel, done, len(axes) + 1, f"{name} along {written(axis)}")
        cell = orient(atoms, axis)
        every = patterns(cell, resolution)
        for known in found:
            ways = best_fits(measured if known else free, cell, tolerance, resolution)
            if measured.known and not known:
                ways = [way for way in ways if abs(way.scale - 1.0) <= WRONG_SCALE]
            if ways:
                found[known].append(Laid(axis, cell, ways, every))
    for known in (measured.known, False):
        laid = sorted(found[known], key=lambda each: each.cost)
        # Without an axis that fits, that is the nearest where the sampling is left open.
        if laid and (laid[0].cost <= FITTING or not known):
            alike = [each.axis for each in laid[1:] if each.cost < laid[0].cost + APART]
            return laid[0], tuple(written(axis) for axis in alike)
    if not found[measured.known]:
        raise ValueError(f"crystal: no axis of {name} can be laid on the lattice of the columns")
    return min(found[measured.known], key=lambda each: each.cost), ()


def _chosen(
    laid: Laid,
    lattice: Lattice,
    points: Array,
    bright: Array | None,
    faintest: float,
    vectors: Array,
) -> tuple[Lattice, Fit, Pattern, float]:
    """The way to lay the crystal on the image that agrees best with columns and intensities."""
    sites = follow(points, lattice)
    on = np.flatnonzero(sites.on)
    places = lattice.sites(sites.cells[on, 0], sites.cells[on, 1], sites.sublattice[on])
    light = None if bright is None else local_contrast(bright[on], points[on] * lattice.scale)
    best, highest = None, -np.inf
    for trial, fit, pattern in ways_to_lay(laid, lattice, faintest, vectors):
        score, agreement = _score(trial, places, light, pattern, fit.scale)
        if score > highest + 1e-6:
            best, highest = (trial, fit, pattern, agreement), score
    if best is None:
        raise ValueError("the crystal has no columns that could stand on those of the image")
    return best


def ways_to_lay(
    laid: Laid, lattice: Lattice, faintest: float, vectors: Array
) -> Iterator[tuple[Lattice, Fit, Pattern]]:
    """The ways in which a crystal may lie on a measured lattice: its cell in the image, and the
    columns that should be seen of it.
    """
    for fit in by_plainness(laid.fits, laid.axis, laid.cell, vectors)[:MOST_FITS]:
        pattern = whole_pattern(fit.pattern, laid.all_patterns, faintest)
        basis = pattern.vectors @ np.linalg.inv(fit.cell) @ lattice.vectors
        for anchor in pattern.places:
            origin = lattice.origin - anchor @ basis
            yield Lattice(origin, basis, pattern.places, lattice.pixel), fit, pattern


def _score(
    trial: Lattice,
    places: Array,
    light: tuple[Array, Indices] | None,
    pattern: Pattern,
    scale: float,
) -> tuple[float, float]:
    """How well a crystal agrees with places (M, 2) px on which columns stand, and how well their
    intensities do.
    """
    _, kind, away = trial.nearest(places)
    distance = np.hypot(*(away * trial.scale).T)
    on = distance < TOLERANCE * trial.separation
    if not on.any():
        return -np.inf, float("nan")
    unit = STRAY * (scale if trial.pixel is None else 1.0)
    stray = float(np.mean((distance[on] / unit) ** 2))
    agreement = float("nan")
    if light is not None:
        contrast, near = light
        expected = expected_contrast(pattern, kind, near)
        power = float((expected[on] ** 2).sum() * (contrast[on] ** 2).sum())
        if power and pattern.weights.max() > ALIKE * pattern.weights.min():
            agreement = float((expected[on] * contrast[on]).sum()) / np.sqrt(power)
    # Of columns that are not there at all, the faint ones are the likelier.
    there = np.unique(kind[on])
    value = float(on.mean()) - 0.1 * min(stray, 9.0)
    value += 0.5 * float(pattern.weights[there].sum() / pattern.weights.sum())
    return value + (0.0 if np.isnan(agreement) else agreement), agreement


def local_contrast(bright: Array, points: Array) -> tuple[Array, Indices]:
    """(M,) logarithms of intensities against those of the columns around, and these (M, A)."""
    positive = np.isfinite(bright) & (bright > 0)
    values = np.log(np.where(positive, bright, np.nan))
    values = np.where(positive, values, np.nanmedian(values) if positive.any() else 0.0)
    count = min(AROUND + 1, len(points))
    near = np.asarray(cKDTree(points).query(points, k=count)[1]).reshape(len(points), count)
    contrast = values - values[near].mean(axis=1)
    contrast[~positive] = 0.0
    return contrast, near


def expected_contrast(pattern: Pattern, kind: Indices, near: Indices) -> Array:
    """(M,) contrast, as `local_contrast` has it, of columns (M,) of a crystal."""
    expected: Array = np.log(pattern.weights)[kind]
    return np.asarray(expected - expected[near].mean(axis=1))


def _fitted(lattice: Lattice, points: Array, bright: Array | None) -> Lattice:
    """The crystal's cell fitted to the columns that stand on its sites."""
    finite = np.isfinite(points).all(axis=1)
    points = points[finite]
    bright = None if bright is None else bright[finite]
    for _ in range(2):
        lattice = fitted(lattice, points, follow(points, lattice), bright, numbered=False)
    return lattice


def _as_measured(lattice: Lattice, measured: Lattice) -> Array:
    """(2, 2) the measured vectors by those of the crystal's cell; ones where cells differ.

    Cells are alike where they are equally large, or where the measured one is the centred
    rectangle of the crystal's.
    """
    steps = measured.vectors @ np.linalg.inv(lattice.vectors)
    matrix = np.asarray(np.round(steps), dtype=np.float64)
    size = round(abs(float(np.linalg.det(matrix))))
    if np.abs(steps - matrix).max() < SAME_CELL and (
        size == 1 or (size == CENTRED and _is_centred(matrix, lattice))
    ):
        return matrix
    return np.eye(2)


def _is_centred(matrix: Array, lattice: Lattice) -> bool:
    """Whether vectors, by those of a lattice, span its conventional cell."""
    vectors = lattice.vectors * lattice.scale
    small = reduced(vectors)
    whole = matrix @ vectors @ np.linalg.inv(conventional(small) @ small)
    return bool(np.abs(whole - np.round(whole)).max() < SAME_CELL)
