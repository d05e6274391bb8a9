"""Cross-sections of columns of known numbers of atoms, by multislice simulation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

from napari_atomseg._shared.types import Array, Indices, Sampling
from napari_atomseg.analysis.counting.counts import (
    LEAST,
    UNKNOWN,
    Counts,
    counted,
    left_out_of,
    sections_of,
    widths_of,
    without_counts,
)
from napari_atomseg.analysis.counting.evidence import doubts_of_library
from napari_atomseg.analysis.counting.mixture import fit_scaled
from napari_atomseg.progress import CancelToken, Progress, stage

if TYPE_CHECKING:
    from ase import Atoms

    from napari_atomseg.specimen.structure import Structure


SIDE = 14.0
"""Å of the crystal that is simulated, its borders far from the column in the middle."""
ROOM = 2 / 7
"""A column's share of the image must lie within this part of the side about the column."""
STEP = 0.8
"""Step of the scan, over the coarsest that samples the whole image."""
FINE = 8
"""Points along a side of a pixel of the scan, by which its part in the column's share is found."""
NEAR = 0.05
"""Å: atoms no farther apart along the beam are equally high."""


def simulate_library(
    crystal: str | Path | Atoms,
    zone_axis: tuple[int, ...],
    largest: int,
    element: str | None = None,
    *,
    energy: float = 200e3,
    semiangle: float = 20.0,
    detector: tuple[float, float] = (60.0, 200.0),
    frozen_phonons: int = 20,
    temperature: float = 300.0,
    seed: int = 0,
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
) -> pd.DataFrame:
    """Simulate the cross-sections that `count_by_library` compares with.

    A crystal is imaged by multislice down to the depths at which the column has 1, 2, … atoms. The
    cross-section is what the detector gets of the beam over the column's share of the image, the
    area that is nearer to it than to any other column (E et al., Ultramicroscopy 133, 109, 2013):
    `integrate_columns` measures the same of an image. The volume of a Gaussian fit is smaller, as
    it leaves out the light between the columns. The size of the source hardly matters.

    All columns are as thick as this one: the crystal is cut off after whole periods along the beam
    or, where the column has several atoms in one, after the layer of atoms that is nearest to the
    column's part of a period.

    Parameters
    ----------
    crystal, zone_axis : as for `simulate`.
    largest : number of atoms.
    element : element of the column, which has no other; None takes the first such
        column.
    energy : eV.
    semiangle : semi-angle of the probe, mrad. It is in focus at the surface.
    detector : inner and outer angle, mrad.
    frozen_phonons : configurations of vibrating atoms, of which the mean is taken; 0 for atoms at
        rest.
    temperature : K.

    Returns
    -------
    ``count``, ``section`` (Å² times the fraction of the beam) and ``section_err``, the standard
    error of the mean over the configurations (NaN of one). The configurations are the same for all
    numbers, so that the curve is smoother than its errors.

    Raises
    ------
    ValueError
        An argument is wrong, or no column of the crystal is of one element alone.
    ImportError
        abTEM is not installed.
    """
    from napari_atomseg.imaging import Probe
    from napari_atomseg.imaging.thickness import thickness_series

    if largest < 1:
        raise ValueError(f"largest={largest!r} must be at least 1")
    if frozen_phonons < 0:
        raise ValueError(f"frozen_phonons={frozen_phonons!r} must not be negative")
    probe = Probe(energy, semiangle)
    whole, chosen, period = crystal_around(crystal, zone_axis, largest, element)
    below, planes = slab(whole, chosen, largest, period)
    places, share = _share(whole, chosen, STEP / (4.0 * probe.cutoff))
    signal = thickness_series(
        *(below, (SIDE, SIDE), probe, places, planes),
        detector=detector,
        frozen_phonons=frozen_phonons,
        temperature=temperature,
        seed=seed,
        progress=progress,
        cancel=cancel,
    )
    found = signal @ share
    many = len(found) > 1
    error = found.std(axis=0, ddof=1) / np.sqrt(len(found)) if many else np.full(largest, np.nan)
    count = 1 + np.arange(largest)
    return pd.DataFrame({"count": count, "section": found.mean(axis=0), "section_err": error})


def read_library(path: str | Path) -> pd.DataFrame:
    """Read cross-sections by the number of atoms.

    Raises
    ------
    OSError
        There is no such file, or it is no such table.
    """
    try:
        table = pd.read_csv(path, comment="#")
    except (ValueError, UnicodeDecodeError) as error:
        raise OSError(f"{Path(path).name} cannot be read as CSV: {error}") from error
    if not {"count", "section"} <= set(table):
        raise OSError(
            f"{Path(path).name} lacks the columns count and section; it has {list(table)}"
        )
    return table


def crystal_around(
    crystal: str | Path | Atoms,
    zone_axis: tuple[int, ...],
    largest: int,
    element: str | None,
) -> tuple[Structure, int, float]:
    """A crystal thick enough for the column of one element nearest its middle; and its period."""
    from ase.data import atomic_numbers

    from napari_atomseg.specimen import Field
    from napari_atomseg.specimen.build import build_structure
    from napari_atomseg.specimen.crystals.builtin import get_crystal
    from napari_atomseg.specimen.crystals.zone import orient

    if element is not None and element not in atomic_numbers:
        raise ValueError(f"element={element!r} is no symbol of an element")
    atoms = get_crystal(crystal)
    period = orient(atoms, zone_axis).period
    # Enough even for a column of one atom a period, its first atom on top of a period.
    built = build_structure(atoms, zone_axis, Field((1, 1), SIDE, margin=0), (largest + 2) * period)
    away = np.hypot(built.y - 0.5 * SIDE, built.x - 0.5 * SIDE)
    for atom in np.argsort(away, kind="stable"):
        members = built.column == built.column[atom]
        numbers = np.unique(built.number[members])
        alone = len(numbers) == 1 and members.sum() > largest
        if alone and (element is None or numbers[0] == atomic_numbers[element]):
            return built, int(built.column[atom]), period
    kind = "one element" if element is None else f"{element} alone"
    raise ValueError(f"crystal={crystal!r} along {zone_axis} has no column of {kind}")


def slab(whole: Structure, chosen: int, largest: int, period: float) -> tuple[Structure, Array]:
    """The crystal below an atom of the column, and the depths after 1, 2, … atoms of it.

    All lie in the middle between two layers of atoms.
    """
    layers = np.unique(np.round(whole.z / NEAR)) * NEAR
    gaps = 0.5 * (layers[1:] + layers[:-1])
    own = np.sort(whole.z[whole.column == chosen])
    several = int(np.sum(own < own[0] + period - NEAR))
    first = 0 if own[0] > gaps[0] else several
    top = gaps[gaps < own[first]][-1]
    planes = []
    for count in range(1, largest + 1):
        last, after = own[first + count - 1], own[first + count]
        between = gaps[(gaps > last) & (gaps < after)]
        planes.append(between[np.argmin(np.abs(between - top - count * period / several))])
    return whole.select(whole.z > top), np.array(planes)


def _share(built: Structure, chosen: int, coarsest: float) -> tuple[Array, Array]:
    """(P, 2) places of a scan and the area (Å²) of each that is nearest to the column."""
    size = np.bincount(built.column)
    centres = np.stack(
        [np.bincount(built.column, v) / np.maximum(size, 1) for v in (built.y, built.x)], axis=1
    )
    there = np.flatnonzero(size)
    steps = int(np.ceil(ROOM * SIDE / coarsest))
    step = ROOM * SIDE / steps
    fine = (np.arange((2 * steps + 1) * FINE) + 0.5) / FINE - steps - 0.5
    around = centres[chosen] + step * np.stack(np.meshgrid(fine, fine, indexing="ij"), axis=-1)
    own = there[cKDTree(centres[there]).query(around)[1]] == chosen
    reach = np.hypot(*(around[own] - centres[chosen]).T).max()
    if reach > ROOM * SIDE:
        raise ValueError(
            f"columns stand too far apart: {2 * reach:.1f} Å of at most {ROOM * 2 * SIDE:g} Å"
        )
    pixels = own.reshape(2 * steps + 1, FINE, 2 * steps + 1, FINE).mean(axis=(1, 3)) * step**2
    places: Indices = np.argwhere(pixels > 0)
    return centres[chosen] + step * (places - steps), pixels[pixels > 0]


def count_by_library(
    columns: pd.DataFrame,
    library: pd.DataFrame | ArrayLike,
    *,
    sampling: Sampling | None = None,
    value: str = "volume",
    scale: float | None = 1.0,
    width: str = "auto",
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
) -> Counts:
    """Count the atoms of columns by comparing their cross-sections with simulated ones.

    Each cross-section is one of the library's with an error whose width is found from all columns,
    as are the shares of the numbers of atoms. Where the image is not normalized
    to the beam, the scale may be found as well (the hybrid method of De wael et al., Phys. Rev.
    Lett. 119, 246101, 2017); only the curvature of the library over the number of atoms then
    distinguishes scales; a straight library gives none.

    Cross-sections half a step below the library, or a step above it, are not counted. Fewer than
    four columns without errors of their own give no width, and so no probabilities. If the library
    does not reach more than a fifth of the columns, or several scales explain them equally well,
    the numbers are not told, and `Counts.doubts` says why.

    Parameters
    ----------
    columns : table of columns of one kind, as for `count_by_mixture`.
    library : table with ``count`` and ``section`` (as of `simulate_library`), or the cross-sections
        of 1, 2, … atoms, in Å² times the unit of the image (px² where the sampling is None).
    scale : a factor on the library; None fits it.
    width : width of the errors, as for `count_by_mixture`.

    Raises
    ------
    ValueError
        An argument is wrong, the columns are of several kinds, or `value` is no cross-section.
    Cancelled
        `cancel` was raised.
    """
    if scale is not None and not scale > 0:
        raise ValueError(f"scale={scale!r} must be positive, or None")
    numbers, known = _library(library)
    sections, errors, why = sections_of(
        columns, value, sampling, empty=numbers[0] == 0, by_lattice=False
    )
    there, total = np.flatnonzero(why == ""), len(sections)
    if len(sections) == 0:
        raise ValueError(f"columns must have a finite value of {value!r} that is positive")
    if scale is not None:
        within = _within(sections, scale * known)
        if not within.any():
            raise ValueError(
                f"{value!r} from {sections.min():.3g} to {sections.max():.3g} lies beyond the "
                f"library, {scale * known[0]:.3g} to {scale * known[-1]:.3g}: is the image "
                "normalized, and the sampling right? scale=None fits the scale"
            )
        why[there[~within]] = "cross-section beyond the library"
        sections, errors, there = sections[within], errors[within], there[within]
    ways = widths_of(width)
    fits = [
        fit_scaled(
            sections,
            errors,
            known * (scale or 1.0),
            free=scale is None,
            growing=growing,
            progress=stage(progress, number, len(ways)),
            cancel=cancel,
        )
        for number, growing in enumerate(ways)
    ]
    mixture, factor, scales = min(fits, key=lambda fit: fit[0].icl)
    beyond = total - len(sections)
    doubts = doubts_of_library(beyond, total, scales, free=scale is None)
    table = without_counts(columns) if doubts else counted(columns, there, mixture, numbers)
    if len(sections) < LEAST and not errors.any():
        # The width of their errors cannot be found from so few.
        table[["count_err", "count_probability"]] = np.nan
    return Counts(
        table,
        np.full_like(numbers, UNKNOWN) if doubts else numbers,
        mixture.means,
        np.zeros(len(numbers)),
        mixture.weights,
        mixture.sigma,
        mixture.relative,
        factor * (scale or 1.0),
        float("nan"),
        float("nan"),
        np.zeros(0),
        doubts,
        left_out_of(columns, why),
    )


def _within(sections: Array, known: Array) -> NDArray[np.bool_]:
    """(N,) values from half a step below a library to a step above it."""
    steps = known if len(known) == 1 else np.diff(known)
    return np.asarray((sections > known[0] - 0.5 * steps[0]) & (sections < known[-1] + steps[-1]))


def _library(library: pd.DataFrame | ArrayLike) -> tuple[Indices, Array]:
    if isinstance(library, pd.DataFrame):
        missing = [name for name in ("count", "section") if name not in library]
        if missing:
            raise ValueError(f"library must have 'count' and 'section'; it lacks {missing}")
        ordered = library.sort_values("count")
        numbers = ordered["count"].to_numpy(dtype=np.int64)
        known = ordered["section"].to_numpy(dtype=np.float64)
    else:
        known = np.asarray(library, dtype=np.float64).reshape(-1)
        numbers = 1 + np.arange(len(known))
    if len(known) == 0 or not np.all(np.isfinite(known)) or not np.all(np.diff(known) > 0):
        raise ValueError("library must have cross-sections that grow with the number of atoms")
    return numbers, known
