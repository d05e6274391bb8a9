"""Test images for restoration: abTEM's multislice, counted electron by electron, with row jitter.

    python -m benchmarks restoration images FOLDER
    python -m benchmarks restoration images FOLDER --doses inf 400 --jitter 0

Writes `FOLDER/truth/NAME.npy` and `FOLDER/input/NAME@GROUP.npy`, the layout that `restoration
scores` reads, a group a dose: the electrons in the brightest pixel. The slow images are kept in
`FOLDER/slow` and made once (some ten minutes on a core of its own); everything else follows from
them and from `SEED`, which no training uses. None of this may ever choose a model or a setting.

Whole crystals are computed as a supercell, whose cells, each in its own thermal motion, are
averaged; they are seen turned, shifted and at two pixel sizes. Wedges thin out on amorphous carbon
and are computed as a whole. The truth is the image by a beam of infinite dose and a perfect scan:
the probe, its source size and thermal motion stay in it.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from benchmarks import options as shared
from benchmarks.seeds import RESTORATION as SEED
from benchmarks.seeds import generator
from napari_atomseg.distortion.scan import shift_lines
from napari_atomseg.imaging import Probe
from napari_atomseg.imaging.multislice import multislice_adf
from napari_atomseg.specimen import Field, SingleCrystal, get_crystal
from napari_atomseg.specimen.build import build_structure

Image = NDArray[np.float32]

SIDE = 176
MARGIN = 8
"""Pixels beyond each border, so that lines can be moved."""
DOSES = (400.0, 60.0, 12.0)
JITTER = 0.05
"""Å, deviation of each line's displacement along x and along y."""
DETECTOR = (60.0, 120.0)
SLICES = 4.0
CELL = 80
"""Pixels of a cell's image along x: below 0.08 Å, so that cubic splines are exact enough."""


@dataclass(frozen=True)
class Whole:
    """A crystal that fills the image.

    Attributes
    ----------
    cell : sides (y, x) of the smallest rectangle that repeats, Å.
    repeats : of it in the supercell.
    thickness : Å.
    samplings : Å a pixel of the images made of it.
    """

    name: str
    crystal: str
    zone_axis: tuple[int, int, int]
    cell: tuple[float, float]
    repeats: tuple[int, int]
    thickness: float
    probe: Probe
    samplings: tuple[float, ...]


@dataclass(frozen=True)
class Wedge:
    """A crystal that thins out on `support` Å of amorphous carbon; lengths in Å."""

    name: str
    crystal: str
    zone_axis: tuple[int, int, int]
    thickness: float
    support: float
    probe: Probe
    sampling: float
    rotation: float


CORRECTED = Probe(300e3, 21.0, source_size=0.7)
SHARP = Probe(200e3, 25.0, source_size=0.6)
SOFT = Probe(200e3, 20.0, source_size=0.9)

WHOLE = (
    Whole("srtio3", "SrTiO3", (0, 0, 1), (3.905, 3.905), (3, 3), 78.0, SOFT, (0.12, 0.22)),
    Whole("si", "Si", (1, 1, 0), (5.431, 3.8403), (2, 3), 92.0, SHARP, (0.09, 0.15)),
    Whole("pt", "Pt", (0, 0, 1), (3.924, 3.924), (3, 3), 47.0, CORRECTED, (0.1, 0.2)),
    Whole("gaas", "GaAs", (1, 1, 0), (5.653, 3.9973), (2, 3), 80.0, SHARP, (0.08, 0.16)),
    Whole("mos2", "MoS2", (0, 0, 1), (5.4733, 3.16), (2, 3), 9.0, SOFT, (0.1, 0.18)),
    Whole("pbtio3", "PbTiO3", (1, 0, 0), (4.152, 3.904), (3, 3), 62.0, SOFT, (0.11, 0.2)),
)
WEDGES = (
    Wedge("srtio3-wedge", "SrTiO3", (0, 0, 1), 60.0, 25.0, SOFT, 0.1, 17.0),
    Wedge("pt-wedge", "Pt", (0, 0, 1), 30.0, 30.0, CORRECTED, 0.09, 8.0),
    Wedge("gaas-wedge", "GaAs", (1, 1, 0), 50.0, 20.0, SHARP, 0.1, 63.0),
    Wedge("si-wedge", "Si", (1, 1, 0), 60.0, 20.0, SHARP, 0.08, 40.0),
)


def cell_image(case: Whole, seed: int) -> Image:
    """One cell, (rows, `CELL`), the mean of those of the supercell."""
    high, wide = (n * side for n, side in zip(case.repeats, case.cell, strict=True))
    columns = CELL * case.repeats[1]
    sampling = wide / columns
    rows = round(high / sampling / case.repeats[0]) * case.repeats[0]
    field = Field((rows, columns), sampling, 0)
    atoms = get_crystal(case.crystal)
    around = replace(field, shape=(rows + 8, columns + 8))
    structure = build_structure(atoms, case.zone_axis, around, case.thickness, offset=(0.3, 0.3))
    # Stretched by less than half a percent, so that whole pixels fill the cell.
    structure = replace(structure, y=structure.y * (rows * sampling / high))
    image = multislice_adf(
        structure,
        field,
        case.probe,
        detector=DETECTOR,
        slice_thickness=SLICES,
        frozen_phonons=1,
        seed=seed,
    )
    tiled = image.reshape(case.repeats[0], -1, case.repeats[1], CELL)
    return np.asarray(tiled.mean(axis=(0, 2)), dtype=np.float32)


def wedge_image(case: Wedge, seed: int) -> Image:
    """The canvas of a wedge."""
    field = Field((SIDE, SIDE), case.sampling, MARGIN)
    specimen = SingleCrystal(
        case.crystal,
        case.zone_axis,
        rotation=case.rotation,
        thickness=case.thickness,
        shape_kind="wedge",
        support=case.support,
        atoms_needed=True,
    ).draw(np.random.default_rng(seed), field)
    if specimen.structure is None:
        raise ValueError(f"{case.name} has no atoms")
    return multislice_adf(
        specimen.structure,
        field,
        case.probe,
        detector=DETECTOR,
        slice_thickness=SLICES,
        frozen_phonons=1,
        seed=seed,
    )


def slow(folder: Path, case: Whole | Wedge, seed: int) -> Image:
    """A multislice image, computed if it is not in the folder yet."""
    path = folder / "slow" / f"{case.name}.npy"
    if not path.exists():
        start = time.perf_counter()
        image = cell_image(case, seed) if isinstance(case, Whole) else wedge_image(case, seed)
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, image)
        print(f"{case.name}: {time.perf_counter() - start:.0f} s", flush=True)
    return np.asarray(np.load(path), dtype=np.float32)


def spread_out(cell: Image, case: Whole, sampling: float, rng: np.random.Generator) -> Image:
    """The canvas of a crystal from its cell, turned and shifted at random."""
    side = SIDE + 2 * MARGIN
    y, x = sampling * np.mgrid[:side, :side]
    angle = rng.uniform(0.0, 2.0 * math.pi)
    start = rng.uniform(0.0, 10.0, 2)
    turned = (
        start[0] + math.cos(angle) * y - math.sin(angle) * x,
        start[1] + math.sin(angle) * y + math.cos(angle) * x,
    )
    places = [p * n / length for p, n, length in zip(turned, cell.shape, case.cell, strict=True)]
    return np.asarray(ndimage.map_coordinates(cell, places, order=5, mode="grid-wrap"), np.float32)


def canvases(folder: Path) -> Iterator[tuple[str, float, Image]]:
    """Name, sampling and canvas, its brightest pixel 1, of every test image."""
    every: tuple[Whole | Wedge, ...] = (*WHOLE, *WEDGES)
    for number, case in enumerate(every):
        image = slow(folder, case, SEED + number)
        if isinstance(case, Whole):
            rng = generator(SEED, number)
            for sampling in case.samplings:
                canvas = spread_out(image, case, sampling, rng)
                yield f"{case.name}-{sampling:g}", sampling, canvas / canvas.max()
        else:
            yield f"{case.name}-{case.sampling:g}", case.sampling, image / image.max()


def counted(canvas: Image, dose: float, jitter: float, rng: np.random.Generator) -> Image:
    """Electrons of each pixel; `jitter` in pixels."""
    moved = canvas
    if jitter > 0:
        shifts = torch.from_numpy(rng.normal(0.0, jitter, (1, len(canvas), 2)).astype(np.float32))
        moved = shift_lines(torch.from_numpy(canvas)[None], shifts)[0].numpy()
    clean = np.maximum(inner(moved), 0.0)
    return clean if math.isinf(dose) else rng.poisson(dose * clean).astype(np.float32)


def inner(canvas: Image) -> Image:
    """Without its margin."""
    return np.ascontiguousarray(canvas[MARGIN:-MARGIN, MARGIN:-MARGIN])


def arguments(parser: argparse.ArgumentParser) -> None:
    """The folder, doses and jitter."""
    shared.folder(parser, "keeps the slow images, and gets the others")
    parser.add_argument("--doses", type=float, nargs="+", default=DOSES)
    parser.add_argument("--jitter", type=float, default=JITTER, help="Å")


def run(options: argparse.Namespace) -> None:
    """Make what the folder lacks."""
    for part in ("truth", "input"):
        (options.folder / part).mkdir(parents=True, exist_ok=True)
    for index, (name, sampling, canvas) in enumerate(canvases(options.folder)):
        np.save(options.folder / "truth" / f"{name}.npy", inner(canvas))
        for dose in options.doses:
            rng = generator(SEED, index, 1)
            image = counted(canvas, dose, options.jitter / sampling, rng)
            np.save(options.folder / "input" / f"{name}@{dose:g}.npy", image)
