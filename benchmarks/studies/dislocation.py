"""r_em's second study: an edge dislocation in Pt [112], fits on raw and on restored images.

    python -m benchmarks studies dislocation FOLDER [--models stem-hr] [--pictures PICTURES]

b = ½[110]; lines of the scan are moved and blurred, then electrons are counted (Lobato et al. 2023,
Fig. 4); `study-dislocation.png`.
"""

from __future__ import annotations

import argparse
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks import tables
from benchmarks.seeds import STUDIES as SEED
from benchmarks.studies.common import arguments, methods, show_summary
from benchmarks.studies.figures import draw_dislocation
from benchmarks.studies.images import (
    SAMPLING,
    Array,
    dislocation,
    dislocation_core,
    dislocation_steps,
    sections,
)
from benchmarks.studies.measure import Errors, circuit, found_columns, measured
from benchmarks.studies.multislice import cell_series

__all__ = ["arguments", "run"]

RINGS = (0.0, 3.0, 6.0, 12.0)
"""Å from the core, between which errors are averaged."""
REACH = (5, 3)
"""Steps from the core to the sides of a Burgers circuit, along b and across the glide plane."""
STEP = 0.6
"""Å within which a circuit's next column must be."""
KEPT = 0.5
"""Å within which the closure of a circuit must be the Burgers vector."""


def run(options: argparse.Namespace) -> None:
    """Print errors against the distance to the core, and the Burgers vector."""
    section, compared = sections(cell_series(options.folder)), methods(options.models)
    sample = dislocation(section)
    steps, core = dislocation_steps(), dislocation_core()
    inner = sample.inner(1.5)
    away = np.hypot(SAMPLING * sample.y - core[0], SAMPLING * sample.x - core[1])
    summaries, rings, shown = [], [], []
    for dose in options.doses:
        errors, images = measured(
            sample, dose, compared, options.repeats, (SEED, 2, int(dose)), scanned=True
        )
        paths = {}
        for name, each in errors.items():
            steady = masked(each, inner).steadied()
            row = {"dose": dose, "method": name}
            walks = [
                circuit(found_columns(image, np.hypot(*steps[0])), core, steps, REACH, STEP)
                for image in images[name]
            ]
            summaries.append({**row, **steady.select(inner).summary(), **closure(walks, steps)})
            paths[name] = next((walk for walk in walks if walk is not None), None)
            for low, high in pairwise(RINGS):
                ring = steady.select(inner & (away >= low) & (away < high)).summary()
                rings.append(
                    {**row, "Å": f"{low:g}-{high:g}", "middle": 0.5 * (low + high), **ring}
                )
        first = {name: image[0] for name, image in images.items()}
        placed = {name: masked(each, inner).steadied().place[0] for name, each in errors.items()}
        shown.append((dose, first, placed, paths))
    table = pd.DataFrame(summaries)
    show_summary(table, "Pt [112] with an edge dislocation")
    true = circuit(SAMPLING * np.stack([sample.y, sample.x], axis=1), core, steps, REACH, STEP)
    here = closure([true], steps)["b, Å"]
    title = (
        f"Burgers circuits: b is {2 * np.hypot(*steps[0]):.3f} Å long, "
        f"and {here:.3f} Å in the strained crystal where this circuit ends"
    )
    closed = table[["dose", "method", "circuits closed by b, %", "b, Å", "deviation, Å"]]
    tables.show(closed, title, 2)
    wide = pd.DataFrame(rings).pivot_table(
        index=["dose", "method"], columns="Å", values="rmse", sort=False
    )
    wide = wide.add_suffix(" Å").reset_index()
    tables.show(wide, "RMSE of positions by the distance to the core, pm", 1)
    if options.pictures:
        path = options.pictures / "study-dislocation.png"
        draw_dislocation(path, sample, shown, pd.DataFrame(rings))


def masked(errors: Errors, keep: NDArray[np.bool_]) -> Errors:
    """Without the places of the columns that are not kept."""
    place = np.where(keep[None, :, None], errors.place, np.nan)
    return Errors(place, errors.volume, errors.place_bound, errors.volume_bound)


def closure(walks: list[Array | None], steps: tuple[Array, Array]) -> dict[str, float]:
    """How many circuits are closed by b or -b, and the length of what closes those."""
    burgers = 2.0 * steps[0]
    gaps = [walk[-1] - walk[0] for walk in walks if walk is not None]
    right = [
        float(np.hypot(*gap))
        for gap in gaps
        if min(np.hypot(*(gap - burgers)), np.hypot(*(gap + burgers))) < KEPT
    ]
    several = len(right) > 1
    return {
        "circuits closed by b, %": 100.0 * len(right) / len(walks),
        "b, Å": float(np.mean(right)) if right else float("nan"),
        "deviation, Å": float(np.std(right, ddof=1)) if several else float("nan"),
    }
