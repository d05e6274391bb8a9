"""Cross-sections of columns of known numbers of atoms, by multislice simulation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from napari_atomseg.analysis.positions import Array
from napari_atomseg.progress import CancelToken, Progress, report

if TYPE_CHECKING:
    from ase import Atoms

    from napari_atomseg.specimen.structure import Structure

PIXEL = 0.2
"""Å: the image is integrated, and needs no more than the probe's own resolution."""
SIDE = 16.0
"""Å of the crystal that is simulated, its borders far from the column in the middle."""
NEAR = 1e-3
"""Å: heights that differ by less are the same."""
ROOM = 0.25
"""A column's share of the image must lie within this part of the side about the column."""


def simulate_library(
    crystal: str | Path | Atoms,
    zone_axis: tuple[int, int, int],
    largest: int,
    element: str | None = None,
    *,
    energy: float = 200e3,
    semiangle: float = 20.0,
    detector: tuple[float, float] = (60.0, 200.0),
    frozen_phonons: int = 4,
    seed: int = 0,
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
) -> pd.DataFrame:
    """Simulate the cross-sections that `count_by_library` compares with.

    Crystals with 1, 2, … atoms in a column are imaged by abTEM's multislice, with thermal
    vibrations at 300 K. The cross-section is what the detector gets of the beam over the column's
    share of the image, the pixels that are nearer to it than to any other column.

    Parameters
    ----------
    crystal, zone_axis : as for `simulate`.
    largest : number of atoms.
    element : of the column, which has no other; None takes the first column that has one alone.
    energy : eV.
    semiangle : of the probe, mrad.
    detector : inner and outer angle, mrad.
    frozen_phonons : configurations of vibrating atoms, of which the mean is taken.

    Returns
    -------
    ``count``, ``section`` (Å² times the fraction of the beam) and ``section_err``, the standard
    error of the mean over the configurations (NaN of one).

    Raises
    ------
    ValueError
        An argument is wrong, or no column of the crystal is of one element alone.
    ImportError
        abTEM is not installed.
    """
    from napari_atomseg.imaging import Probe
    from napari_atomseg.imaging.multislice import multislice_adf
    from napari_atomseg.specimen import Field

    if largest < 1:
        raise ValueError(f"largest={largest!r} must be at least 1")
    if frozen_phonons < 1:
        raise ValueError(f"frozen_phonons={frozen_phonons!r} must be at least 1")
    pixels = round(SIDE / PIXEL)
    field = Field((pixels, pixels), PIXEL, margin=0)
    whole, chosen = _crystal(crystal, zone_axis, largest, element, field.size)
    share = _share(whole, chosen, (pixels, pixels))
    ends = np.sort(whole.z[whole.column == chosen])
    probe = Probe(energy, semiangle)
    work = largest * frozen_phonons
    rows = []
    for count in range(1, largest + 1):
        # From an atom of the column to the next but `count`: other columns are as thick.
        above, below = whole.z > ends[0] - NEAR, whole.z < ends[count] - NEAR
        slab = whole.select(above & below)
        found = []
        for moment in range(frozen_phonons):
            report(progress, cancel, (count - 1) * frozen_phonons + moment, work, f"{count} atoms")
            image = multislice_adf(
                *(slab, field, probe),
                detector=detector,
                frozen_phonons=1,
                seed=seed + moment,
                cancel=cancel,
            )
            found.append(float(image[share].sum()) * PIXEL**2)
        error = np.std(found, ddof=1) / np.sqrt(len(found)) if len(found) > 1 else np.nan
        rows.append((count, float(np.mean(found)), float(error)))
    report(progress, cancel, work, work, "done")
    return pd.DataFrame(rows, columns=["count", "section", "section_err"])


def _crystal(
    crystal: str | Path | Atoms,
    zone_axis: tuple[int, int, int],
    largest: int,
    element: str | None,
    size: Array,
) -> tuple[Structure, int]:
    """A crystal thick enough for a column of one atom more, and that column nearest the middle."""
    from ase.data import atomic_numbers

    from napari_atomseg.specimen import Field
    from napari_atomseg.specimen.build import build_structure
    from napari_atomseg.specimen.crystals import get_crystal
    from napari_atomseg.specimen.zone import orient

    if element is not None and element not in atomic_numbers:
        raise ValueError(f"element={element!r} is no symbol of an element")
    atoms = get_crystal(crystal)
    period = orient(atoms, zone_axis).period
    shape = tuple(np.rint(size / PIXEL).astype(int).tolist())
    field = Field(shape, PIXEL, margin=0)
    built = build_structure(atoms, zone_axis, field, (largest + 1) * period)
    away = np.hypot(built.y - 0.5 * size[0], built.x - 0.5 * size[1])
    for atom in np.argsort(away, kind="stable"):
        members = built.column == built.column[atom]
        numbers = np.unique(built.number[members])
        alone = len(numbers) == 1 and members.sum() > largest
        if alone and (element is None or numbers[0] == atomic_numbers[element]):
            return built, int(built.column[atom])
    kind = "one element" if element is None else f"{element} alone"
    raise ValueError(f"crystal={crystal!r} along {zone_axis} has no column of {kind}")


def _share(built: Structure, chosen: int, shape: tuple[int, int]) -> Array:
    """(H, W) pixels that are nearer to a column than to the others."""
    size = np.bincount(built.column)
    places = np.stack(
        [np.bincount(built.column, v) / np.maximum(size, 1) for v in (built.y, built.x)], axis=1
    )
    there = np.flatnonzero(size)
    pixels = np.indices(shape).reshape(2, -1).T * PIXEL
    nearest = there[cKDTree(places[there]).query(pixels)[1]].reshape(shape)
    share = np.asarray(nearest == chosen)
    reach = np.hypot(*(np.argwhere(share) * PIXEL - places[chosen]).T).max()
    if reach > ROOM * SIDE:
        raise ValueError(
            f"columns stand too far apart: {2 * reach:.1f} Å of at most {ROOM * 2 * SIDE:g} Å"
        )
    return share
