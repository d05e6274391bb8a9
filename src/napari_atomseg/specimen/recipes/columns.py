"""Columns of any crystal at any scale: what networks for every material learn from."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from itertools import product
from math import gcd
from typing import Annotated, Literal

import numpy as np
from pydantic import AfterValidator

from napari_atomseg._shared.types import Array
from napari_atomseg.ranges import PositiveRange, Probability, Range, log_uniform
from napari_atomseg.specimen.columns import Columns
from napari_atomseg.specimen.crystals.builtin import SINGLE_LAYERS, crystals, get_crystal
from napari_atomseg.specimen.crystals.projection import ColumnLattice, project
from napari_atomseg.specimen.matter.random_crystal import (
    random_lattice,
    random_points,
    with_faint_sublattice,
)
from napari_atomseg.specimen.outline import Thickness, random_planes, random_waves
from napari_atomseg.specimen.specimen import Field, Specimen, SpecimenRecipe

Rng = np.random.Generator
RESOLVED = 0.36
"""Ratio of probe sigma to spacing above which neighbours begin to merge for crystals."""
BOOK = tuple(name for name in crystals() if not name.startswith("amorphous"))


def _known(value: tuple[str, ...]) -> tuple[str, ...]:
    unknown = sorted(set(value) - set(crystals()))
    if unknown:
        raise ValueError(f"unknown crystals {unknown}; choose from {', '.join(crystals())}")
    return value


class ColumnsSpecimen(SpecimenRecipe):
    """Columns of crystals and of lattices that no book holds, scaled to a spacing in pixels.

    Spacings are distances between the closest columns. Probabilities are a specimen's; fractions
    are of its columns; displacements and strains are relative to the spacing. With
    `faint_probability` a lattice has a sublattice `faint` times fainter than its brightest one.
    """

    kind: Literal["columns"] = "columns"
    crystals: Annotated[tuple[str, ...], AfterValidator(_known)] = BOOK
    highest_index: int = 2
    crystal_probability: float = 0.35
    disorder_probability: float = 0.05
    empty_probability: float = 0.04
    contrast: float = 8.0
    faint: PositiveRange = (3.0, 20.0)
    faint_probability: Probability = 0.0
    spacing_px: PositiveRange = (5.0, 34.0)
    second_grain_probability: float = 0.2
    edge_probability: float = 0.4
    wedge_width: PositiveRange = (0.5, 20.0)
    undulation: Range = (0.0, 0.5)
    defect_probability: float = 0.3
    vacancies: Range = (0.0, 0.06)
    dopants: Range = (0.0, 0.03)
    displacement: Range = (0.0, 0.05)
    strain: Range = (0.0, 0.04)
    unevenness: Range = (0.0, 0.15)

    def draw(self, rng: Rng, field: Field) -> Specimen:
        """Columns that fill the field; no columns at all now and then."""
        spacing = field.sampling * log_uniform(rng, self.spacing_px)
        thickness = self._thickness(rng, field.size, spacing)
        columns, material = self._columns(rng, spacing, field.lower, field.upper)
        columns = columns.reweighted(thickness(columns.y, columns.x))
        columns = columns.select(columns.weight > 0)
        columns = replace(columns, numbers=())
        return Specimen(
            columns.scatterers(), columns, thickness=thickness, spacing=spacing, material=material
        )

    def _columns(self, rng: Rng, spacing: float, lower: Array, upper: Array) -> tuple[Columns, str]:
        if rng.random() < self.empty_probability:
            return Columns.empty(), "vacuum"
        if rng.random() < self.disorder_probability:
            points = random_points(rng, lower, upper, spacing)
            weight = np.exp(rng.uniform(-np.log(self.contrast), 0.0, len(points)))
            species = np.zeros(len(points), dtype=np.int64)
            columns, name = Columns(points[:, 0], points[:, 1], weight, species), "disorder"
        else:
            columns, name = self._grains(rng, spacing, lower, upper)
        return self._defects(rng, columns, spacing), name

    def _grains(self, rng: Rng, spacing: float, lower: Array, upper: Array) -> tuple[Columns, str]:
        lattice, name = self._lattice(rng, spacing)
        columns = lattice.fill(lower, upper, rng.uniform(lower, upper))
        if rng.random() >= self.second_grain_probability:
            return columns, name
        if rng.random() < 0.6:
            other = lattice.rotated(rng.uniform(-45.0, 45.0))
        else:
            other, _ = self._lattice(rng, spacing * rng.uniform(0.8, 1.3))
        neighbour = other.fill(lower, upper, rng.uniform(lower, upper))
        turn = rng.uniform(0.0, 2 * np.pi)
        normal = np.array([np.sin(turn), np.cos(turn)])
        border = normal @ rng.uniform(0.7 * lower + 0.3 * upper, 0.3 * lower + 0.7 * upper)
        gap = 0.5 * spacing * rng.uniform(0.4, 1.0)
        near, far = columns.points @ normal < border - gap, neighbour.points @ normal > border + gap
        return Columns.join([columns.select(near), neighbour.select(far)]), name

    def _lattice(self, rng: Rng, spacing: float) -> tuple[ColumnLattice, str]:
        if rng.random() < self.crystal_probability:
            lattice, name = self._crystal(rng, spacing)
        else:
            lattice, name = random_lattice(rng, spacing, self.contrast), "lattice"
        weights = lattice.weights / lattice.weights.max()
        lattice = replace(lattice, weights=weights)
        if self.faint_probability and rng.random() < self.faint_probability:
            lattice = with_faint_sublattice(rng, lattice, self.faint)
        return lattice.rotated(rng.uniform(0.0, 360.0)), name

    def _crystal(self, rng: Rng, spacing: float) -> tuple[ColumnLattice, str]:
        """A crystal scaled so that its brightest columns' typical spacing is the one asked for."""
        axes = _zone_axes(self.highest_index)
        name = self.crystals[rng.integers(len(self.crystals))]
        axis = axes[rng.integers(len(axes))] if rng.random() < 0.5 else axes[rng.integers(3)]
        if name in SINGLE_LAYERS:
            axis = (0, 0, 1)
        lattice = _projected(name, axis)
        bright = lattice.weights > 0.2 * lattice.weights.max()
        area = abs(np.linalg.det(lattice.vectors)) / bright.sum()
        closest = ColumnLattice(lattice.vectors, lattice.positions[bright], lattice.weights[bright])
        typical = max(closest.nearest_spacing(), RESOLVED * np.sqrt(area))
        return lattice.scaled(spacing / typical), name

    def _defects(self, rng: Rng, columns: Columns, spacing: float) -> Columns:
        count = len(columns)
        weight = np.exp(rng.normal(0.0, rng.uniform(*self.unevenness), count))
        step = spacing * rng.uniform(*self.displacement) * (rng.random() < 0.5)
        columns = columns.shifted(rng.normal(0.0, step, count), rng.normal(0.0, step, count))
        if rng.random() < 0.4:
            amplitude = rng.uniform(*self.strain)
            waves = random_waves(rng, 6.0 * spacing, 1.0)
            phase = columns.points @ waves[:, :2].T
            bend = np.sin(2 * np.pi * phase + waves[:, 2]) / np.hypot(waves[:, 0], waves[:, 1])
            columns = columns.shifted(
                amplitude * (bend @ rng.normal(0.0, 0.1, 4)),
                amplitude * (bend @ rng.normal(0.0, 0.1, 4)),
            )
        if rng.random() < self.defect_probability:
            weight[rng.random(count) < rng.uniform(*self.vacancies)] = 0.0
            strange = rng.random(count) < rng.uniform(*self.dopants)
            weight[strange] *= log_uniform(rng, (0.25, 4.0))
        return columns.reweighted(weight)

    def _thickness(self, rng: Rng, size: Array, spacing: float) -> Thickness:
        planes, waves = np.zeros((0, 4)), np.zeros((0, 4))
        if rng.random() < self.edge_probability:
            count = int(rng.choice([1, 2, 4, 5, 6], p=[0.5, 0.2, 0.1, 0.1, 0.1]))
            width = spacing * log_uniform(rng, self.wedge_width)
            centre = size * rng.uniform(0.3, 0.7, 2)
            planes = random_planes(rng, centre, float(size.max()), count, width)
        if rng.random() < 0.5:
            waves = random_waves(rng, 5.0 * spacing, rng.uniform(*self.undulation))
        return Thickness(planes, waves)


@lru_cache(maxsize=1024)
def _projected(name: str, zone_axis: tuple[int, int, int]) -> ColumnLattice:
    return project(get_crystal(name), zone_axis)


@lru_cache(maxsize=8)
def _zone_axes(highest: int) -> tuple[tuple[int, int, int], ...]:
    triples = product(range(highest, -highest - 1, -1), repeat=3)
    return tuple((u, v, w) for u, v, w in triples if gcd(abs(u), abs(v), abs(w)) == 1)
