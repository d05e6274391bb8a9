"""Recipes of crystals: which material, which orientation, which shape and which defects."""

from __future__ import annotations

from typing import Annotated, Literal, Self

import numpy as np
from pydantic import AfterValidator, BeforeValidator, PositiveFloat, model_validator
from pydantic import Field as Option

from napari_atomseg._shared.types import Array
from napari_atomseg.ranges import Part, PositiveRange, Probability, Range, uniform
from napari_atomseg.specimen.columns import Columns
from napari_atomseg.specimen.crystals.axis import read_axis, three_indices
from napari_atomseg.specimen.crystals.builtin import COLUMNLESS, crystals, get_crystal
from napari_atomseg.specimen.crystals.crystal import (
    Crystal,
    builtin_crystal,
    material_name,
    stacked,
)
from napari_atomseg.specimen.defects import (
    EdgeDislocation,
    StackingFault,
    Strain,
    grain_boundary,
    moved,
    random_strain,
    with_displaced_columns,
    with_substitutes,
    with_vacancies,
    within,
    without_columns,
)
from napari_atomseg.specimen.outline import Shape, draw_shape
from napari_atomseg.specimen.single_crystal import SingleCrystal, column_specimen
from napari_atomseg.specimen.specimen import Field, Specimen, SpecimenRecipe

Rng = np.random.Generator


def _usable(crystal: str) -> str:
    if crystal in crystals():
        return crystal
    try:
        repeats = get_crystal(crystal).pbc.any()
    except OSError as error:
        raise ValueError(str(error)) from error
    if not repeats:
        raise ValueError(f"{crystal} holds an object that does not repeat, and no crystal")
    return crystal


class Material(Part):
    """A crystal in one orientation, and how often it is drawn.

    `crystal` is the name of a built-in crystal, or the path of a file that ASE reads, as CIF.
    """

    crystal: Annotated[str, AfterValidator(_usable)]
    zone_axis: Annotated[tuple[int, ...], BeforeValidator(read_axis)] = (0, 0, 1)
    weight: PositiveFloat = 1.0

    @model_validator(mode="after")
    def _axis_of_the_cell(self) -> Self:
        if len(self.zone_axis) == 4:
            three_indices(self.zone_axis, get_crystal(self.crystal).cell.array)
        return self


def _material(crystal: str, *zone_axes: tuple[int, ...]) -> tuple[Material, ...]:
    return tuple(Material(crystal=crystal, zone_axis=axis) for axis in zone_axes)


TEM_IMAGENET = (
    *_material("Pt", (0, 0, 1), (1, 1, 0)),
    *_material("NiO", (0, 0, 1), (1, 1, 0)),
    *_material("SrTiO3", (0, 0, 1), (1, 1, 0)),
    *_material("DyScO3", (1, 1, 0)),
    *_material("Si", (1, 1, 0)),
    *_material("graphene", (0, 0, 1)),
    *_material("amorphous graphene", (0, 0, 1)),
    *_material("MoS2", (0, 0, 1)),
    *_material("TiO2", (0, 0, 1), (1, 0, 0), (1, 1, 0)),
    *_material("LiCoO2", (0, 1, 0)),
)
"""The materials and orientations of the TEM ImageNet library (Lin et al. 2021)."""


class CrystalSpecimen(SpecimenRecipe):
    """Crystals along their zone axes.

    Attributes
    ----------
    materials : what is drawn.
    rotation : angle of the crystal about the beam, degrees, counter-clockwise as shown; in steps of
        `rotation_step` unless that is 0.
    thickness : Å; of particles, what their facets make of it, and of single layers, one layer.
    shapes : how often each outline is drawn.
    vacancies, missing_columns : shares of atoms and of whole columns that are missing.
    displacement : deviation of each column's shift along y and along x, Å.
    substitutions : share of atoms replaced by one foreign element, from `substitutes`.
    strain : deviation of each component of the displacement gradient, uniform and in waves.
    dislocation, stacking_fault, grain_boundary : probabilities.
    misorientation : misorientation of the second grain about the beam, degrees.
    support : Å of amorphous carbon below the crystal, with `support_probability`.
    """

    kind: Literal["crystal"] = "crystal"
    materials: Annotated[tuple[Material, ...], Option(min_length=1)] = TEM_IMAGENET
    rotation: Range = (0.0, 90.0)
    rotation_step: Annotated[float, Option(ge=0.0)] = 15.0
    thickness: PositiveRange = (20.0, 200.0)
    shapes: dict[Shape, PositiveFloat] = Option(
        default={"bulk": 0.7, "wedge": 0.1, "edge": 0.1, "particle": 0.1}, min_length=1
    )
    vacancies: Range = (0.0, 0.0)
    missing_columns: Range = (0.0, 0.0)
    displacement: Range = (0.0, 0.0)
    substitutions: Range = (0.0, 0.0)
    substitutes: Annotated[tuple[int, ...], Option(min_length=1)] = tuple(range(3, 84))
    strain: Range = (0.0, 0.0)
    dislocation: Probability = 0.0
    stacking_fault: Probability = 0.0
    grain_boundary: Probability = 0.0
    misorientation: Range = (2.0, 45.0)
    support: Range = (10.0, 300.0)
    support_probability: Probability = 0.0

    def draw(self, rng: Rng, field: Field) -> Specimen:
        """A crystal that fills the field with its margin, or what its shape leaves of it."""
        weights = np.cumsum([material.weight for material in self.materials])
        material = self.materials[np.searchsorted(weights, rng.random() * weights[-1], "right")]
        rotation = uniform(rng, self.rotation)
        if self.rotation_step > 0:
            low, high = self.rotation
            steps = int((high - low) / self.rotation_step + 1e-9)
            rotation = low + self.rotation_step * int(rng.integers(steps + 1))
        thickness = uniform(rng, self.thickness)
        support = uniform(rng, self.support)
        support = support if rng.random() < self.support_probability else 0.0
        if material.crystal in COLUMNLESS:
            film = SingleCrystal(material.crystal, material.zone_axis, thickness=thickness)
            return film.draw(rng, field)
        crystal = builtin_crystal(material.crystal, material.zone_axis).rotated(rotation)
        kinds, shares = list(self.shapes), np.cumsum(list(self.shapes.values()))
        kind = kinds[np.searchsorted(shares, rng.random() * shares[-1], "right")]
        outline = draw_shape(kind, rng, field.size, crystal.cell)
        lattice, origin = self._lattice(rng, crystal, field)
        columns = stacked(lattice, crystal, outline, thickness)
        return column_specimen(
            self._point_defects(rng, columns),
            crystal,
            field,
            rng,
            outline,
            support,
            material_name(material.crystal),
            material.zone_axis,
            origin,
        )

    def _lattice(self, rng: Rng, crystal: Crystal, field: Field) -> tuple[Columns, Array]:
        """Columns of one period with their extended defects, and the crystal's origin."""
        origin = rng.uniform(0.0, field.size)
        boundary = rng.random() < self.grain_boundary
        shifts = self._displacements(rng, crystal, field)
        pad = REACH if shifts else 0.0
        lower, upper = field.lower - pad, field.upper + pad
        columns = crystal.columns(lower, upper, origin)
        if boundary:
            turned = crystal.rotated(float(rng.choice([-1, 1])) * uniform(rng, self.misorientation))
            second = turned.columns(lower, upper, rng.uniform(0.0, field.size))
            distance = 0.7 * crystal.spacing
            point, normal = _inside(rng, field), _direction(rng)
            columns = grain_boundary(columns, second, point, normal, distance)
        for shift in shifts:
            columns = moved(columns, shift(columns.y, columns.x))
        return within(columns, field.lower, field.upper) if shifts else columns, origin

    def _displacements(
        self, rng: Rng, crystal: Crystal, field: Field
    ) -> list[EdgeDislocation | StackingFault | Strain]:
        shifts: list[EdgeDislocation | StackingFault | Strain] = []
        if self.strain[1] > 0:
            wavelength = 6.0 * crystal.spacing
            strain = uniform(rng, self.strain)
            shifts.append(random_strain(rng, field.size, strain, wavelength))
        if rng.random() < self.dislocation:
            core, burgers = _inside(rng, field), crystal.translations[0]
            sign = float(rng.choice([-1, 1]))
            shifts.append(
                EdgeDislocation(tuple(core), (sign * float(burgers[0]), sign * float(burgers[1])))
            )
        if rng.random() < self.stacking_fault:
            along = crystal.translations[int(rng.integers(6))]
            length = np.linalg.norm(along)
            share = rng.choice([-1 / 3, 1 / 3, 1 / 2])
            shifts.append(
                StackingFault(
                    tuple(_inside(rng, field)),
                    (float(along[1] / length), float(-along[0] / length)),
                    (float(share * along[0]), float(share * along[1])),
                )
            )
        return shifts

    def _point_defects(self, rng: Rng, columns: Columns) -> Columns:
        if self.substitutions[1] > 0:
            number = int(rng.choice(self.substitutes))
            columns = with_substitutes(columns, uniform(rng, self.substitutions), number, rng)
        if self.vacancies[1] > 0:
            columns = with_vacancies(columns, uniform(rng, self.vacancies), rng)
        if self.missing_columns[1] > 0:
            columns = without_columns(columns, uniform(rng, self.missing_columns), rng)
        if self.displacement[1] > 0:
            columns = with_displaced_columns(columns, uniform(rng, self.displacement), rng)
        return columns


REACH = 6.0
"""Å beyond the field that are filled before a displacement field may bring them in."""


def _inside(rng: Rng, field: Field) -> Array:
    return np.asarray(field.size * rng.uniform(0.2, 0.8, 2))


def _direction(rng: Rng) -> Array:
    turn = rng.uniform(0.0, 2 * np.pi)
    return np.array([np.sin(turn), np.cos(turn)])
