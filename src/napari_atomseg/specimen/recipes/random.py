"""Recipe of random specimens: random crystals, amorphous matter and points (r_em)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import Field as Option
from pydantic import NonNegativeFloat, PositiveInt

from napari_atomseg._shared.types import Array
from napari_atomseg.ranges import PositiveRange, Probability, Range, log_uniform, uniform
from napari_atomseg.specimen.columns import Scatterers
from napari_atomseg.specimen.crystals.projection import rank_species
from napari_atomseg.specimen.crystals.zone import orient
from napari_atomseg.specimen.matter.amorphous import amorphous_cell
from napari_atomseg.specimen.matter.random_crystal import HEAVIEST, random_crystal
from napari_atomseg.specimen.matter.random_matter import (
    ConvexShape,
    Matter,
    Side,
    Slab,
    amorphous_slab,
    crystal_off_axis,
    crystal_on_axis,
    half_space,
    polyhedron,
    rod,
    single_atoms,
    wedge,
    with_defects,
)
from napari_atomseg.specimen.recipes.low_resolution import Counts
from napari_atomseg.specimen.specimen import Field, Specimen, SpecimenRecipe
from napari_atomseg.specimen.structure import Structure

if TYPE_CHECKING:
    from ase import Atoms

Rng = np.random.Generator
Kind = Literal["crystal", "amorphous", "points"]
MAIN_AXES = ((0, 0, 1), (0, 1, 1), (1, 1, 1), (0, 1, 2), (1, 1, 2), (1, 2, 2), (0, 1, 3), (1, 1, 3))
"""The first eight zone axes by length in a cubic crystal; other orders of their indices are drawn
too."""
SHARP_COLUMN = 0.1
"""Å of lean up to which a column is one point that scatters."""


class RandomSpecimen(SpecimenRecipe):
    """Random specimens as r_em draws them (Specimen generation), with its ranges.

    The paper fills a cube as deep as the field is wide. Here specimen and support share a budget
    of atoms and are thinner where it runs out, so that wide fields are drawn in a fraction of a
    second.

    Attributes
    ----------
    kinds : what may be drawn, each alike probable.
    atoms : most atoms of specimen and support together.
    elements, cell_length, cell_angle, distance : ranges for random crystals; Å and degrees.
    on_axis : chance that a crystal is seen along one of its main zone axes.
    mistilt : standard deviation of the tilt off the axis, degrees.
    density, amorphous_distance : ranges for amorphous matter; g/cm³ and Å.
    points, point_distance : number of single atoms, and the least pixels between two.
    wedge, wedge_angle : chance of a wedge, and its degrees.
    shape, shape_radius, keep : chance of a shape cut out, its radius as a share of the box's
        longest side, and the chance that what lies inside is kept and the rest taken away.
    defects, defect_share, displaced : chance of defects, most atoms concerned as a share, and the
        chance that these are moved instead of taken out.
    support, support_thickness, crystalline_support : chance of a support, Å, chance that it is
        crystalline.
    """

    kind: Literal["random"] = "random"
    kinds: Annotated[tuple[Kind, ...], Option(min_length=1)] = ("crystal", "amorphous", "points")
    atoms: PositiveInt = 60_000
    elements: Counts = (1, 16)
    cell_length: PositiveRange = (3.1, 25.0)
    cell_angle: PositiveRange = (45.0, 120.0)
    distance: PositiveRange = (0.95, 7.0)
    on_axis: Probability = 0.75
    mistilt: NonNegativeFloat = 5.0
    density: PositiveRange = (2.0, 7.0)
    amorphous_distance: PositiveRange = (0.95, 1.6)
    points: PositiveRange = (10, 2000)
    point_distance: Range = (1.0, 20.0)
    wedge: Probability = 0.75
    wedge_angle: PositiveRange = (5.0, 45.0)
    shape: Probability = 0.5
    shape_radius: PositiveRange = (0.01, 0.5)
    keep: Probability = 0.5
    defects: Probability = 0.8
    defect_share: Range = (0.0, 0.25)
    displaced: Probability = 0.5
    support: Probability = 0.95
    support_thickness: PositiveRange = (10.0, 300.0)
    crystalline_support: Probability = 0.5

    def draw(self, rng: Rng, field: Field) -> Specimen:
        """Draw a specimen that fills the field with its margin; `structure` is always given."""
        supported = rng.random() < self.support
        share = self.atoms // 2 if supported else self.atoms
        slab = Slab(field.lower, field.upper, float(field.size.max()), share)
        kind = self.kinds[rng.integers(len(self.kinds))]
        material: str = kind
        axis: tuple[int, ...] = ()
        if kind == "crystal":
            matter, material, axis = self._crystal(rng, slab)
        elif kind == "amorphous":
            matter = self._amorphous(rng, slab)
        else:
            distance = field.sampling * uniform(rng, self.point_distance)
            count = round(log_uniform(rng, self.points))
            elements = int(rng.integers(self.elements[0], self.elements[1] + 1))
            matter = single_atoms(slab, count, distance, elements, rng)
        parts = [self._defective(rng, self._shaped(rng, matter, slab))]
        if supported:
            parts.append(self._support(rng, slab, matter.thickness))
        return _specimen(parts, matter, material, axis)

    def enlarged(self, growth: float) -> RandomSpecimen:
        """The recipe for fields of `growth` times the area, as dense in atoms and shapes."""
        return self.model_copy(
            update={
                "atoms": round(self.atoms * growth),
                "points": (self.points[0] * growth, self.points[1] * growth),
                "shape_radius": (
                    self.shape_radius[0] / growth**0.5,
                    self.shape_radius[1] / growth**0.5,
                ),
            }
        )

    def _crystal(self, rng: Rng, slab: Slab) -> tuple[Matter, str, tuple[int, ...]]:
        crystal = random_crystal(
            rng,
            elements=self.elements,
            lengths=self.cell_length,
            angles=self.cell_angle,
            distance=self.distance,
        )
        material = f"space group {crystal.info['spacegroup']}"
        if rng.random() >= self.on_axis:
            return _turned(crystal, slab, rng), material, ()
        axis = _random_axis(rng)
        cell = orient(_compact(crystal), axis).rotated(rng.uniform(0.0, 360.0))
        matter = crystal_on_axis(cell, slab, rng.normal(0.0, self.mistilt), rng.uniform(0.0, 360.0))
        return matter, material, axis

    def _amorphous(self, rng: Rng, slab: Slab) -> Matter:
        number = int(rng.integers(1, HEAVIEST + 1))
        density, distance = uniform(rng, self.density), uniform(rng, self.amorphous_distance)
        return amorphous_slab(amorphous_cell(rng, number, density, distance), slab, rng)

    def _shaped(self, rng: Rng, matter: Matter, slab: Slab) -> Structure:
        structure = matter.structure
        if rng.random() < self.wedge:
            structure = structure.select(
                self._random_wedge(rng, matter, slab).holds(_points(structure))
            )
        if rng.random() < self.shape and len(structure):
            # A shape that lies on an atom always holds something.
            centre = _points(structure)[rng.integers(len(structure))]
            longest = max(float((slab.upper - slab.lower).max()), matter.thickness)
            radius = longest * uniform(rng, self.shape_radius)
            inside = _random_shape(rng, radius).at(centre).holds(_points(structure))
            structure = structure.select(inside == (rng.random() < self.keep))
        return structure

    def _random_wedge(self, rng: Rng, matter: Matter, slab: Slab) -> ConvexShape:
        """A wedge whose edge leaves at least half of the field to the specimen."""
        turn, angle = rng.uniform(0.0, 360.0), uniform(rng, self.wedge_angle)
        into = np.array([np.sin(np.deg2rad(turn)), np.cos(np.deg2rad(turn))])
        ramp = matter.thickness / np.tan(np.deg2rad(angle))
        reach = 0.5 * float((slab.upper - slab.lower).min())
        middle = 0.5 * (slab.lower + slab.upper)
        edge = middle + into * rng.uniform(-reach - 0.5 * ramp, 0.0)
        sides: tuple[Side, ...] = ("top", "bottom", "both")
        return wedge(edge, turn, angle, matter.thickness, sides[rng.integers(3)])

    def _defective(self, rng: Rng, structure: Structure) -> Structure:
        if rng.random() >= self.defects:
            return structure
        share = uniform(rng, self.defect_share)
        return with_defects(structure, share, bool(rng.random() < self.displaced), rng)

    def _support(self, rng: Rng, slab: Slab, height: float) -> Structure:
        """A layer of other matter beyond the specimen, whose atoms are of no column."""
        slab = replace(slab, thickness=uniform(rng, self.support_thickness))
        if rng.random() < self.crystalline_support:
            structure = self._crystal(rng, slab)[0].structure
        else:
            structure = self._amorphous(rng, slab).structure
        return replace(
            structure, z=structure.z + height, column=np.full(len(structure), -1, dtype=np.int64)
        )


def _random_axis(rng: Rng) -> tuple[int, int, int]:
    u, v, w = rng.permutation(MAIN_AXES[rng.integers(len(MAIN_AXES))])
    return int(u), int(v), int(w)


def _compact(crystal: Atoms) -> Atoms:
    """The crystal in its shortest cell, along whose axes columns are densest."""
    from ase.geometry import minkowski_reduce

    reduced, _ = minkowski_reduce(crystal.cell.array)
    crystal = crystal.copy()
    crystal.set_cell(reduced, scale_atoms=False)
    return crystal


def _turned(crystal: Atoms, slab: Slab, rng: Rng) -> Matter:
    numbers = np.asarray(crystal.get_atomic_numbers(), dtype=np.int64)
    return crystal_off_axis(crystal.cell.array, crystal.get_positions(), numbers, slab, rng)


def _random_shape(rng: Rng, radius: float) -> ConvexShape:
    """A rod of 3 to 15 corners, a polyhedron of 4 to 20, or a plane, alike probable."""
    kind = rng.integers(3)
    if kind == 0:
        return rod(rng, radius, int(rng.integers(3, 16)))
    if kind == 1:
        return polyhedron(rng, radius, int(rng.integers(4, 21)))
    return half_space(rng)


def _points(structure: Structure) -> Array:
    return np.stack([structure.y, structure.x, structure.z], axis=1)


def _specimen(
    parts: list[Structure], matter: Matter, material: str, axis: tuple[int, ...]
) -> Specimen:
    """The parts as a specimen: columns that stand upright scatter as one point an element."""
    structure = Structure.join(parts)
    columns = structure.columns()
    species, names = rank_species(columns.counts, columns.numbers)
    columns = replace(columns, species=species)
    scatterers = structure.scatterers()
    if len(columns) and matter.lean <= SHARP_COLUMN:
        loose = structure.select(structure.column < 0).scatterers()
        scatterers = Scatterers.join([columns.scatterers(), loose])
    return Specimen(
        scatterers=scatterers,
        columns=columns,
        species=names,
        spacing=matter.spacing,
        material=material,
        zone_axis=axis,
        structure=structure,
    )
