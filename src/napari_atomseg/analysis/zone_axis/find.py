"""The zone axis of a known crystal, found from the lattice of its columns."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from napari_atomseg._shared.types import Array
from napari_atomseg.analysis.lattice.lattice import Lattice
from napari_atomseg.analysis.lattice.sites import PICOMETRES, assigned
from napari_atomseg.analysis.zone_axis.match import Fit, Measured, fits
from napari_atomseg.analysis.zone_axis.patterns import patterns
from napari_atomseg.progress import CancelToken, Progress, report

if TYPE_CHECKING:
    from ase import Atoms

    from napari_atomseg.specimen.crystals.zone import OrientedCell

    Crystal = str | Path | Atoms
    Axis = tuple[int, int, int]

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

    measured = Measured.of(lattice, by_intensity=by_intensity)
    rows: list[dict[str, Any]] = []
    for crystal in known:
        name = material_name(crystal)
        if name in COLUMNLESS:
            raise ValueError(f"crystals: {name} has no columns in any direction")
        atoms = get_crystal(crystal)
        axes, before = zone_axes(atoms, largest_index), len(rows)
        for done, axis in enumerate(axes):
            report(progress, cancel, done, len(axes), f"{name} along {_written(axis)}")
            cell = orient(atoms, axis)
            best = _best(measured, cell, tolerance, resolution)
            if best:
                rows.append({"crystal": name} | _row(lattice, best, axis, cell, atoms.cell.array))
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


def _best(measured: Measured, cell: OrientedCell, tolerance: float, resolution: float) -> list[Fit]:
    """The best fits of what may be seen along a zone axis, all of one cost."""
    best: list[Fit] = []
    for pattern in patterns(cell, resolution):
        found = fits(measured, pattern, tolerance, best[0].cost if best else np.inf)
        if found and (not best or found[0].cost < best[0].cost - 1e-6):
            best = found
    return best


def _row(
    lattice: Lattice, best: list[Fit], axis: Axis, cell: OrientedCell, vectors: Array
) -> dict[str, Any]:
    """Row of a zone axis; of equal fits, the one whose directions have the smallest indices."""
    from napari_atomseg.specimen.crystals.symmetry import direction_along

    def directions(fit: Fit) -> list[Axis]:
        across = np.column_stack([fit.cell, np.zeros(2)]) @ cell.frame.T
        return [direction_along(vector, axis, vectors) for vector in across]

    def plainness(fit: Fit) -> tuple[Any, ...]:
        a, b = directions(fit)
        return fit.mirrored, sum(i < 0 for i in a), sum(i < 0 for i in b), a, b

    fit = min(best, key=plainness)
    a, b = directions(fit)
    # From the other side of the crystal one sees the mirror image.
    u, v, w = (-i for i in axis) if fit.mirrored else axis
    unit = lattice.scale / (1.0 if lattice.pixel is not None else fit.scale)
    found, expected = _lengths(lattice.vectors * unit), _lengths(fit.cell)
    misfit = found[:2] / expected[:2] - 1.0
    names = [fit.pattern.names[k] if k >= 0 else UNNAMED for k in fit.column]
    return {
        "zone_axis": _written((u, v, w)),
        "u": u,
        "v": v,
        "w": w,
        "a_direction": _written(a),
        "b_direction": _written(b),
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


def _written(axis: Axis) -> str:
    return "[" + " ".join(map(str, axis)) + "]"
