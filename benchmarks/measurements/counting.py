"""Atoms counted by mixtures, and the share of counts that are said to be right.

    python -m benchmarks measurements counting [--share 0.1]

Mixtures of cross-sections whose width grows with thickness or does not, counted with one width and
with the likelier one; and the share of counts said to be right beside that which is, in eight
classes that overlap.
"""

from __future__ import annotations

import argparse
from itertools import product

import numpy as np
import pandas as pd

from benchmarks import options as shared
from benchmarks import tables
from benchmarks.measurements.planted import Array, seeded
from napari_atomseg.analysis import Counts, count_by_mixture

SLOPE = 2.0
POWER = 0.95
"""Of the number of atoms: cross-sections grow a little less than in proportion."""
SEEDS = 8
SCENES: dict[str, tuple[float, float, int, int]] = {
    "1.2 % of the cross-section": (0.05, 0.012, 20, 1500),
    "constant": (0.3, 0.0, 10, 800),
}
"""Scatter, part that is in proportion to the cross-section, classes, columns."""
OVERLAPS = (0.4, 0.5, 0.6)
"""Scatter of classes that are 1.8 apart in the mean."""
CALIBRATED = {250: 48, 1000: 12}
"""Columns of a wedge, and how many wedges."""


def sections(
    rng: np.random.Generator, classes: int, columns: int, absolute: float, relative: float = 0.0
) -> tuple[pd.DataFrame, Array]:
    """Cross-sections of columns of 1 atom to as many as there are classes, and their atoms."""
    atoms = rng.integers(1, classes + 1, columns)
    mean = SLOPE * atoms**POWER
    scatter = np.hypot(absolute, relative * mean)
    return pd.DataFrame({"volume": mean + rng.normal(size=columns) * scatter}), atoms


def shares(counts: Counts, atoms: Array) -> dict[str, float]:
    """Per cent of the counts that are right, and that are said to be."""
    right = counts.columns["count"].to_numpy(float, na_value=np.nan) == atoms
    return {"right, %": 100 * right.mean(), "said to be right, %": 100 * (1 - counts.miscounted)}


def classes(share: float) -> pd.DataFrame:
    """Means over wedges, with the number of classes left to the likelihood."""
    rows = []
    for part, (name, (absolute, relative, number, columns)) in enumerate(SCENES.items()):
        for width in ("common", "auto"):
            found = []
            for seed in range(max(1, round(share * SEEDS))):
                table, atoms = sections(
                    seeded(30 + part, seed), number, columns, absolute, relative
                )
                counts = count_by_mixture(table, first=1, width=width)
                found.append({"found": len(counts.numbers), **shares(counts, atoms)})
            each = pd.DataFrame(found)
            span = f"{each['found'].min()} to {each['found'].max()}"
            row = {"scatter": name, "columns": str(columns), "width": width}
            row |= {"classes": str(number), "found": span}
            rows.append(row | each.drop(columns="found").mean().to_dict())
    return pd.DataFrame(rows)


def calibration(share: float) -> pd.DataFrame:
    """Of eight classes that overlap, their number known."""
    rows = []
    for scatter, (columns, wedges) in product(OVERLAPS, CALIBRATED.items()):
        found = []
        for seed in range(max(1, round(share * wedges))):
            table, atoms = sections(seeded(40, seed), 8, columns, scatter)
            found.append(shares(count_by_mixture(table, 8, first=1), atoms))
        apart = SLOPE * (8**POWER - 1) / 7 / scatter
        row = {"scatters between classes": apart}
        row |= {"columns": str(columns), "wedges": str(len(found))}
        rows.append(row | pd.DataFrame(found).mean().to_dict())
    return pd.DataFrame(rows)


def arguments(parser: argparse.ArgumentParser) -> None:
    """How much of it."""
    shared.share(parser)


def run(options: argparse.Namespace) -> None:
    """Print the tables."""
    tables.show(classes(options.share))
    tables.show(calibration(options.share))
