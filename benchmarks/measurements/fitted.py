"""Stated against real errors of measurements on fitted columns of simulated images.

    python -m benchmarks measurements fitted [--share 0.5]

Simulated images of two sublattices with counted electrons are fitted, and what follows from the
fits is compared with what was planted: the root mean square of deviations over errors should be
one. `repeats` does the like with recorded images.
"""

from __future__ import annotations

import argparse

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
    find_lattices,
    geometric_phase,
    spacing_precision,
    spacings,
    strain,
    unit_cells,
)
from napari_atomseg.analysis import octahedra as octahedra_of
from napari_atomseg.localization import localize

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


def cells(rng: np.random.Generator) -> Deviations:
    """Sides of single unit cells, and the means of all."""
    true = planted(CELL, CAGE, size=SIZE)
    found = fitted(image_of(true, np.array(HEIGHTS)[true["kind"]], rng))
    lattice = find_lattice(found, SAMPLING)
    known = np.hypot(*(np.round(lattice.vectors @ np.linalg.inv(CELL)) @ CELL).T)
    for kind in range(len(lattice)):
        each = unit_cells(found, lattice, kind)
        table = each.table
        errors = each.mean_errors()
        for name, length, part in zip("ab", known, errors, strict=True):
            yield "sides of cells", ((table[name] - length) / table[f"{name}_err"]).to_numpy()
            mean = float(table[name].mean())
            yield "mean sides of cells", np.array([(mean - length) / (part * mean)])


def octahedra(rng: np.random.Generator) -> Deviations:
    """Tilts that alternate from octahedron to octahedron, and B columns off their middles."""
    tilt, step = np.radians(4.0), 0.5 * float(CELL[0, 0])
    count = int(SIZE / (2 * step)) - 1
    i, j = np.indices((count, count)).reshape(2, -1)
    corners = np.stack([i, j], axis=1) * 2.0 * step + 1.5 * step
    # Each octahedron turns its oxygen against its neighbours, which turn the same one alike.
    sign = np.where((i + j) % 2, -1.0, 1.0)
    side = np.sin(tilt) * step * sign
    parts = [
        (corners, 150.0, 0),
        (corners + step, 110.0, 1),
        (corners + step + np.stack([np.full(len(i), step), side], axis=1), 60.0, 2),
        (corners + step + np.stack([-side, np.full(len(i), step)], axis=1), 60.0, 2),
    ]
    places = np.concatenate([part[0] for part in parts])
    true = pd.DataFrame(places, columns=["y", "x"])
    true["kind"] = np.repeat([part[2] for part in parts], [len(part[0]) for part in parts])
    heights = np.repeat([part[1] for part in parts], [len(part[0]) for part in parts])
    found = fitted(image_of(true, heights, rng))
    rows, index = pairs(found, true)
    kind = true["kind"].to_numpy()[index]
    cations, oxygen = (
        found.iloc[rows[some]].reset_index(drop=True) for some in (kind < 2, kind == 2)
    )
    lattice = Lattice(corners[0], CELL, [[0.0, 0.0], [0.5, 0.5]], pixel=np.full(2, SAMPLING))
    measured = octahedra_of(assign(cations, lattice), lattice, oxygen)
    table = measured.table[measured.table["oxygens"] == 4]
    # Of pairs of sides, both ends of each line move apart by 2 step sin(tilt) over 2 step.
    angle = np.degrees(np.arctan(np.sin(tilt)))
    odd = (table["i"] + table["j"]).to_numpy() % 2
    z = [(table["tilt_deg"] - s * angle) / table["tilt_deg_err"] for s in (1.0, -1.0)]
    turned = np.where(odd, z[1], z[0]), np.where(odd, z[0], z[1])
    best = min(turned, key=lambda each: float(np.median(np.abs(each))))
    yield "tilts of octahedra", np.asarray(best)
    for axis in "yx":
        yield "B from the middle of oxygen", (table[f"d{axis}"] / table[f"d{axis}_err"]).to_numpy()
    order = measured.order.set_index("order")
    last = order.loc["alternating along a and b"]
    yield "mean tilts", np.array([(abs(last["tilt_deg"]) - angle) / last["tilt_deg_err"]])
    same = order.loc["the same everywhere"]
    yield "mean tilts", np.array([same["tilt_deg"] / same["tilt_deg_err"]])


def bicrystals(rng: np.random.Generator) -> Deviations:
    """Two grains of one crystal: the cell of each lattice."""
    cell, middle = 1.2 * SQUARE, 0.5 * SIZE
    left, right = (planted(cell, size=SIZE, turn=turn) for turn in (0.0, rng.uniform(10.0, 20.0)))
    both = pd.concat([left[left["x"] < middle - 8], right[right["x"] > middle + 8]])
    found = fitted(image_of(both.reset_index(drop=True), np.full(len(both), 100.0), rng))
    table = find_lattices(found, SAMPLING).table
    side = SAMPLING * float(cell[0, 0])
    for name in "ab":
        yield "cells of several lattices", ((table[name] - side) / table[f"{name}_err"]).to_numpy()


def row(name: str, each: list[Array]) -> dict[str, object]:
    """What deviations over errors come to."""
    z = np.concatenate(each)
    z = z[np.isfinite(z)]
    return {
        "measurement": name,
        "values": str(len(z)),
        "rms of deviation / error": float(np.sqrt(np.mean(z**2))),
        "by the median": 1.4826 * float(np.median(np.abs(z))),
        "within 1, %": 100 * float(np.mean(np.abs(z) < 1)),
    }


def arguments(parser: argparse.ArgumentParser) -> None:
    """How much of it."""
    shared.share(parser)


def run(options: argparse.Namespace) -> None:
    """Print the table."""
    found: dict[str, list[Array]] = {}
    for part, measure in enumerate((crystals, strains, counts, cells, octahedra, bicrystals)):
        for seed in range(max(1, round(options.share * TIMES))):
            for name, z in measure(seeded(70 + part, seed)):
                found.setdefault(name, []).append(np.asarray(z, dtype=float))
    tables.show(pd.DataFrame([row(name, each) for name, each in found.items()]))
