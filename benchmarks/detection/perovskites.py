"""Scenes of `series`: two sublattices of columns, one faint, at many magnifications and doses.

A hypothetical cubic crystal with one element on the corners and another in the middle of the cell,
seen along [001]; pairs of elements have the ratios.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from scipy import ndimage

from benchmarks.detection.common import Array, Truth
from benchmarks.restoration.images import DETECTOR, MARGIN, counted
from benchmarks.seeds import DETECTION_SERIES as SEED
from benchmarks.seeds import generator
from napari_atomseg.imaging import Probe, peak_width
from napari_atomseg.imaging.multislice import multislice_adf
from napari_atomseg.simulation import simulate
from napari_atomseg.specimen import Field
from napari_atomseg.specimen.build import build_structure

Image = NDArray[np.float32]

OURS, ABTEM = "ours", "abTEM"
PAIRS = {
    OURS: {2: ("Nd", "Zr"), 4: ("Yb", "Ga"), 8: ("Er", "Ca"), 16: ("Pd", "F")},
    ABTEM: {2: ("Nd", "Se"), 4: ("Yb", "Fe"), 8: ("Er", "Ar"), 16: ("Pd", "Mg")},
}
"""Elements of a ratio: by Z^1.7 in our own simulation; by the heights of columns in multislice,
where the beam channels along heavy ones and leaves them.
"""
RATIOS = tuple(PAIRS[OURS])
CELL = 3.905
"""Å."""
NEIGHBOURS = CELL / math.sqrt(2.0)
"""Distance of a bright column to the nearest faint one, Å: the spacing of the series."""
PROBE = Probe(200e3, 20.0, source_size=0.8)
BACKGROUND = 0.05
"""Of our own simulation, relative to the brightest column; multislice has its own."""
JITTER = 0.05
"""Å, deviation of each line's displacement along x and along y."""
LAYERS = 10
"""Atoms of a column."""
REPEATS, CELL_PIXELS = 3, 80
"""Cells of the multislice along each side, whose images are averaged, and pixels of one of them."""
SIDE, ACROSS = 256, 8
"""Pixels of an image's side, and spacings at least."""


@dataclass(frozen=True)
class Scene:
    """An image with its true columns: of kind 0 the bright ones, of kind 1 the faint ones.

    Attributes
    ----------
    name : also of its files.
    source : `OURS` or `ABTEM`.
    ratio, spacing, electrons : of the series; px, and in the brightest pixel.
    faint : height of the faint columns over that of the bright ones, as imaged.
    signal : of a faint column, its electrons over the deviation of a matched filter's count of
        them.
    """

    name: str
    source: str
    ratio: int
    spacing: float
    electrons: float
    faint: float
    signal: float
    sampling: float
    image: Image
    truth: Truth


def crystal(source: str, ratio: int) -> Atoms:
    """The unit cell of a ratio of heights."""
    places = [(0.0, 0.0, 0.0), (0.5 * CELL, 0.5 * CELL, 0.5 * CELL)]
    return Atoms(list(PAIRS[source][ratio]), positions=places, cell=[CELL] * 3, pbc=True)


def scenes(
    folder: Path,
    sources: list[str],
    ratios: list[int],
    spacings: list[float],
    electrons: list[float],
    images: int,
    source_size: float = PROBE.source_size,
) -> Iterator[Scene]:
    """All scenes of the series; the same crystal is seen at each number of electrons.

    Parameters
    ----------
    folder : keeps the multislice images of cells.
    source_size : Å; a larger source makes wider columns.
    """
    probe = replace(PROBE, source_size=source_size)
    for source in sources:
        for ratio in ratios:
            cell = multislice_cell(folder, ratio, probe) if source == ABTEM else None
            for spacing in spacings:
                for index in range(images):
                    yield from _doses(source, ratio, spacing, electrons, index, cell, probe)


def _doses(
    source: str,
    ratio: int,
    spacing: float,
    electrons: list[float],
    index: int,
    cell: tuple[Image, Array] | None,
    probe: Probe,
) -> Iterator[Scene]:
    sampling = NEIGHBOURS / spacing
    numbers = (ratio, round(100 * spacing), index)
    rng = generator(SEED, *numbers)
    side = max(SIDE, math.ceil(ACROSS * spacing))
    if cell is None:
        canvas, points, kind = _ours(ratio, sampling, side, probe, rng)
    else:
        canvas, points, kind = _spread_out(*cell, sampling, side, rng)
    brightest = float(canvas.max())
    ground = float(canvas.min()) / brightest
    heights = [_height(canvas, points[kind == k]) / brightest - ground for k in (0, 1)]
    area = 2.0 * math.pi * (peak_width(probe) / sampling) ** 2
    for dose in electrons:
        image = counted(canvas / brightest, dose, JITTER / sampling, generator(SEED, *numbers, 1))
        under = dose * (heights[1] + 2.0 * ground)
        yield Scene(
            f"{source}-{ratio}-{probe.source_size:g}A-{spacing:g}px-{index}@{dose:g}",
            source,
            ratio,
            spacing,
            dose,
            heights[1] / heights[0],
            dose * heights[1] * math.sqrt(area / under),
            sampling,
            image,
            replace(Truth.of(points, image.shape, kind), border=spacing),
        )


def _ours(
    ratio: int, sampling: float, side: int, probe: Probe, rng: np.random.Generator
) -> tuple[Image, Array, NDArray[np.int64]]:
    """Canvas, columns and their kind by our own linear imaging."""
    whole = side + 2 * MARGIN
    made = simulate(
        crystal(OURS, ratio),
        (0, 0, 1),
        (whole, whole),
        sampling,
        rotation=float(rng.uniform(0.0, 360.0)),
        offset=tuple(rng.uniform(-2.0, 2.0, 2)),
        thickness=LAYERS * CELL,
        semiangle=probe.semiangle,
        source_size=probe.source_size,
        background=BACKGROUND,
        jitter=0.0,
    )
    points = made.columns[["y", "x"]].to_numpy(float) - MARGIN
    kind = (made.columns["elements"] != PAIRS[OURS][ratio][0]).to_numpy().astype(np.int64)
    return made.ideal, points, kind


def multislice_cell(folder: Path, ratio: int, probe: Probe) -> tuple[Image, Array]:
    """Image (N, N) of a cell by abTEM, and its bright and its faint column (2, 2) in its pixels.

    It is computed if it is not in the folder yet.
    """
    path = folder / "slow" / f"{'-'.join(PAIRS[ABTEM][ratio])}-{probe.source_size:g}.npz"
    if not path.exists():
        pixels, sampling = REPEATS * CELL_PIXELS, CELL / CELL_PIXELS
        field = Field((pixels, pixels), sampling, 0)
        structure = build_structure(
            crystal(ABTEM, ratio),
            (0, 0, 1),
            Field((pixels + 8, pixels + 8), sampling, 0),
            LAYERS * CELL,
            offset=(0.3, 0.3),
        )
        image = multislice_adf(
            structure, field, probe, detector=DETECTOR, frozen_phonons=1, seed=SEED
        )
        tiled = image.reshape(REPEATS, CELL_PIXELS, REPEATS, CELL_PIXELS).mean(axis=(0, 2))
        columns = structure.columns()
        first = [int(np.flatnonzero(columns.species == k)[0]) for k in (0, 1)]
        points = (columns.points[first] / sampling) % CELL_PIXELS
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, image=tiled, points=points)
    with np.load(path) as data:
        return data["image"].astype(np.float32), data["points"]


def _spread_out(
    cell: Image, places: Array, sampling: float, side: int, rng: np.random.Generator
) -> tuple[Image, Array, NDArray[np.int64]]:
    """Canvas, columns and their kind from a cell, turned and shifted at random."""
    whole, pixel = side + 2 * MARGIN, CELL / CELL_PIXELS
    angle, start = rng.uniform(0.0, 2.0 * math.pi), rng.uniform(0.0, CELL_PIXELS, 2)
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    scale = sampling / pixel
    grid = np.moveaxis(np.mgrid[:whole, :whole].astype(float), 0, -1)
    at = np.moveaxis(scale * grid @ turn.T + start, -1, 0)
    canvas = ndimage.map_coordinates(cell, at, order=5, mode="grid-wrap")
    reach = math.ceil(1.5 * whole * scale / CELL_PIXELS) + 1
    cells = CELL_PIXELS * np.moveaxis(np.mgrid[-reach : reach + 1, -reach : reach + 1], 0, -1)
    lattice = (places[:, None] + cells.reshape(1, -1, 2)).reshape(-1, 2)
    kind = np.repeat([0, 1], cells.size // 2)
    points = (lattice - start) @ turn / scale - MARGIN
    inside = ((points >= -0.5) & (points < side - 0.5)).all(axis=1)
    return np.asarray(canvas, np.float32), points[inside], kind[inside]


def _height(canvas: Image, points: Array) -> float:
    """Median intensity at places."""
    at = (points + MARGIN).T
    return float(np.median(ndimage.map_coordinates(canvas, at, order=1, mode="nearest")))
