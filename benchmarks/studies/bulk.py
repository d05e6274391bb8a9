"""r_em's first study: Pt [001] of 2 to 75 atoms a column, fits on raw and on restored images.

    python -m benchmarks studies bulk FOLDER [--models stem-hr my.safetensors] [--pictures PICTURES]

Images by multislice with shot noise alone (Lobato et al. 2023, Fig. 3); `study-bulk.png`.
"""

from __future__ import annotations

import argparse

import pandas as pd

from benchmarks import tables
from benchmarks.seeds import STUDIES as SEED
from benchmarks.seeds import generator
from benchmarks.studies.common import arguments, methods, show_summary
from benchmarks.studies.figures import draw_bulk
from benchmarks.studies.images import bulk
from benchmarks.studies.measure import measured
from benchmarks.studies.multislice import PERIOD, cell_series

__all__ = ["arguments", "run"]

THICKNESSES = (2, 3, 5, 8, 12, 18, 27, 40, 55, 75)
"""Atoms a column of the first study."""


def run(options: argparse.Namespace) -> None:
    """Print precision against thickness."""
    cell, compared = cell_series(options.folder), methods(options.models)
    rows, shown = [], []
    for atoms in THICKNESSES:
        sample = bulk(cell, atoms, generator(SEED, 1, atoms))
        inner = sample.inner(0.7 * PERIOD)
        for dose in options.doses:
            errors, images = measured(
                sample, dose, compared, options.repeats, (SEED, 1, atoms, int(dose)), scanned=False
            )
            for name, each in errors.items():
                row = {"dose": dose, "atoms": atoms, "method": name}
                rows.append({**row, **each.select(inner).summary()})
            if (atoms, dose) in (
                (THICKNESSES[0], min(options.doses)),
                (THICKNESSES[-1], max(options.doses)),
            ):
                shown.append((atoms, dose, {name: image[0] for name, image in images.items()}))
    table = pd.DataFrame(rows)
    numbers = table.groupby(["dose", "method"], sort=False).median(numeric_only=True)
    scores = numbers.reset_index().drop(columns="atoms")
    show_summary(scores, "Pt [001], medians over the thicknesses")
    for name, title, digits in (
        ("precision", "Precision of positions, pm", 1),
        ("bias", "Bias of positions, pm", 1),
        ("section precision", "Precision of cross-sections, %", 1),
        ("section bias", "Bias of cross-sections, %", 1),
    ):
        wide = table.pivot_table(
            index=["dose", "method"], columns="atoms", values=name, sort=False
        ).reset_index()
        bound = {"precision": "bound", "section precision": "section bound"}.get(name)
        if bound:
            raw = table[table["method"] == "raw"].assign(method="Cramér–Rao bound")
            least = raw.pivot_table(index=["dose", "method"], columns="atoms", values=bound)
            wide = pd.concat([wide, least.reset_index()]).sort_values("dose", kind="stable")
        tables.show(wide, f"{title}, by atoms a column", digits)
    if options.pictures:
        draw_bulk(options.pictures / "study-bulk.png", table, shown)
