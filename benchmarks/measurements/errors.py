"""Whether measurements are off by as much as they say.

    python -m benchmarks measurements errors [--share 0.1]

What is measured less what was planted, over the standard error that is stated: its root mean square
should be 1, with 68 % of the values within one error and 95 % within two.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
import pandas as pd

from benchmarks import options as shared
from benchmarks import tables
from benchmarks.measurements.planted import (
    CAGE,
    CELL,
    HEXAGONAL,
    NOISE,
    SAMPLING,
    SQUARE,
    Array,
    Deviations,
    deformed,
    planted,
    random_gradient,
    seeded,
    strayed,
)
from napari_atomseg.analysis import (
    Lattice,
    assign,
    bond_distributions,
    bond_vectors,
    count_by_library,
    count_by_mixture,
    displacements,
    find_dislocations,
    find_grains,
    find_lattice,
    geometric_phase,
    layer_profile,
    link_tracks,
    polarization,
    spacing_precision,
    spacings,
    strain,
)
from napari_atomseg.analysis.lattice.strain import turned
from napari_atomseg.specimen.defects import EdgeDislocation

CHARGE, VOLUME = 7.0, 64.0


def lattices(rng: np.random.Generator) -> Deviations:
    """Vectors of two sites in a cell of any shape, and the spacings along them."""
    true = np.array([[0.0, rng.uniform(35, 45)], [rng.uniform(35, 45), rng.uniform(-5, 5)]])
    turn = rng.uniform(-20, 20)
    columns = strayed(planted(true, CAGE, turn=turn), rng)
    lattice = find_lattice(columns, SAMPLING)
    true = true @ turned(np.radians(turn)).T
    known = np.round(lattice.vectors @ np.linalg.inv(true)) @ true
    yield "lattice vectors", ((lattice.vectors - known) / lattice.vectors_err).ravel()
    sites = assign(columns, lattice)
    each = spacings(sites, lattice)
    length = np.hypot(*known.T)[each["axis"].eq("b").to_numpy(int)]
    yield "spacings", ((each["length"] - length) / each["length_err"]).to_numpy()
    precision = spacing_precision(sites, lattice)
    mean = SAMPLING * np.hypot(*known.T)
    yield (
        "mean spacings",
        ((precision["mean_angstrom"] - mean) / precision["mean_err_angstrom"]).to_numpy(),
    )
    scatter = 100 * SAMPLING * NOISE * np.sqrt(2)
    yield (
        "scatter of spacings",
        ((precision["deviation_pm"] - scatter) / precision["deviation_err_pm"]).to_numpy(),
    )


def polar(rng: np.random.Generator) -> Deviations:
    """Displacements of the second site from its cage, turned with the crystal, and what follows."""
    turn = rng.uniform(-20, 20)
    columns = strayed(planted(CELL, CAGE, turn=turn), rng)
    table = displacements(columns, find_lattice(columns, SAMPLING), 1)
    away = (CAGE[1] - 0.5) @ CELL * 100 * SAMPLING
    known = turned(np.radians(turn)) @ away
    names = ["dy_pm", "dx_pm"], ["dy_err_pm", "dx_err_pm"]
    yield "displacements", _over(table, known, *names)
    factor = 16.02176634 * CHARGE / VOLUME
    names = ["p_y", "p_x"], ["p_y_err", "p_x_err"]
    yield "polarization", _over(polarization(table, CHARGE, VOLUME), factor * known, *names)
    lattice = find_lattice(columns, SAMPLING)
    layers = layer_profile(table, ["dy_pm", "dx_pm"], lattice)
    names = ["dy_pm", "dx_pm"], ["dy_pm_err", "dx_pm_err"]
    yield "layers of displacements", _over(layers[layers["count"] > 5], known, *names)
    bonds = bond_distributions(bond_vectors(columns, lattice, 0, 1))
    true = turned(np.radians(turn)) @ CELL.T
    steps = np.round(
        np.linalg.solve(true, bonds[["vector_y", "vector_x"]].T / SAMPLING).T - CAGE[1]
    )
    vectors = (steps + CAGE[1]) @ true.T * SAMPLING
    names = ["vector_y", "vector_x"], ["vector_y_err", "vector_x_err"]
    yield "mean bond vectors", _over(bonds, vectors, *names)


def _over(table: pd.DataFrame, known: Array, names: list[str], errors: list[str]) -> Array:
    return np.ravel((table[names].to_numpy() - known) / table[errors].to_numpy())


def strains_of_columns(rng: np.random.Generator) -> Deviations:
    """Strain by positions, against a known lattice."""
    gradient, known = random_gradient(rng)
    columns = strayed(deformed(planted(CELL, CAGE), gradient), rng)
    lattice = Lattice([150.0, 150.0], CELL, CAGE, pixel=np.full(2, SAMPLING))
    table = strain(columns, lattice)
    z = [(table[name] - value) / table[f"{name}_err"] for name, value in known.items()]
    yield "strain and rotation of columns", np.ravel(z)


def strains_of_images(rng: np.random.Generator) -> Deviations:
    """Strain by geometric phases, of the right half of an image against the left; white noise."""
    side, wide, spacing = 256, 420, 14.0
    gradient, known = random_gradient(rng)
    middle = np.array([0.5 * side, 0.5 * wide])
    places = np.moveaxis(np.indices((side, wide)), 0, -1) - middle
    places = np.where(places[..., 1:] > 0, places @ np.linalg.inv(gradient).T, places)
    waves = np.exp(4.0 * (np.cos(2 * np.pi * places / spacing) - 1)).prod(axis=-1)
    image = waves + rng.normal(0.0, 0.2, waves.shape)
    left = np.broadcast_to(np.arange(wide) < middle[1] - 40, image.shape)
    maps = geometric_phase(image, np.eye(2) / spacing, reference=left)
    # Pixels so far apart that their errors are their own.
    rows, cols = np.ix_(range(40, side - 38, 28), range(wide // 2 + 42, wide - 38, 28))
    z = []
    for name, value in known.items():
        found, error = (getattr(maps, each)[rows, cols] for each in (name, f"{name}_err"))
        z.append((found - value) / error)
    yield "strain and rotation of images", np.ravel(z)


def dislocations(rng: np.random.Generator) -> Deviations:
    """Length of the Burgers vector of an edge dislocation anywhere in the middle of the image."""
    cell, size = (SQUARE, HEXAGONAL)[rng.integers(2)], 500.0
    columns = planted(cell, size=size)
    core = SAMPLING * (0.5 * size + rng.uniform(-60, 60, 2))
    burgers = SAMPLING * cell[0]
    shift = EdgeDislocation(tuple(core), tuple(burgers))(
        SAMPLING * columns["y"].to_numpy(), SAMPLING * columns["x"].to_numpy()
    )
    moved = columns[["y", "x"]].to_numpy() + np.asarray(shift) / SAMPLING
    columns = strayed(columns.assign(y=moved[:, 0], x=moved[:, 1]), rng)
    found = find_dislocations(columns, SAMPLING)
    if len(found) == 1:
        only = found.iloc[0]
        vector = only[["burgers_y", "burgers_x"]].to_numpy(float)
        error = only[["burgers_y_err", "burgers_x_err"]].to_numpy(float)
        length = np.hypot(*vector)
        own = np.hypot(*(vector * error)) / length
        yield "length of Burgers vectors", np.array([(length - np.hypot(*cell[0])) / own])


def bicrystals(rng: np.random.Generator) -> Deviations:
    """Turn between two grains, and how each is turned."""
    cell, turn = (SQUARE, HEXAGONAL)[rng.integers(2)], rng.uniform(8.0, 22.0)
    left, right = planted(cell, size=400.0), planted(cell, size=400.0, turn=turn)
    both = pd.concat([left[left["x"] < 195], right[right["x"] > 205]], ignore_index=True)
    found = find_grains(strayed(both, rng), SAMPLING)
    if len(found.boundaries) == 1:
        row = found.boundaries.iloc[0]
        z = (row["misorientation_deg"] - turn) / row["misorientation_deg_err"]
        yield "misorientation of grains", np.array([z])


def counts(rng: np.random.Generator) -> Deviations:
    """All atoms of 400 columns in eight classes of which 4 to 5 % are miscounted."""
    true = rng.integers(1, 9, 400)
    columns = pd.DataFrame({"volume": 2.0 * true + rng.normal(0.0, 0.5, len(true))})
    ways = {
        "all atoms, by a library": count_by_library(columns, 2.0 * np.arange(1, 9)),
        "all atoms, by a mixture": count_by_mixture(columns, 8, first=1),
    }
    for name, counted in ways.items():
        total, error = counted.total
        yield name, np.array([(total - true.sum()) / error])


def drifts(rng: np.random.Generator) -> Deviations:
    """Shifts of 16 frames of 64 columns against the first one."""
    sites = 20.0 * (1 + np.argwhere(np.ones((8, 8))).astype(float))
    path = np.cumsum(rng.normal([0.8, -1.3], 0.5, (16, 2)), axis=0)
    path -= path[0]
    places = sites + path[:, None] + rng.normal(0.0, NOISE, (16, 64, 2))
    table = pd.DataFrame(places.reshape(-1, 2), columns=["y", "x"])
    tracks = link_tracks(table.assign(frame=np.repeat(np.arange(16), 64)))
    z = (tracks.drift - path)[1:] / tracks.drift_err[1:]
    yield "drift, second frame", z[0]
    yield "drift, later frames", z[1:].ravel()


PARTS: dict[Callable[[np.random.Generator], Deviations], int] = {
    lattices: 150,
    polar: 40,
    strains_of_columns: 60,
    strains_of_images: 40,
    dislocations: 100,
    bicrystals: 150,
    counts: 150,
    drifts: 100,
}
"""What is measured, and in how many simulations."""


def over_errors(share: float) -> pd.DataFrame:
    """Root mean square of deviations over stated errors, and per cent within one and within two.

    Parameters
    ----------
    share : of the simulations.
    """
    rows = []
    for part, (measure, times) in enumerate(PARTS.items()):
        found: dict[str, list[Array]] = {}
        repeats = max(3, round(share * times))
        for seed in range(repeats):
            for name, z in measure(seeded(part, seed)):
                found.setdefault(name, []).append(z[np.isfinite(z)])
        for name, each in found.items():
            z = np.concatenate(each)
            rows.append(
                {
                    "measurement": name,
                    "simulations": str(len(each)),
                    "values": str(len(z)),
                    "rms of deviation / error": np.sqrt(np.mean(z**2)),
                    "within 1, %": 100 * np.mean(np.abs(z) < 1),
                    "within 2, %": 100 * np.mean(np.abs(z) < 2),
                }
            )
    return pd.DataFrame(rows)


def arguments(parser: argparse.ArgumentParser) -> None:
    """How much of it."""
    shared.share(parser)


def run(options: argparse.Namespace) -> None:
    """Print the table."""
    tables.show(over_errors(options.share))
