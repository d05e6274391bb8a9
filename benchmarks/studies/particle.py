"""r_em's third study: atoms counted in a ball of Pt, by fits on raw and on restored images.

    python -m benchmarks studies particle FOLDER [--models stem-hr] [--pictures PICTURES]

11 atoms across, scanned as in the second study (Lobato et al. 2023, Fig. 5); `study-particle.png`.
"""

from __future__ import annotations

import argparse

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks import tables
from benchmarks.seeds import STUDIES as SEED
from benchmarks.studies.common import arguments, methods, show_summary
from benchmarks.studies.figures import draw_particle
from benchmarks.studies.images import SAMPLING, Array, particle, sections, uniform_crystal
from benchmarks.studies.measure import fitted, measured, volume
from benchmarks.studies.multislice import PERIOD, cell_series

__all__ = ["arguments", "run"]


def run(options: argparse.Namespace) -> None:
    """Count the atoms of each column from its cross-section."""
    section, compared = sections(cell_series(options.folder)), methods(options.models)
    sample = particle(section)
    library = section * seen_share(section)
    summaries, counted = [], {}
    ideal = volume(fitted(sample.image, sample.y, sample.x)) * SAMPLING**2
    for dose in options.doses:
        errors, _ = measured(
            sample, dose, compared, options.repeats, (SEED, 3, int(dose)), scanned=True
        )
        for name, each in errors.items():
            count = nearest(library, each.volume * ideal)
            off = np.where(np.isfinite(each.volume), count - sample.atoms, np.nan)
            counted[dose, name] = off
            summaries.append(
                {"dose": dose, "method": name, **each.steadied().summary(), **counts(off)}
            )
    perfect = counts((nearest(library, ideal) - sample.atoms)[None].astype(float))
    table = pd.DataFrame(summaries)
    show_summary(table, f"{len(sample.y)} columns of 1 to {sample.atoms.max()} atoms")
    none = {"dose": np.inf, "method": "without noise", **perfect}
    columns = ["dose", "method", *perfect]
    tables.show(pd.concat([table, pd.DataFrame([none])])[columns], "Atoms counted", 2)
    if options.pictures:
        draw_particle(options.pictures / "study-particle.png", sample, counted)


def seen_share(section: Array) -> float:
    """What a fit sees of the cross-section of a column in a crystal without noise."""
    sample = uniform_crystal(section, 1)
    fits = fitted(sample.image, sample.y, sample.x)
    return float(np.median(volume(fits)[sample.inner(PERIOD)]) * SAMPLING**2 / section[0])


def nearest(library: Array, section: Array) -> NDArray[np.int64]:
    """Number of atoms whose cross-section in the library is nearest; 1 where there is none."""
    return np.asarray(
        np.abs(np.nan_to_num(section)[..., None] - library).argmin(axis=-1) + 1, np.int64
    )


def counts(off: Array) -> dict[str, float]:
    """Share of columns counted right, and to one atom; those without a fit are neither."""
    return {
        "right, %": 100.0 * float(np.mean(off == 0)),
        "within 1, %": 100.0 * float(np.mean(np.abs(off) <= 1)),
        "mean error": float(np.nanmean(off)),
        "rms error": float(np.sqrt(np.nanmean(off**2))),
    }
