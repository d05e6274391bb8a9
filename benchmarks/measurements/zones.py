"""How often the right zone axis of a crystal comes first among its own.

    python -m benchmarks measurements zones [--share 0.1]

Columns of every crystal of the book, and of three more, along all axes up to index 2, off by 5 pm,
and by 2 % of their scale.
"""

from __future__ import annotations

import argparse

import numpy as np
import pandas as pd
from ase import Atoms
from ase.build import bulk

from benchmarks import options as shared
from benchmarks import tables
from benchmarks.measurements.planted import NOISE, SAMPLING, seeded
from napari_atomseg.analysis import find_lattice, find_zone_axis
from napari_atomseg.specimen.crystals.builtin import COLUMNLESS, crystals, get_crystal
from napari_atomseg.specimen.crystals.projection import project
from napari_atomseg.specimen.crystals.symmetry import Axis, zone_axes

DISORDERED = COLUMNLESS | {"amorphous graphene"}
LARGEST_INDEX = 2
FAINTEST = 0.1
"""Of the brightest column, below which columns are not seen."""
SIZE = 40.0
"""Å."""
STRETCH = 0.02
"""Of the scale, to either side."""


def book() -> dict[str, Atoms]:
    """The crystals of the book that have columns, and three that it lacks."""
    known = {name: get_crystal(name) for name in crystals() if name not in DISORDERED}
    return known | {
        "ZnO": bulk("ZnO", "wurtzite", a=3.25, c=5.2),
        "Zn": bulk("Zn", "hcp", a=2.66, c=4.95),
        "Fe": bulk("Fe", "bcc", a=2.87, cubic=True),
    }


def columns_of(
    crystal: Atoms, axis: Axis, rng: np.random.Generator, *, bright: bool
) -> pd.DataFrame:
    """Columns that are seen of a crystal turned at random, off in place, scale and brightness."""
    lattice = project(crystal, axis).rotated(rng.uniform(0.0, 360.0))
    columns = lattice.fill(np.zeros(2), np.full(2, SIZE), np.full(2, 0.5 * SIZE))
    columns = columns.select(columns.weight >= FAINTEST * columns.weight.max())
    points = (1.0 + rng.choice([-STRETCH, STRETCH])) * columns.points / SAMPLING
    points += rng.normal(0.0, NOISE, points.shape)
    table = pd.DataFrame(points, columns=["y", "x"])
    if bright:
        table["volume"] = columns.weight * rng.normal(1.0, 0.05, len(columns))
    return table


def sweep(share: float) -> pd.DataFrame:
    """Axes of all crystals: found first, first among others of its rank, of a lower rank, and those
    whose columns show no lattice.

    Parameters
    ----------
    share : of the axes.
    """
    cases = [(name, crystal, axis) for name, crystal in book().items() for axis in axes_of(crystal)]
    cases = cases[:: max(1, round(1 / share))]
    rows = []
    for bright in (True, False):
        outcome = [
            placed(crystal, axis, seeded(10 + bright, seed), bright=bright)
            for seed, (_, crystal, axis) in enumerate(cases)
        ]
        wrong = [
            f"{name} [{' '.join(map(str, axis))}]"
            for (name, _, axis), how in zip(cases, outcome, strict=True)
            if how in ("lower", "no lattice")
        ]
        row = {"brightness": "known" if bright else "not known", "axes": str(len(cases))}
        names = ("first", "first with others", "as good as the first", "lower", "no lattice")
        rows.append(row | {name: str(outcome.count(name)) for name in names})
        print(f"lower or no lattice, brightness {row['brightness']}: {', '.join(wrong)}\n")
    return pd.DataFrame(rows)


def axes_of(crystal: Atoms) -> list[Axis]:
    """Zone axes up to the largest index that symmetry makes different."""
    return zone_axes(crystal, LARGEST_INDEX)


def placed(crystal: Atoms, axis: Axis, rng: np.random.Generator, *, bright: bool) -> str:
    """Where the right axis comes among all of its crystal."""
    columns = columns_of(crystal, axis, rng, bright=bright)
    try:
        lattice = find_lattice(columns, SAMPLING)
    except ValueError:
        return "no lattice"
    zones = find_zone_axis(lattice, crystal, largest_index=LARGEST_INDEX)
    found = [tuple(map(int, row)) for row in zones[["u", "v", "w"]].to_numpy()]
    # What is seen from the other side is the mirror image.
    at = next(i for i, each in enumerate(found) if each in (axis, tuple(-i for i in axis)))
    best = zones["rank"].eq(1)
    if at == 0:
        return "first" if best.sum() == 1 else "first with others"
    return "as good as the first" if best.iloc[at] else "lower"


def arguments(parser: argparse.ArgumentParser) -> None:
    """How much of it."""
    shared.share(parser)


def run(options: argparse.Namespace) -> None:
    """Print the table."""
    tables.show(sweep(options.share))
