"""Recipes of graphene with defects and of PbTiO3/SrTiO3 multilayers (AP-GAN 2023)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

import numpy as np
from pydantic import Field as Option
from pydantic import PositiveFloat

from napari_atomseg._shared.types import Array, Mask
from napari_atomseg.ranges import PositiveRange, Probability, Range, uniform
from napari_atomseg.specimen.crystals.builtin import STRONTIUM_TITANATE_CELL
from napari_atomseg.specimen.crystals.crystal import builtin_crystal
from napari_atomseg.specimen.defects import with_displaced_columns
from napari_atomseg.specimen.matter.graphene import (
    BOND,
    divacancy,
    find_bonds,
    line_defect,
    relax,
    rough_edge,
    stone_wales,
)
from napari_atomseg.specimen.matter.multilayers import Domains, Multilayer, build_multilayer
from napari_atomseg.specimen.outline import Thickness
from napari_atomseg.specimen.single_crystal import atom_specimen
from napari_atomseg.specimen.specimen import Field, Specimen, SpecimenRecipe
from napari_atomseg.specimen.structure import Structure

Rng = np.random.Generator

MEAN_OF_RAYLEIGH = float(np.sqrt(np.pi / 2.0))
"""Mean length of a plane vector whose components deviate by 1."""
RELAXED = 9.0
"""Å around a defect within which atoms give way to it."""

CORE = 3.5
"""Å around a defect's bond within which all atoms must be threefold."""


class GrapheneSpecimen(SpecimenRecipe):
    """A sheet of graphene with defects, atom by atom.

    Attributes
    ----------
    rotation : degrees, counter-clockwise as the image is shown.
    shift : mean length in the image of the atoms' random displacements, Å (AP-GAN 2023: 10 pm);
        they are as large along the beam.
    vacancies : share of atoms missing.
    divacancies, stone_wales : how many in 1000 atoms, reconstructed.
    line_defect, edge : probabilities of a line of pentagons and octagons, and of an irregular edge.
    roughness : deviation of the edge from a straight line, Å.
    """

    kind: Literal["graphene"] = "graphene"
    rotation: Range = (0.0, 360.0)
    shift: Range = (0.1, 0.1)
    vacancies: Range = (0.0, 0.005)
    divacancies: Range = (0.0, 4.0)
    stone_wales: Range = (0.0, 4.0)
    line_defect: Probability = 0.4
    edge: Probability = 0.4
    roughness: Range = (1.0, 5.0)

    def draw(self, rng: Rng, field: Field) -> Specimen:
        """A sheet that fills the field with its margin, or ends in an irregular edge."""
        points, moving = self._sheet(rng, field)
        for defect, share in ((stone_wales, self.stone_wales), (divacancy, self.divacancies)):
            count = round(uniform(rng, share) * 1e-3 * len(points))
            points, moving = _reconstructed(defect, count, rng, points, moving)
        if moving.any():
            points = relax(points, moving)
        if rng.random() < self.edge:
            turn = rng.uniform(0.0, 2 * np.pi)
            point = field.size * rng.uniform(0.3, 0.7, 2)
            normal = np.array([np.sin(turn), np.cos(turn)])
            points = rough_edge(points, rng, point, normal, uniform(rng, self.roughness))
        points = points[rng.random(len(points)) >= uniform(rng, self.vacancies)]
        return self._specimen(rng, field, points)

    def _sheet(self, rng: Rng, field: Field) -> tuple[Array, Mask]:
        """Atoms without point defects, and which of them are strained already."""
        rotation, origin = uniform(rng, self.rotation), rng.uniform(0.2, 0.8, 2) * field.size
        if rng.random() >= self.line_defect:
            graphene = builtin_crystal("graphene", (0, 0, 1)).rotated(rotation)
            points = graphene.columns(field.lower, field.upper, origin).points
            return points, np.zeros(len(points), dtype=bool)
        points = line_defect(field.lower, field.upper, origin, rotation)
        turn = np.deg2rad(rotation)
        away = np.abs((points - origin) @ np.array([np.cos(turn), np.sin(turn)]))
        return points, away < 0.5 * RELAXED

    def _specimen(self, rng: Rng, field: Field, points: Array) -> Specimen:
        deviation = uniform(rng, self.shift) / MEAN_OF_RAYLEIGH
        count = len(points)
        structure = Structure(
            points[:, 0],
            points[:, 1],
            rng.normal(0.0, deviation, count),
            np.full(count, 6, dtype=np.int64),
            np.arange(count),
        )
        structure = with_displaced_columns(structure, deviation, rng)
        axis = (0, 0, 1)
        return atom_specimen(structure, field, rng, Thickness(), 0.0, "graphene", axis, BOND)


def _reconstructed(
    defect: Callable[[Array, int, int], Array],
    count: int,
    rng: Rng,
    points: Array,
    moving: Mask,
) -> tuple[Array, Mask]:
    """The atoms with up to `count` defects at random bonds, and which of them are to relax.

    A defect that would meet another one or the field's end is left out.
    """
    for _ in range(count):
        bonds = find_bonds(points)
        first, second = bonds[rng.integers(len(bonds))]
        whole = np.bincount(bonds.reshape(-1), minlength=len(points)) == 3
        distance = np.linalg.norm(points - 0.5 * (points[first] + points[second]), axis=1)
        near = distance < RELAXED
        if not moving[near].any() and whole[distance < CORE].all():
            moving = moving | near
            if defect is divacancy:
                moving = np.delete(moving, (first, second))
            points = defect(points, first, second)
    return points, moving


class MultilayerSpecimen(SpecimenRecipe):
    """PbTiO3/SrTiO3 multilayers along [010] with polar domains (AP-GAN 2023).

    Attributes
    ----------
    lead_cells, strontium_cells : fewest and most unit cells in each layer of PbTiO3 and SrTiO3.
    domains : how often each pattern of the polar displacement is drawn.
    amplitude : amplitude of the displacement, relative to bulk PbTiO3; up and down alike.
    period, wall, decay, mixing : Å, as in `Multilayer`.
    rotation : rotation of the growth direction in the image, degrees, counter-clockwise.
    thickness : Å.
    displacement : deviation of each column's shift along y and along x, Å.
    """

    kind: Literal["multilayer"] = "multilayer"
    lead_cells: tuple[Annotated[int, Option(ge=1)], Annotated[int, Option(ge=1)]] = (4, 14)
    strontium_cells: tuple[Annotated[int, Option(ge=1)], Annotated[int, Option(ge=1)]] = (4, 14)
    domains: dict[Domains, PositiveFloat] = Option(
        default={"uniform": 0.3, "stripes": 0.4, "vortices": 0.3}, min_length=1
    )
    amplitude: Range = (0.4, 1.2)
    period: PositiveRange = (40.0, 160.0)
    wall: PositiveRange = (2.0, 8.0)
    decay: PositiveRange = (2.0, 10.0)
    mixing: Range = (0.0, 3.0)
    rotation: Range = (0.0, 360.0)
    thickness: PositiveRange = (200.0, 600.0)
    displacement: Range = (0.0, 0.05)

    def draw(self, rng: Rng, field: Field) -> Specimen:
        """Layers that fill the field with its margin."""
        kinds, shares = list(self.domains), np.cumsum(list(self.domains.values()))
        layers = Multilayer(
            cells=(
                int(rng.integers(self.lead_cells[0], self.lead_cells[1] + 1)),
                int(rng.integers(self.strontium_cells[0], self.strontium_cells[1] + 1)),
            ),
            domains=kinds[np.searchsorted(shares, rng.random() * shares[-1], "right")],
            amplitude=float(rng.choice([-1, 1])) * uniform(rng, self.amplitude),
            period=uniform(rng, self.period),
            wall=uniform(rng, self.wall),
            decay=uniform(rng, self.decay),
            mixing=uniform(rng, self.mixing),
        )
        scatterers, columns, species = build_multilayer(
            layers,
            field.lower,
            field.upper,
            rng,
            origin=rng.uniform(0.0, field.size),
            rotation=uniform(rng, self.rotation),
            thickness=uniform(rng, self.thickness),
            displacement=uniform(rng, self.displacement),
        )
        return Specimen(
            scatterers,
            columns,
            species,
            spacing=STRONTIUM_TITANATE_CELL / np.sqrt(2.0),
            material="PbTiO3/SrTiO3",
            zone_axis=(0, 1, 0),
        )
