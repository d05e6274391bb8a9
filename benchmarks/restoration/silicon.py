"""Spread of the columns of a recorded Si [110] image, before and after its lines are put back.

    python -m benchmarks restoration silicon IMAGE --sampling 0.098

For an image along [110], such as AtomSegNet's test image; the length of a pixel follows from the
lattice that the columns show. Rows: columns of the image as recorded (`none`); the same, their
lines' displacements taken off (`rows`); columns of the image whose lines were put back; and of the
restored image. In pm, rms:

- *along a*, *along b*: distances of columns one lattice vector apart, [1-10]/2 and [001];
- *dumbbell*: distances of the two columns of a dumbbell;
- *scatter along*, *across*: deviations of one half of the dumbbells from the regular lattice that
  fits best, along the lines of the scan and across them; slow distortions are in it;
- *bent along*, *across*: the same beside a lattice that is bent as a cubic polynomial, which leaves
  out what is slow.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

import napari_atomseg as atomseg
from benchmarks import options as shared
from benchmarks import tables
from benchmarks.localization.silicon import (
    DUMBBELL,
    Points,
    inside,
    lattice_vectors,
    silicon_spacings,
)
from napari_atomseg.io import read_image

ROUNDS = 3
"""Of numbering the columns by the lattice and fitting it to them."""
PARTNER = 1.35
"""The halves of a dumbbell are at most so many times its length apart."""
OFF = 0.3
"""Cells by which a column may be off its site in the lattice; beyond, it is none of it."""


def halves(points: Points, b: Points, pixel: float) -> tuple[Points, Points, Points]:
    """The first columns of the dumbbells along `b`, the second ones, and their distances in pm."""
    distance, other = cKDTree(points).query(points, k=2)
    partner = other[:, 1]
    near = (distance[:, 1] < PARTNER * DUMBBELL / pixel) & (
        partner[partner] == np.arange(len(points))
    )
    first = near & ((points[partner] - points) @ b > 0)
    return points[first], points[partner[first]], pixel * distance[first, 1]


def scatter(points: Points, cell: Points, degree: int) -> Points:
    """(2,) rms deviation (y, x) from a lattice bent as a polynomial of a degree, pixels.

    Parameters
    ----------
    points : (N, 2) columns of one site.
    cell : (2, 2) lattice vectors, a row each.
    """
    inverse = np.linalg.inv(cell)
    number = np.round((points - points[len(points) // 2]) @ inverse)
    good = np.ones(len(points), dtype=bool)
    for _ in range(ROUNDS):
        scaled = number / np.abs(number).max()
        powers = [(i, j) for i in range(degree + 1) for j in range(degree + 1 - i)]
        terms = np.stack([scaled[:, 0] ** i * scaled[:, 1] ** j for i, j in powers], axis=1)
        expected = terms @ np.linalg.lstsq(terms[good], points[good], rcond=None)[0]
        number += np.round((points - expected) @ inverse)
        good = np.abs((points - expected) @ inverse).max(axis=1) < OFF
    return np.asarray(np.sqrt(((points - expected)[good] ** 2).mean(axis=0)))


def columns(image: Points, sampling: float, model: str) -> Iterator[tuple[str, Points]]:
    """Places (N, 2) of the columns, by what was done to the lines."""
    for scan in ("none", "rows"):
        table = atomseg.localize(image, sampling=sampling, scan=scan)
        yield scan, table[["y", "x"]].to_numpy(float)
    back = atomseg.correct_scan(image, "rows", sampling=sampling).image
    restored = atomseg.restore(image, model=model, sampling=sampling)
    for name, made in (("image put back", back), ("restored", restored)):
        yield name, atomseg.localize(made, sampling=sampling)[["y", "x"]].to_numpy(float)


def figures(found: dict[str, Points], shape: tuple[int, ...]) -> Iterator[dict[str, float | str]]:
    """A row of the table for each way."""
    a, b = lattice_vectors(found["none"])
    cell = 0.5 * np.stack([a + b, a - b])
    for name, measured in silicon_spacings(found, shape).items():
        pixel, points = measured.pixel, found[name]
        whole = points[inside(points, shape, 0.5 * DUMBBELL / pixel)]
        *sites, dumbbells = halves(whole, b, pixel)
        regular, bent = (
            pixel * np.sqrt(np.mean([scatter(site, cell, degree) ** 2 for site in sites], axis=0))
            for degree in (1, 3)
        )
        yield {
            "lines": name,
            "columns": measured.columns,
            "along a": measured.deviations[0],
            "along b": measured.deviations[1],
            "dumbbell": float(dumbbells.std()),
            "scatter along": regular[1],
            "scatter across": regular[0],
            "bent along": bent[1],
            "bent across": bent[0],
        }


def arguments(parser: argparse.ArgumentParser) -> None:
    """The image and the model."""
    parser.add_argument("image", type=Path, help="of Si [110], its lines along the rows")
    parser.add_argument("--sampling", type=float, default=0.098, help="Å [%(default)s]")
    parser.add_argument("--model", default="restore-hr-stem", help="restores the image")
    shared.threads(parser)


def run(options: argparse.Namespace) -> None:
    """Localize, and print the spreads."""
    image = np.asarray(read_image(options.image).data, dtype=np.float64)
    found = dict(columns(image, options.sampling, options.model))
    tables.show(pd.DataFrame(figures(found, image.shape)), "Si [110]: spread (pm rms)", digits=1)
