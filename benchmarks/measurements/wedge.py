"""Gold of a few atoms counted against a simulated library.

    python -m benchmarks measurements wedge [--share 0.4]

Gold [001] of 1 to 4 atoms by multislice with thermal vibrations, counted by the volumes of Gaussian
fits and by integrals of the image; seconds are of the processor.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import pandas as pd
import torch

from benchmarks import options as shared
from benchmarks import tables
from benchmarks.measurements.planted import Array, seeded
from napari_atomseg.analysis import count_by_library, integrate_columns, simulate_library
from napari_atomseg.imaging import Probe
from napari_atomseg.imaging.multislice import multislice_adf
from napari_atomseg.localization.fit.joint.solve import fit_jointly
from napari_atomseg.specimen import Field
from napari_atomseg.specimen.structure import Structure

PROBE = Probe(200e3, 20.0, source_size=0.6)
DETECTOR = (60.0, 150.0)
"""mrad."""
CELL, MARGIN, PIXEL = 4.078, 2.5, 0.2
"""Å."""
DOSE = 2e4
"""Electrons per Å²."""
LARGEST = 4
SIDE = 5
"""Columns along y and along x."""
PHONONS = 8
"""Configurations of vibrating atoms, of the image and of the library."""
WEDGES = 3
REACH = 0.72 * CELL / 2 / PIXEL
"""px of a column's share: as far as its corners."""


def wedge(seed: int) -> tuple[Array, pd.DataFrame]:
    """Image of gold along [001], thicker from corner to corner but for rough sides, in fractions of
    the beam; and its columns with their ``atoms``.
    """
    rng = seeded(50, seed)
    i, j = np.indices((SIDE, SIDE)).reshape(2, -1)
    slope = 1 + (LARGEST - 1) * (i + j) / (2 * SIDE - 2)
    number = np.clip(np.rint(slope + rng.uniform(-0.7, 0.7, len(i))), 1, LARGEST).astype(int)
    column = np.repeat(np.arange(len(number)), number)
    above = np.arange(len(column)) - np.repeat(np.cumsum(number) - number, number)
    height = CELL * (above + 0.5 * ((i + j) % 2)[column])
    y, x = (MARGIN + CELL / 2 * v for v in (i, j))
    atoms = Structure(y[column], x[column], height, np.full(len(column), 79), column)
    size = round((2 * MARGIN + (SIDE - 1) * CELL / 2) / PIXEL)
    image = multislice_adf(
        *(atoms, Field((size, size), PIXEL, 0), PROBE),
        detector=DETECTOR,
        frozen_phonons=PHONONS,
        seed=100 + seed,
    )
    electrons = DOSE * PIXEL**2
    noisy = rng.poisson(electrons * np.maximum(image, 0.0)) / electrons
    return noisy, pd.DataFrame({"y": y / PIXEL, "x": x / PIXEL, "atoms": number})


def measured(image: Array, columns: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Cross-sections ``section`` of the columns, px²."""
    start = columns["y"].to_numpy(), columns["x"].to_numpy()
    tables = {
        f"volume of a fit, {backgrounds} background": columns.assign(
            section=fit_jointly(torch.from_numpy(image), *start, backgrounds=backgrounds).volume
        )
        for backgrounds in ("local", "shared")
    }
    integral = integrate_columns(image, columns, reach=REACH)["integral"]
    return tables | {"integral": columns.assign(section=integral)}


def wedges(share: float) -> pd.DataFrame:
    """Sections over the library's, and how many counts are right.

    Parameters
    ----------
    share : of the wedges.
    """
    start = time.process_time()
    library = simulate_library(
        *("Au", (0, 0, 1), LARGEST), detector=DETECTOR, frozen_phonons=PHONONS
    )
    print(f"library: {time.process_time() - start:.0f} s")
    found: dict[str, list[pd.DataFrame]] = {}
    for seed in range(max(1, round(share * WEDGES))):
        start = time.process_time()
        for name, table in measured(*wedge(seed)).items():
            counts = count_by_library(table, library, sampling=PIXEL, value="section")
            found.setdefault(name, []).append(counts.columns)
        print(f"wedge: {time.process_time() - start:.0f} s")
    rows = []
    for name, each in found.items():
        table = pd.concat(each)
        known = library["section"].to_numpy()[table["atoms"].to_numpy() - 1]
        ratio = (PIXEL**2 * table["section"] / known).to_numpy()
        low, middle, high = np.nanquantile(ratio, [0.0, 0.5, 1.0])
        right = (table["count"] == table["atoms"]).sum()
        row = {"cross-section": name, "right": f"{right} of {len(table)}"}
        row |= {"over the library's, median": middle, "least": low, "greatest": high}
        rows.append(row | {"said to be right, %": 100 * table["count_probability"].mean()})
    return pd.DataFrame(rows)


def arguments(parser: argparse.ArgumentParser) -> None:
    """How much of it."""
    shared.share(parser)


def run(options: argparse.Namespace) -> None:
    """Print the table."""
    tables.show(wedges(options.share))
