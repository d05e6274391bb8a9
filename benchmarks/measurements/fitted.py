"""Stated against real errors of measurements on fitted columns, simulated and recorded.

    python -m benchmarks measurements fitted [--share 0.5] [--images FILE ...] [--stack FILE ...]

Simulated images of two sublattices with counted electrons are fitted, and what follows from the
fits is compared with what was planted. Of a recorded image, the pixels of even and of odd numbers
along the scan lines are two images of the same columns with noise of their own; frames of a
recorded stack are repeats, too. Differences of two such fits over their error should have a root
mean square of one.
"""

from __future__ import annotations

import argparse
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks import options as shared
from benchmarks import tables
from benchmarks.measurements.planted import (
    CAGE,
    CELL,
    SAMPLING,
    SQUARE,
    Array,
    Deviations,
    deformed,
    planted,
    random_gradient,
    seeded,
)
from napari_atomseg.analysis import (
    Lattice,
    assign,
    count_by_mixture,
    displacements,
    find_lattice,
    geometric_phase,
    spacing_precision,
    spacings,
    strain,
)
from napari_atomseg.io import read_image
from napari_atomseg.localization import localize, refine_columns

SIGMA = 4.0
HEIGHTS = (150.0, 60.0)
"""Electrons in the brightest pixel of a column of each kind."""
BACKGROUND = 20.0
SIZE = 440
TIMES = 8
"""Simulations of each kind."""


def image_of(
    columns: pd.DataFrame, heights: Array, rng: np.random.Generator, slope: float = 0.0
) -> Array:
    """(H, W) counted electrons of columns with these heights, on a background that slopes."""
    y, x = np.arange(SIZE, dtype=float), np.arange(SIZE, dtype=float)
    rows = np.exp(-((y[:, None] - columns["y"].to_numpy()) ** 2) / (2 * SIGMA**2))
    cols = np.exp(-((x[:, None] - columns["x"].to_numpy()) ** 2) / (2 * SIGMA**2))
    ground = BACKGROUND + slope * x
    return rng.poisson((rows * heights) @ cols.T + ground).astype(float)


def fitted(image: Array) -> pd.DataFrame:
    """Columns that were found and fitted, without those that the border cuts."""
    return localize(image, sampling=SAMPLING, detector="peaks", refine="joint", edge="drop")


def pairs(found: pd.DataFrame, true: pd.DataFrame) -> tuple[Array, Array]:
    """Rows of the found and of the true columns that are nearest to each other."""
    from scipy.spatial import cKDTree

    away, index = cKDTree(true[["y", "x"]]).query(found[["y", "x"]])
    near = np.flatnonzero(away < 3.0)
    return near, np.asarray(index)[near]


def crystals(rng: np.random.Generator) -> Deviations:
    """A crystal of two sublattices: fits, lattice, spacings, displacements."""
    true = planted(CELL, CAGE, size=SIZE)
    heights = np.array(HEIGHTS)[true["kind"]]
    for name, slope in (("", 0.0), (", sloping background", 0.05)):
        found = fitted(image_of(true, heights, rng, slope))
        rows, known = pairs(found, true)
        each, places = found.iloc[rows], true.iloc[known]
        for axis in "yx":
            z = (each[axis].to_numpy() - places[axis].to_numpy()) / each[f"{axis}_err"].to_numpy()
            yield f"positions{name}", z
        volume = 2 * np.pi * SIGMA**2 * heights[known]
        yield f"volumes{name}", (each["volume"].to_numpy() - volume) / each["volume_err"].to_numpy()
    lattice = find_lattice(found, SAMPLING)
    vectors = np.round(lattice.vectors @ np.linalg.inv(CELL)) @ CELL
    yield "lattice vectors", ((lattice.vectors - vectors) / lattice.vectors_err).ravel()
    sites = assign(found, lattice)
    steps = spacings(sites, lattice)
    length = np.hypot(*vectors.T)[steps["axis"].eq("b").to_numpy(int)]
    yield "spacings", ((steps["length"] - length) / steps["length_err"]).to_numpy()
    precision = spacing_precision(sites, lattice)
    z = (precision["mean_angstrom"] - SAMPLING * np.hypot(*vectors.T)) / precision[
        "mean_err_angstrom"
    ]
    yield "mean spacings", z.to_numpy()
    z = (precision["deviation_pm"] - precision["expected_pm"]) / precision["deviation_err_pm"]
    yield "noise part of spacings", z.to_numpy()
    table = displacements(sites, lattice, 1)
    shift = (CAGE[1] - 0.5) @ CELL * 100 * SAMPLING
    z = (table[["dy_pm", "dx_pm"]].to_numpy() - shift) / table[
        ["dy_err_pm", "dx_err_pm"]
    ].to_numpy()
    yield "displacements", z.ravel()


def strains(rng: np.random.Generator) -> Deviations:
    """A strained crystal against the lattice that it was made from, by positions and by phases."""
    gradient, known = random_gradient(rng)
    true = deformed(planted(CELL, CAGE, size=SIZE), gradient, SIZE)
    image = image_of(true, np.array(HEIGHTS)[true["kind"]], rng)
    lattice = Lattice([SIZE / 2, SIZE / 2], CELL, CAGE, pixel=np.full(2, SAMPLING))
    table = strain(fitted(image), lattice)
    z = [(table[name] - value) / table[f"{name}_err"] for name, value in known.items()]
    yield "strain and rotation of columns", np.ravel(z)
    # Phases against the mean of the image, which has the same strain everywhere.
    maps = geometric_phase(image, find_lattice(table, SAMPLING))
    inner = np.argwhere(np.isfinite(maps.eps_xx))
    some = inner[rng.choice(len(inner), min(40, len(inner)), replace=False)].T
    names = ("eps_xx", "eps_yy", "eps_xy", "rotation_deg")
    z = [
        getattr(maps, name)[tuple(some)] / getattr(maps, f"{name}_err")[tuple(some)]
        for name in names
    ]
    yield "strain and rotation of phases", np.ravel(z)


def counts(rng: np.random.Generator) -> Deviations:
    """A wedge of 1 to 5 atoms, counted by the volumes of fits."""
    true = planted(SQUARE * 1.8, size=SIZE)
    atoms = rng.integers(1, 6, len(true))
    found = fitted(image_of(true, 60.0 * atoms, rng))
    rows, known = pairs(found, true)
    counted = count_by_mixture(found.iloc[rows].reset_index(drop=True), sampling=SAMPLING)
    if counted.known:
        number = counted.columns["count"].to_numpy(float, na_value=np.nan)
        off = number - atoms[known]
        yield "all atoms", np.array([np.nansum(off) / max(counted.total[1], 0.5)])


def repeated(one: pd.DataFrame, other: pd.DataFrame) -> Deviations:
    """Two fits of the same columns, rows alike; places in the same pixels."""
    shift = (other[["y", "x"]] - one[["y", "x"]]).median()
    for axis in "yx":
        away = other[axis] - one[axis] - shift[axis]
        z = away / np.hypot(one[f"{axis}_err"], other[f"{axis}_err"])
        yield f"positions along {axis}", z.to_numpy()
    scale = (other["volume"] / one["volume"]).median()
    error = np.hypot(scale * one["volume_err"], other["volume_err"])
    yield "volumes", ((other["volume"] - scale * one["volume"]) / error).to_numpy()


def halves(path: Path) -> Deviations:
    """Even and odd pixels of each scan line, two images on pixels twice as long along x."""
    image = np.asarray(read_image(path).data, dtype=float)
    image = image if image.ndim == 2 else image.reshape(-1, *image.shape[-2:])[0]
    start = localize(image, sampling=SAMPLING, detector="peaks", edge="drop")
    fits = []
    for first in (0, 1):
        table = start[["y"]].assign(x=(start["x"] - first) / 2)
        table.attrs["sampling"] = (SAMPLING, 2 * SAMPLING)
        contrast = start.attrs["contrast"]
        fits.append(refine_columns(image[:, first::2], table, refine="gaussian", contrast=contrast))
    one, other = fits
    yield from repeated(one, other.assign(x=other["x"] + 0.5))


def frames(path: Path) -> Deviations:
    """Each frame of a stack against the next one; drift is taken off."""
    stack = np.asarray(read_image(path).data, dtype=float)
    if stack.ndim != 3:
        raise ValueError(f"{path}: a stack of frames is needed, not an image of {stack.shape}")
    start = localize(stack.mean(axis=0), sampling=SAMPLING, detector="peaks", edge="drop")
    contrast = start.attrs["contrast"]
    places = start[["y", "x"]]
    fits = [refine_columns(frame, places, refine="gaussian", contrast=contrast) for frame in stack]
    for one, other in pairwise(fits):
        yield from repeated(one, other)


def row(source: str, name: str, each: list[Array]) -> dict[str, object]:
    """What deviations over errors come to."""
    z = np.concatenate(each)
    z = z[np.isfinite(z)]
    return {
        "columns of": source,
        "measurement": name,
        "values": str(len(z)),
        "rms of deviation / error": float(np.sqrt(np.mean(z**2))),
        "by the median": 1.4826 * float(np.median(np.abs(z))),
        "within 1, %": 100 * float(np.mean(np.abs(z) < 1)),
    }


def arguments(parser: argparse.ArgumentParser) -> None:
    """How much of it, and recorded files."""
    shared.share(parser)
    parser.add_argument("--images", type=Path, nargs="*", default=[], help="recorded images")
    parser.add_argument("--stack", type=Path, nargs="*", default=[], help="recorded stacks")


def run(options: argparse.Namespace) -> None:
    """Print the table."""
    rows = []
    sources: list[tuple[str, list[Deviations]]] = []
    for part, measure in enumerate((crystals, strains, counts)):
        repeats = max(1, round(options.share * TIMES))
        sources.append(
            ("simulated images", [measure(seeded(70 + part, s)) for s in range(repeats)])
        )
    sources += [(path.name, [halves(path)]) for path in options.images]
    sources += [(path.name, [frames(path)]) for path in options.stack]
    for source, several in sources:
        found: dict[str, list[Array]] = {}
        for deviations in several:
            for name, z in deviations:
                found.setdefault(name, []).append(np.asarray(z, dtype=float))
        rows += [row(source, name, each) for name, each in found.items()]
    tables.show(pd.DataFrame(rows))
