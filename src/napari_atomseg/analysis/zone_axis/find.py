"""The zone axis of a known crystal, found by laying the lattice of its columns on each pattern."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment

from napari_atomseg._shared.types import Array, Indices
from napari_atomseg.analysis.lattice.lattice import Lattice
from napari_atomseg.analysis.lattice.motif import AROUND
from napari_atomseg.analysis.lattice.sites import PICOMETRES, assigned
from napari_atomseg.analysis.lattice.vectors import reduced, small_cells
from napari_atomseg.analysis.zone_axis.patterns import Pattern, patterns
from napari_atomseg.progress import CancelToken, Progress, report

if TYPE_CHECKING:
    from ase import Atoms

    from napari_atomseg.specimen.crystals.zone import OrientedCell

    Crystal = str | Path | Atoms
    Axis = tuple[int, int, int]

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
class MeasuredLattice:
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
    def of(cls, lattice: Lattice, *, by_intensity: bool) -> MeasuredLattice:
        """The lattice as it is, its intensities left out where they do not count."""
        whole = lattice.vectors * lattice.scale
        vectors = reduced(whole)
        change: Array = np.round(vectors @ np.linalg.inv(whole)).astype(np.float64)
        intensity = np.abs(np.asarray(lattice.intensity, dtype=np.float64))
        known = by_intensity and bool(np.all(np.isfinite(intensity) & (intensity > 0)))
        brightness = np.log(intensity) - np.log(intensity).mean() if known else None
        motif = lattice.motif @ np.linalg.inv(change)
        return cls(vectors, change, motif, brightness, lattice.pixel is not None)


def fits(measured: MeasuredLattice, pattern: Pattern, tolerance: float, enough: float) -> list[Fit]:
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
    measured: MeasuredLattice, pattern: Pattern, tolerance: float
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
    measured: MeasuredLattice, pattern: Pattern, vectors: Array, steps: Array
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


LARGEST_INDEX = 5
"""Crystals are turned towards the beam up to this."""
APART = 1.0
"""Costs, in squares of what may be expected, that differ by less cannot be told apart."""
FITTING = 9.0
"""Cost up to which a candidate fits: three times what may be expected of one quantity."""
SEPARATOR = ", "
"""Between the elements of sublattices."""
UNNAMED = "?"
"""The elements of a sublattice that the crystal does not have."""


def find_zone_axis(
    lattice: Lattice,
    crystals: Crystal | Sequence[Crystal],
    *,
    largest_index: int = 3,
    tolerance: float = 0.02,
    resolution: float = 1.0,
    by_intensity: bool = True,
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
) -> pd.DataFrame:
    """Find along which zone axis of a known crystal, or of which of several, an image was taken.

    Each zone axis that symmetry makes different is projected to its lattice of columns, with the
    light ones seen or not, and compared with the measured lattice in whatever cell that is: lengths
    and angle, places of columns in the cell, and their order of brightness.

    Parameters
    ----------
    lattice : as `find_lattice` gives it. Without a sampling, only the shape of the cell counts, and
        each candidate implies a sampling.
    crystals : name from `crystals()`, path of a structure file, or Atoms; or several of them.
    largest_index : largest index of the zone axes [uvw].
    tolerance : error of lengths that may be expected, as a part of them: of the sampling, and by
        drift of the ratio of two lengths.
    resolution : Å; columns closer than this may be seen as one.
    by_intensity : whether bright columns are those that scatter more, as in dark-field STEM.

    Returns
    -------
    A row for each zone axis, the best first:

    ``rank`` : 1 for the best; candidates that cannot be told apart have the same.
    ``crystal``, ``zone_axis`` : "[1 1 0]", also as ``u``, ``v``, ``w``; its sign is that of
        `simulate`.
    ``a_direction``, ``b_direction`` : of the crystal, along a and b; the nearest where the plane of
        the image has none of small indices, as of crystals that are not cubic.
    ``length_misfit_percent`` : how much longer a or b is than expected, whichever is further off;
        of the shape alone where the sampling is not known.
    ``angle_misfit_deg`` : measured less expected.
    ``motif_rms_pm`` : that columns stray from where the crystal has them in the cell.
    ``score`` : 1 for perfect agreement, less for what is off in units of what may be expected.
    ``fits`` : whether all that is off may be expected at all.
    ``sampling`` : Å per pixel with which the cell has the crystal's area.
    ``elements`` : of sublattices 0, 1, …, as "Sr, TiO"; "?" where the crystal has no column there.
    ``a_angstrom``, ``b_angstrom``, ``angle_deg`` : measured, by the implied sampling where none is
        known; ``expected_a_angstrom``, ``expected_b_angstrom``, ``expected_angle_deg``.

    Raises
    ------
    ValueError
        An argument is wrong, a crystal is not known, or has no columns in order.
    OSError
        A file is missing, or cannot be read as a crystal.
    Cancelled
        `cancel` was set.
    """
    known = _checked(lattice, crystals, largest_index, tolerance, resolution)
    from napari_atomseg.specimen.crystals.builtin import COLUMNLESS, get_crystal
    from napari_atomseg.specimen.crystals.crystal import material_name
    from napari_atomseg.specimen.crystals.symmetry import zone_axes
    from napari_atomseg.specimen.crystals.zone import orient

    measured = MeasuredLattice.of(lattice, by_intensity=by_intensity)
    rows: list[dict[str, Any]] = []
    for crystal in known:
        name = material_name(crystal)
        if name in COLUMNLESS:
            raise ValueError(f"crystals: {name} has no columns in any direction")
        atoms = get_crystal(crystal)
        axes, before = zone_axes(atoms, largest_index), len(rows)
        for done, axis in enumerate(axes):
            report(progress, cancel, done, len(axes), f"{name} along {written(axis)}")
            cell = orient(atoms, axis)
            best = best_fits(measured, cell, tolerance, resolution)
            if best:
                rows.append(
                    {"crystal": name} | zone_row(lattice, best, axis, cell, atoms.cell.array)
                )
        if len(rows) == before:
            raise ValueError(f"crystals: {name} has too many columns in a cell to be recognized")
    return _ranked(pd.DataFrame(rows))


def name_by_elements(
    columns: pd.DataFrame, lattice: Lattice, candidate: pd.Series[Any]
) -> pd.DataFrame:
    """Name the species of columns by the elements that a candidate has on their sublattices.

    Parameters
    ----------
    columns : table with `y` and `x` (px); sites are found where it has none, see `assign`.
    lattice : lattice of the columns, for which the zone axis was found.
    candidate : row of the table of `find_zone_axis`, such as ``zones.iloc[0]``.

    Returns
    -------
    The table (with sites) and ``species``; "" for columns on no site.

    Raises
    ------
    ValueError
        The candidate was not found for this lattice.
    """
    names = str(candidate["elements"]).split(SEPARATOR)
    if len(names) != len(lattice):
        raise ValueError(
            f"candidate has elements of {len(names)} sublattices, the lattice has {len(lattice)}"
        )
    table = assigned(columns, lattice).copy()
    table["species"] = np.array([*names, ""])[table["sublattice"].to_numpy()]
    return table


def _checked(
    lattice: Lattice,
    crystals: Crystal | Sequence[Crystal],
    largest_index: int,
    tolerance: float,
    resolution: float,
) -> list[Crystal]:
    """The crystals as a list."""
    from ase import Atoms

    if not isinstance(lattice, Lattice):
        raise TypeError(f"lattice is a {type(lattice).__name__}; give what find_lattice returns")
    if largest_index not in range(1, LARGEST_INDEX + 1):
        raise ValueError(f"largest_index={largest_index!r} must be from 1 to {LARGEST_INDEX}")
    if not 0.0 < tolerance <= 0.2:
        raise ValueError(f"tolerance={tolerance!r} must lie between 0 and 0.2")
    if not 0.0 <= resolution <= 5.0:
        raise ValueError(f"resolution={resolution!r} must be from 0 to 5 Å")
    known = [crystals] if isinstance(crystals, str | Path | Atoms) else list(crystals)
    if not known:
        raise ValueError("crystals is empty; name a crystal or more")
    return known


def best_fits(
    measured: MeasuredLattice, cell: OrientedCell, tolerance: float, resolution: float
) -> list[Fit]:
    """The best fits of what may be seen along a zone axis, all of one cost."""
    best: list[Fit] = []
    for pattern in patterns(cell, resolution):
        found = fits(measured, pattern, tolerance, best[0].cost if best else np.inf)
        if found and (not best or found[0].cost < best[0].cost - 1e-6):
            best = found
    return best


def by_plainness(best: list[Fit], axis: Axis, cell: OrientedCell, vectors: Array) -> list[Fit]:
    """Equal fits, those whose directions have the smallest indices first."""

    def plainness(fit: Fit) -> tuple[Any, ...]:
        a, b = directions(fit, axis, cell, vectors)
        return fit.mirrored, sum(i < 0 for i in a), sum(i < 0 for i in b), a, b

    return sorted(best, key=plainness)


def directions(fit: Fit, axis: Axis, cell: OrientedCell, vectors: Array) -> list[Axis]:
    """Directions of the crystal along a and b."""
    from napari_atomseg.specimen.crystals.symmetry import direction_along

    across = np.column_stack([fit.cell, np.zeros(2)]) @ cell.frame.T
    return [direction_along(each, axis, vectors) for each in across]


def zone_row(
    lattice: Lattice, best: list[Fit], axis: Axis, cell: OrientedCell, vectors: Array
) -> dict[str, Any]:
    """Row of a zone axis; of equal fits, the one whose directions have the smallest indices."""
    fit = by_plainness(best, axis, cell, vectors)[0]
    a, b = directions(fit, axis, cell, vectors)
    # From the other side of the crystal one sees the mirror image.
    u, v, w = (-i for i in axis) if fit.mirrored else axis
    unit = lattice.scale / (1.0 if lattice.pixel is not None else fit.scale)
    found, expected = _lengths(lattice.vectors * unit), _lengths(fit.cell)
    misfit = found[:2] / expected[:2] - 1.0
    names = [fit.pattern.names[k] if k >= 0 else UNNAMED for k in fit.column]
    return {
        "zone_axis": written((u, v, w)),
        "u": u,
        "v": v,
        "w": w,
        "a_direction": written(a),
        "b_direction": written(b),
        "length_misfit_percent": 100.0 * misfit[np.argmax(np.abs(misfit))],
        "angle_misfit_deg": found[2] - expected[2],
        "motif_rms_pm": PICOMETRES * fit.rms,
        "cost": fit.cost,
        "sampling": float(np.sqrt(lattice.scale.prod())) / fit.scale,
        "elements": SEPARATOR.join(names),
        "a_angstrom": found[0],
        "b_angstrom": found[1],
        "angle_deg": found[2],
        "expected_a_angstrom": expected[0],
        "expected_b_angstrom": expected[1],
        "expected_angle_deg": expected[2],
    }


def _lengths(vectors: Array) -> Array:
    """(3,) lengths of two vectors and the angle between them (°)."""
    a, b = np.hypot(*vectors.T)
    cosine = vectors[0] @ vectors[1] / (a * b)
    return np.array([a, b, np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0)))])


def _ranked(table: pd.DataFrame) -> pd.DataFrame:
    table = table.sort_values("cost", kind="stable", ignore_index=True)
    cost = table.pop("cost").to_numpy()
    at = list(table.columns).index("sampling")
    table.insert(at, "score", 1.0 / (1.0 + cost))
    table.insert(at + 1, "fits", cost <= FITTING)
    table.insert(0, "rank", 1 + np.searchsorted(cost, cost - APART))
    return table


def written(axis: Axis) -> str:
    """An axis as "[1 1 0]"."""
    return "[" + " ".join(map(str, axis)) + "]"
