"""Point defects and displacements, alike for columns and for single atoms."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

import numpy as np

from napari_atomseg.specimen.columns import Array, Columns, Scatterers
from napari_atomseg.specimen.structure import GAMMA, Structure

Matter = TypeVar("Matter", Columns, Structure)
Points = TypeVar("Points", Columns, Structure, Scatterers)


def moved(matter: Matter, shift: Array) -> Matter:
    """The same columns or atoms moved by (N, 2) shifts (y, x) in Å."""
    return replace(matter, y=matter.y + shift[:, 0], x=matter.x + shift[:, 1])


def within(matter: Points, lower: Array, upper: Array) -> Points:
    """Those with lower ≤ (y, x) ≤ upper (Å)."""
    keep = (matter.y >= lower[0]) & (matter.y <= upper[0])
    keep &= (matter.x >= lower[1]) & (matter.x <= upper[1])
    return matter.select(keep)


def with_vacancies(matter: Matter, fraction: float, rng: np.random.Generator) -> Matter:
    """Without a random share of the atoms.

    Each atom is missing on its own; of columns, whose counts must be whole numbers, each keeps a
    binomial number of atoms.
    """
    if isinstance(matter, Structure):
        return matter.select(rng.random(len(matter)) >= fraction)
    counts = rng.binomial(matter.counts.astype(np.int64), 1.0 - fraction).astype(np.float64)
    return counted(matter, counts)


def without_columns(matter: Matter, fraction: float, rng: np.random.Generator) -> Matter:
    """Without a random share of the columns."""
    if isinstance(matter, Structure):
        missing = rng.random(int(matter.column.max(initial=-1)) + 1) < fraction
        return matter.select(~missing[matter.column] | (matter.column < 0))
    return matter.select(rng.random(len(matter)) >= fraction)


def with_substitutes(
    matter: Matter, fraction: float, number: int, rng: np.random.Generator
) -> Matter:
    """With a random share of the atoms replaced by another element.

    Parameters
    ----------
    number : atomic number of the substitute.
    """
    if isinstance(matter, Structure):
        strange = rng.random(len(matter)) < fraction
        return replace(matter, number=np.where(strange, number, matter.number))
    replaced = rng.binomial(matter.counts.astype(np.int64), fraction).astype(np.float64)
    host = replace(matter, counts=matter.counts - replaced)
    numbers = tuple(sorted({*matter.numbers, number}))
    counts = np.zeros((len(matter), len(numbers)))
    counts[:, [numbers.index(n) for n in host.numbers]] = host.counts
    counts[:, numbers.index(number)] += replaced.sum(axis=1)
    return counted(replace(matter, numbers=numbers), counts)


def with_displaced_columns(matter: Matter, rms: float, rng: np.random.Generator) -> Matter:
    """With each column moved on its own by a normal shift of `rms` Å along y and along x.

    Atoms of no column are moved one by one.
    """
    if isinstance(matter, Columns):
        return moved(matter, rng.normal(0.0, rms, (len(matter), 2)))
    columns = int(matter.column.max(initial=-1)) + 1
    lone = matter.column < 0
    shift = rng.normal(0.0, rms, (columns + int(lone.sum()), 2))
    index = matter.column.copy()
    index[lone] = columns + np.arange(lone.sum())
    return moved(matter, shift[index])


def counted(columns: Columns, counts: Array) -> Columns:
    """Columns with new numbers of atoms, (N, E), and weights that follow; empty ones left out."""
    weight = counts @ np.array(columns.numbers, dtype=np.float64) ** GAMMA
    return replace(columns, counts=counts, weight=weight).select(weight > 0)
