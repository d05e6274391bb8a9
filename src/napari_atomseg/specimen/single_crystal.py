"""A single crystal under the beam: from its name to columns, or to atoms."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_atomseg._shared.geometry import nearest_distances
from napari_atomseg._shared.types import Array
from napari_atomseg.specimen.build import Box, fill_cell, place_object
from napari_atomseg.specimen.columns import Columns, Scatterers
from napari_atomseg.specimen.crystals.axis import View
from napari_atomseg.specimen.crystals.builtin import COLUMNLESS, crystals, get_crystal
from napari_atomseg.specimen.crystals.crystal import (
    Axis,
    Crystal,
    builtin_crystal,
    material_name,
    stacked,
    towards_beam,
)
from napari_atomseg.specimen.crystals.mixed import Mixture, written
from napari_atomseg.specimen.crystals.projection import rank_species
from napari_atomseg.specimen.defects import (
    Matter,
    with_displaced_columns,
    with_thermal_displacements,
    with_vacancies,
)
from napari_atomseg.specimen.outline import Particle, Shape, Thickness, carve, draw_shape
from napari_atomseg.specimen.specimen import Field, Specimen
from napari_atomseg.specimen.standing import standing_atoms
from napari_atomseg.specimen.structure import Structure

if TYPE_CHECKING:
    from ase import Atoms

CONTACT = 2.0
"""Å between a crystal's last atoms and its support's first."""


@dataclass(frozen=True)
class SingleCrystal:
    """A crystal that fills a field, or what a shape leaves of it; every number is fixed.

    Attributes
    ----------
    crystal : as for `get_crystal`.
    zone_axis : [uvw] along the beam, or [uvtw] of a hexagonal crystal; of an object that does not
        repeat, a Cartesian direction.
    rotation : rotation of the crystal about the beam, degrees, counter-clockwise as shown.
    offset : distance (y, x) of the cell's origin from the image's centre, Å.
    thickness : Å. Single layers, objects and particles are as thick as they are.
    tilt : angles by which columns lean towards y and x on their way down the beam, mrad.
    shape_kind : "bulk", "wedge", "edge", "particle" or "rounded", as `draw_shape` has them;
        objects keep their own.
    vacancies : fraction of the atoms that are missing.
    displacement : standard deviation of each column's displacement along y and along x, Å.
    temperature : K, for the atoms' thermal displacements at one moment; 0 leaves them at rest.
    support : Å of amorphous carbon below the crystal.
    atoms_needed : give the structure atom by atom; tilts, temperatures and objects always do.
    view : whether the zone axis points "towards" the viewer, or "along" the beam, away from it.

    Raises
    ------
    ValueError
        A number is out of range.
    """

    crystal: str | Path | Atoms
    zone_axis: Axis
    rotation: float = 0.0
    offset: tuple[float, float] = (0.0, 0.0)
    thickness: float = 100.0
    tilt: tuple[float, float] = (0.0, 0.0)
    shape_kind: Shape = "bulk"
    vacancies: float = 0.0
    displacement: float = 0.0
    temperature: float = 0.0
    support: float = 0.0
    atoms_needed: bool = False
    view: View = "towards"

    def __post_init__(self) -> None:
        if not self.thickness > 0:
            raise ValueError(f"thickness={self.thickness!r} must be positive, in Å")
        if not 0 <= self.vacancies < 1:
            raise ValueError(
                f"vacancies={self.vacancies!r} must be a fraction of atoms from 0 to below 1"
            )
        for name in ("displacement", "temperature", "support"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name}={getattr(self, name)!r} must not be negative")

    def draw(self, rng: np.random.Generator, field: Field) -> Specimen:
        """Draw the crystal with its shape, point defects and support.

        Returns
        -------
        Specimen whose columns count whole atoms, and whose scatterers are the atoms, or one point
        for each column and element.

        Raises
        ------
        ValueError, OSError
            As `get_crystal`.
        """
        material = material_name(self.crystal)
        if isinstance(self.crystal, str) and self.crystal in COLUMNLESS:
            film = _film(rng, field, self.thickness)
            return Specimen(film.scatterers(), Columns.empty(), material=material, structure=film)
        origin = 0.5 * field.size + np.asarray(self.offset)
        in_book = isinstance(self.crystal, str) and self.crystal in crystals()
        atoms = None if in_book else get_crystal(self.crystal)
        outline, spacing, notes = Thickness(), None, tuple[str, ...]()
        if atoms is not None and not atoms.pbc.any():
            box = Box(field.lower, field.upper, self.thickness)
            structure = place_object(
                atoms, self.zone_axis, box, origin, self.rotation, self.tilt, self.view
            )
        else:
            crystal = (
                builtin_crystal(material, self.zone_axis, self.view)
                if atoms is None
                else towards_beam(atoms, self.zone_axis, self.view)
            ).rotated(self.rotation)
            spacing = crystal.spacing
            outline = draw_shape(self.shape_kind, rng, field.size, crystal.cell)
            mixed = bool(crystal.cell.mixtures)
            if not (self.atoms_needed or any(self.tilt) or self.temperature > 0 or mixed):
                columns = crystal.columns(field.lower, field.upper, origin)
                columns = self._point_defects(
                    rng, stacked(columns, crystal, outline, self.thickness)
                )
                return column_specimen(
                    columns, crystal, field, rng, outline, self.support, material, self.zone_axis
                )
            structure = self._filled(crystal, field, origin, outline, rng)
            notes = _notes(crystal.cell.mixtures)
        structure = self._point_defects(rng, structure)
        if self.temperature > 0:
            structure = with_thermal_displacements(structure, self.temperature, rng)
        return atom_specimen(
            *(structure, field, rng, outline, self.support, material, self.zone_axis),
            spacing=spacing,
            notes=notes,
        )

    def _filled(
        self,
        crystal: Crystal,
        field: Field,
        origin: Array,
        outline: Thickness,
        rng: np.random.Generator,
    ) -> Structure:
        box = Box(field.lower, field.upper, _depth(outline, self.thickness))
        structure = fill_cell(crystal.cell, box, origin, self.tilt, rng)
        if crystal.cell.layer:
            return structure.select(outline(structure.y, structure.x) > 0)
        return carve(structure, outline, box.thickness)

    def _point_defects(self, rng: np.random.Generator, matter: Matter) -> Matter:
        if self.vacancies > 0:
            matter = with_vacancies(matter, self.vacancies, rng)
        if self.displacement > 0:
            matter = with_displaced_columns(matter, self.displacement, rng)
        return matter


def column_specimen(
    columns: Columns,
    crystal: Crystal,
    field: Field,
    rng: np.random.Generator,
    outline: Thickness,
    support: float,
    material: str,
    zone_axis: Axis,
    origin: Array | None = None,
) -> Specimen:
    """The specimen of a crystal's columns and `support` Å of amorphous carbon.

    Parameters
    ----------
    origin : (y, x) of the crystal's origin in Å, by which it can be asked for its atoms.
    """
    scatterers = columns.scatterers()
    film = None
    if support > 0:
        film = _film(rng, field, support)
        scatterers = Scatterers.join([scatterers, film.scatterers()])

    def atoms() -> Structure:
        found = standing_atoms(columns, crystal, field, np.asarray(origin), outline)
        return found if film is None else _on_film(found, film)

    return Specimen(
        scatterers,
        columns,
        crystal.species,
        outline,
        spacing=crystal.spacing,
        material=material,
        zone_axis=zone_axis,
        atoms=None if origin is None else atoms,
    )


def _on_film(structure: Structure, film: Structure) -> Structure:
    """Atoms and the film below them."""
    below = replace(film, z=film.z + structure.z.max(initial=0.0) + CONTACT)
    return Structure.join([structure, below])


def atom_specimen(
    structure: Structure,
    field: Field,
    rng: np.random.Generator,
    outline: Thickness,
    support: float,
    material: str,
    zone_axis: Axis,
    spacing: float | None = None,
    notes: tuple[str, ...] = (),
) -> Specimen:
    """The specimen of single atoms and `support` Å of amorphous carbon below them.

    Parameters
    ----------
    spacing : Å between closest columns; None to measure it.
    notes : what should be known of it, a sentence each.
    """
    columns = structure.columns()
    species = rank_species(columns.counts, columns.numbers)[1] if len(columns) else ()
    if spacing is None:
        several = len(columns) > 1
        spacing = float(np.median(nearest_distances(columns.points))) if several else 2.0
    if support > 0:
        structure = _on_film(structure, _film(rng, field, support))
    return Specimen(
        structure.scatterers(),
        columns,
        species,
        outline,
        spacing=spacing,
        material=material,
        zone_axis=zone_axis,
        structure=structure,
        notes=notes,
    )


def _notes(mixtures: tuple[Mixture, ...]) -> tuple[str, ...]:
    if not mixtures:
        return ()
    return (f"mixed sites are drawn by their occupancies from the seed: {written(mixtures)}",)


def _film(rng: np.random.Generator, field: Field, thickness: float) -> Structure:
    from napari_atomseg.specimen.matter.amorphous import amorphous_support

    return amorphous_support(rng, field, thickness)


def _depth(outline: Thickness, thickness: float) -> float:
    """Å that atoms are needed for, above and below the middle alike."""
    if not isinstance(outline, Particle):
        return thickness
    low, high = outline.reach
    return 2.0 * max(-low, high)
