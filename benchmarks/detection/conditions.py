"""Small images of plain columns under conditions that users have: what is found, and its errors.

    python -m benchmarks detection conditions
    python -m benchmarks detection conditions --images 8 --only plain "3 % saturated"

Each condition is one change of the same scene: Gaussian columns 16 pixels apart with a width of
2.4 pixels on 0.2 of their height, each up to 0.1 pixels off its site, counted with 250 electrons in
the brightest pixel. Nothing is told to `localize` but the image. Printed are columns that the
border does not cut, how many of them are missed (nothing within a third of their distance), columns
that are none (of a film, too: its grains), vacancies that are filled, the share of errors of
positions within one stated error (68 % where these are right), their rms over the stated ones, and
the notes, by their first words.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

import napari_atomseg as atomseg
from benchmarks import options as shared
from benchmarks import tables
from benchmarks.localization.scenes import drawn
from benchmarks.seeds import DETECTION_CONDITIONS as SEED
from benchmarks.seeds import generator
from napari_atomseg._shared.geometry import nearest_distances

Array = NDArray[np.float64]

NEAR = 1.0 / 3.0
"""Distance within which a column is the true one, over that of nearest columns."""
BORDER = 4.0
"""Columns nearer to the border do not count, px."""
WORDS = 5
"""Of a note that are printed."""


@dataclass(frozen=True)
class Scene:
    """Columns, and how they are counted.

    Attributes
    ----------
    side, spacing, sigma, turn : of the image and its square lattice; pixels and radians.
    phase : of the lattice against the pixels; None draws it.
    faint : height of columns in the middle of the squares.
    ground : background over the height of columns.
    electrons : of a column in its brightest pixel.
    vacancies : columns that are missing.
    heights, widths : spread of both, uniform, up and down.
    film : deviation of a film of grains of 2 px, over the height of columns.
    tails : part of a column's light that falls like 1/r³.
    shape : "bulk", "edge" of a crystal, or "particle".
    then : what is done to the counts.
    """

    side: int = 160
    spacing: float = 16.0
    sigma: float = 2.4
    turn: float = 0.1
    phase: float | None = None
    faint: float = 0.0
    ground: float = 0.2
    electrons: float = 250.0
    vacancies: int = 0
    heights: float = 0.0
    widths: float = 0.0
    film: float = 0.0
    tails: float = 0.0
    shape: str = "bulk"
    then: Callable[[Array, np.random.Generator], Array] | None = None


def _lines(counts: Array, rng: np.random.Generator) -> Array:
    return counts + rng.normal(0, 15, len(counts))[:, None]


def _readout(counts: Array, rng: np.random.Generator) -> Array:
    return counts + rng.normal(0, 25, counts.shape)


def _blurred(counts: Array, _rng: np.random.Generator) -> Array:
    return np.asarray(ndimage.gaussian_filter(counts, 0.8))


def _median(counts: Array, _rng: np.random.Generator) -> Array:
    return np.asarray(ndimage.median_filter(counts, 3))


def _saturated(counts: Array, _rng: np.random.Generator) -> Array:
    return np.minimum(counts, np.quantile(counts, 0.97)).astype(np.uint16)


def _bytes(counts: Array, _rng: np.random.Generator) -> Array:
    return np.rint(255 * counts / counts.max()).astype(np.uint8)


def _negative(counts: Array, _rng: np.random.Generator) -> Array:
    return -counts


def _scaled(counts: Array, _rng: np.random.Generator, *, factor: float, offset: float) -> Array:
    return factor * counts + offset


CONDITIONS = {
    "plain": Scene(),
    "on the pixels": Scene(turn=0.0, phase=0.0),
    "between the pixels": Scene(turn=0.0, phase=0.5),
    "few columns": Scene(side=64),
    "narrow": Scene(spacing=8.0, sigma=1.2),
    "narrow, between the pixels": Scene(spacing=8.0, sigma=1.2, turn=0.0, phase=0.5),
    "wide": Scene(side=192, spacing=30.0, sigma=5.0),
    "far apart": Scene(side=192, spacing=30.0),
    "touching": Scene(spacing=9.0),
    "15 electrons": Scene(electrons=15.0),
    "5 electrons": Scene(electrons=5.0),
    "20,000 electrons": Scene(electrons=2e4),
    "no background": Scene(ground=0.0),
    "three times as much": Scene(ground=3.0),
    "vacancies": Scene(vacancies=4),
    "vacancies, 15 electrons": Scene(vacancies=4, electrons=15.0),
    "faint sublattice": Scene(faint=0.15, turn=0.0),
    "faint sublattice, 60 electrons": Scene(faint=0.15, turn=0.0, electrons=60.0),
    "heights of 0.4 to 1.6": Scene(heights=0.6),
    "widths that vary by 15 %": Scene(widths=0.15),
    "tails": Scene(tails=0.2),
    "edge": Scene(shape="edge"),
    "particle": Scene(shape="particle"),
    "film of 5 %": Scene(film=0.05),
    "film of 20 %": Scene(film=0.2),
    "film of 10 %, few columns": Scene(film=0.1, side=96, spacing=18.0),
    "scan lines with offsets": Scene(then=_lines),
    "readout noise": Scene(then=_readout),
    "blurred": Scene(then=_blurred),
    "median filter": Scene(then=_median),
    "3 % saturated": Scene(then=_saturated),
    "8 bits": Scene(then=_bytes),
    "negative": Scene(then=_negative),
    "offset of a million": Scene(then=partial(_scaled, factor=1.0, offset=1e6)),
    "units of 10⁻⁹": Scene(then=partial(_scaled, factor=1e-9, offset=0.0)),
}


def columns_of(scene: Scene, rng: np.random.Generator) -> tuple[Array, Array, Array]:
    """(N, 2) places with those around the image, (N,) heights, and (M, 2) vacant places."""
    reach = int(1.5 * scene.side / scene.spacing)
    steps = np.arange(-reach, reach + 1)
    grid = np.stack(np.meshgrid(steps, steps, indexing="ij"), axis=-1).reshape(-1, 2)
    phase = rng.uniform(-0.5, 0.5, 2) if scene.phase is None else np.full(2, scene.phase)
    c, s = np.cos(scene.turn), np.sin(scene.turn)
    turned = scene.spacing * np.array([[c, -s], [s, c]])
    centre = scene.side // 2 + phase
    places, heights = grid @ turned + centre, np.ones(len(grid))
    if scene.faint:
        places = np.concatenate([places, (grid + 0.5) @ turned + centre])
        heights = np.append(heights, np.full(len(grid), scene.faint))
    if scene.shape == "edge":
        there = places @ np.array([0.3, 1.0]) < 0.7 * scene.side
        places, heights = places[there], heights[there]
    elif scene.shape == "particle":
        away = np.hypot(*(places - 0.5 * scene.side).T) / (0.36 * scene.side)
        there = away < 0.9
        places, heights = places[there], heights[there] * np.sqrt(1.0 - away[there] ** 2)
    near = ((places > -3 * scene.sigma) & (places < scene.side + 3 * scene.sigma)).all(axis=1)
    places, heights = places[near], heights[near]
    heights = heights * (1.0 + scene.heights * rng.uniform(-1, 1, len(heights)))
    places = places + rng.uniform(-0.1, 0.1, places.shape)
    inner = ((places > 20) & (places < scene.side - 20)).all(axis=1)
    gone = np.zeros(len(places), dtype=bool)
    if scene.vacancies:
        gone[rng.choice(np.flatnonzero(inner), scene.vacancies, replace=False)] = True
    return places[~gone], heights[~gone], places[gone]


def counted(scene: Scene, places: Array, heights: Array, rng: np.random.Generator) -> Array:
    """(H, W) image."""
    shape = (scene.side, scene.side)
    sigma = scene.sigma * (1.0 + scene.widths * rng.uniform(-1, 1, len(places)))
    clean = np.full(shape, scene.ground)
    for width in np.unique(sigma):
        some = sigma == width
        clean += drawn(shape, places[some], width, (1.0 - scene.tails) * heights[some])
    if scene.tails:
        rows, cols = np.indices(shape)
        for (y, x), height in zip(places, scene.tails * heights, strict=True):
            square = ((rows - y) ** 2 + (cols - x) ** 2) / (2.0 * scene.sigma) ** 2
            clean += height / (1.0 + square) ** 1.5
    if scene.film:
        film = ndimage.gaussian_filter(rng.normal(size=shape), 2.0, mode="wrap")
        clean += scene.film * film / film.std()
    counts = rng.poisson(scene.electrons * np.maximum(clean, 0.0)).astype(np.float64)
    return counts if scene.then is None else scene.then(counts, rng)


def tried(scene: Scene, rng: np.random.Generator) -> tuple[NDArray[np.int_], Array, list[str]]:
    """Columns, those missed, invented and filled; errors over stated ones; and notes."""
    places, heights, vacant = columns_of(scene, rng)
    table = atomseg.localize(counted(scene, places, heights, rng))
    found = table[["y", "x"]].to_numpy()
    near = NEAR * float(np.median(nearest_distances(places)))

    def inner(points: Array) -> NDArray[np.bool_]:
        return np.asarray(((points > BORDER) & (points < scene.side - 1 - BORDER)).all(axis=1))

    query = cKDTree(found).query(places)
    away, which = np.asarray(query[0]), np.asarray(query[1])
    here = inner(places) & (away < near)
    invented = (np.asarray(cKDTree(places).query(found)[0]) > near) & inner(found)
    filled = int((np.asarray(cKDTree(found).query(vacant)[0]) < near).sum()) if len(vacant) else 0
    error = table[["y_err", "x_err"]].to_numpy()[which[here]]
    z = ((found[which[here]] - places[here]) / error).ravel()
    missed = int(inner(places).sum() - here.sum())
    counts = np.array([inner(places).sum(), missed, invented.sum() - filled, filled])
    return counts, z[np.isfinite(z)], table.attrs["notes"]


def summarized(note: str) -> str:
    """First words of a note, with n for its numbers."""
    words = re.sub(r"[\d,.]*\d", "n", note).split()
    return " ".join(words[:WORDS])


def arguments(parser: argparse.ArgumentParser) -> None:
    """Images of each condition, and which."""
    parser.add_argument("--images", type=int, default=4, help="of each condition")
    parser.add_argument("--only", nargs="+", choices=list(CONDITIONS), default=list(CONDITIONS))
    shared.threads(parser)


def run(options: argparse.Namespace) -> None:
    """Print a line a condition."""
    tables.begin(
        ["condition", "columns", "missed", "invented", "filled", "within 1 error", "rms", "notes"]
    )
    for name in options.only:
        scene, number = CONDITIONS[name], list(CONDITIONS).index(name)
        each = [tried(scene, generator(SEED, number, image)) for image in range(options.images)]
        counts = np.sum([counts for counts, _, _ in each], axis=0)
        z = np.concatenate([z for _, z, _ in each])
        told = {summarized(note): None for _, _, notes in each for note in notes}
        tables.line(
            [
                name,
                *map(str, counts),
                f"{100 * np.mean(np.abs(z) < 1.0):.0f} %",
                f"{np.sqrt(np.mean(z**2)):.2f}",
                "; ".join(told),
            ]
        )
