"""Pt [001] of 1 to 75 atoms a column by abTEM's multislice, seen in one cell of the image.

The beam is followed once through a supercell of 4 x 4 unit cells and read off at every unit cell
of depth. Seen along [001] all columns are alike but for half a cell in height, and so is what
turns and mirrors make of a position: the image repeats with half the cell, where the aperture lets
4 harmonics pass, and 15 positions of the probe in an eighth of it are all. Each moment of the
thermal motion is scanned about another column.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import abtem
import numpy as np
from numpy.typing import NDArray

from benchmarks.seeds import STUDIES_MULTISLICE as SEED
from napari_atomseg.imaging import Probe
from napari_atomseg.imaging.probe import wavelength
from napari_atomseg.imaging.transfer import blur
from napari_atomseg.specimen import Field, get_crystal
from napari_atomseg.specimen.build import build_structure
from napari_atomseg.specimen.defects import with_thermal_displacements

Array = NDArray[np.float64]

PROBE = Probe(300e3, 21.0, source_size=0.7)
DETECTOR = (60.0, 120.0)
"""mrad."""
LATTICE = 3.924
"""Å, of platinum."""
PERIOD = 0.5 * LATTICE
"""Å after which the image of columns along [001] repeats."""
CELLS = 4
DEEPEST = 75
"""Atoms of a column."""
MOMENTS = 12
TEMPERATURE = 300.0
HARMONICS = 4
"""Below twice the aperture's radius over the wavelength, 2.13 / Å."""


def cell_series(folder: Path) -> Array:
    """(75, 9, 9) fraction of the beam on the detector over a cell, a column in its corner, of 1 to
    75 atoms, by a point source; computed if it is not in the folder yet.
    """
    path = folder / "pt-001.npy"
    if not path.exists():
        start = time.process_time()
        folder.mkdir(parents=True, exist_ok=True)
        series = np.mean([scanned(SEED + number) for number in range(MOMENTS)], axis=0)
        np.save(path, unfolded(series))
        print(f"multislice: {time.process_time() - start:.0f} CPU seconds", flush=True)
    return np.asarray(np.load(path), dtype=np.float64)


def eighth() -> Array:
    """(15, 2) places in the cell, in ninths, that no mirror makes alike."""
    span = range(HARMONICS + 1)
    return np.array([(i, j) for i in span for j in span if j <= i], dtype=float)


def scanned(seed: int) -> Array:
    """(75, 15) signal at one moment, at the places of `eighth`."""
    rng = np.random.default_rng(seed)
    side = CELLS * LATTICE
    field = Field((CELLS, CELLS), LATTICE, 0)
    structure = build_structure(
        get_crystal("Pt"), (0, 0, 1), field, DEEPEST * LATTICE, offset=(0.1, 0.1)
    )
    column = rng.integers(len(np.unique(structure.column)))
    y, x = (float(axis[structure.column == column][0]) for axis in (structure.y, structure.x))
    structure = with_thermal_displacements(structure, TEMPERATURE, rng)
    # Each layer of atoms in the middle of a slice of its own.
    structure = replace(structure, z=structure.z + 0.25 * LATTICE)
    gpts = round(side * 3.1e-3 * DETECTOR[1] / wavelength(PROBE.energy))
    potential = abtem.Potential(
        structure.to_ase((side, side), DEEPEST * LATTICE),
        gpts=gpts,
        slice_thickness=PERIOD,
        projection="infinite",
        exit_planes=tuple(range(1, 2 * DEEPEST, 2)),
    )
    places = PERIOD / (2 * HARMONICS + 1) * eighth()
    probe = abtem.Probe(energy=PROBE.energy, semiangle_cutoff=PROBE.semiangle)
    with abtem.config.set({"diagnostics.progress_bar": False}):
        signal = probe.scan(
            potential,
            scan=abtem.CustomScan(np.array([x, y]) + places),
            detectors=abtem.AnnularDetector(*DETECTOR),
            lazy=False,
        )
    return np.asarray(signal.array, dtype=np.float64)


def unfolded(series: Array) -> Array:
    """The cell (75, 9, 9) of an eighth of it (75, 15)."""
    distance = np.minimum(np.arange(9), 9 - np.arange(9))
    high = np.maximum(distance[:, None], distance)
    low = np.minimum(distance[:, None], distance)
    return series[:, high * (high + 1) // 2 + low]


def crystal_image(cell: Array, side: int, sampling: float, origin: tuple[float, float]) -> Array:
    """(side, side) image of the crystal, a column at `origin` (y, x) Å from the first pixel's
    centre: the Fourier series of its cell, blurred by the source.
    """
    order = np.fft.fftfreq(len(cell), 1.0 / len(cell)) / PERIOD
    series = np.fft.fft2(cell) / cell.size * blur(PROBE, np.hypot(order[:, None], order))
    place = sampling * np.arange(side)
    rows, cols = (np.exp(2j * np.pi * np.outer(place - start, order)) for start in origin)
    return np.asarray((rows @ series @ cols.T).real)
