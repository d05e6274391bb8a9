"""A crystal under the beam: from its name to a specimen, column by column or atom by atom."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_atomseg.specimen.build import Box, fill_cell, place_object
from napari_atomseg.specimen.columns import Array, Columns, Scatterers
from napari_atomseg.specimen.crystals import COLUMNLESS, crystals, get_crystal
from napari_atomseg.specimen.defects import counted, with_displaced_columns, with_vacancies
from napari_atomseg.specimen.lattice import (
    ColumnLattice,
    project_cell,
    rank_species,
)
from napari_atomseg.specimen.neighbours import nearest_distances
from napari_atomseg.specimen.particles import Particle, Shape, carve, draw_shape
from napari_atomseg.specimen.specimen import Field, Specimen
from napari_atomseg.specimen.structure import Structure
from napari_atomseg.specimen.thermal import with_thermal_displacements
from napari_atomseg.specimen.thickness import Thickness
from napari_atomseg.specimen.zone import OrientedCell, in_plane_turn, orient

if TYPE_CHECKING:
    from ase import Atoms

Axis = tuple[int, int, int]


@dataclass(frozen=True)
class Crystal:
    """A crystal seen along a zone axis, as atoms and as columns.

    Attributes
    ----------
    cell, lattice : turned about the beam.
    upright : the lattice as it was before, which knows what a turn does not change.
    rotation : degrees.
    """

    cell: OrientedCell
    lattice: ColumnLattice
    upright: ColumnLattice
    rotation: float = 0.0

    def rotated(self, degrees: float) -> Crystal:
        """The crystal turned about the beam."""
        return replace(
            self,
            cell=self.cell.rotated(degrees),
            lattice=self.lattice.rotated(degrees),
            rotation=self.rotation + degrees,
        )

    def columns(self, lower: Array, upper: Array, origin: Array) -> Columns:
        """Columns of one period in a box, their species those of `ColumnLattice.species`."""
        columns = self.lattice.fill(lower, upper, origin)
        return replace(columns, species=self.upright.species[0][columns.species])

    @property
    def species(self) -> tuple[str, ...]:
        """Names of the columns' species."""
        return self.upright.species[1]

    @property
    def spacing(self) -> float:
        """Å between the closest bright columns."""
        return self.upright.typical_spacing

    @property
    def translations(self) -> Array:
        """(T, 2) shifts (y, x) in Å that do not change the projection, by rising length."""
        return self.upright.translations @ in_plane_turn(self.rotation)


@lru_cache(maxsize=256)
def book_crystal(name: str, zone_axis: Axis) -> Crystal:
    """A crystal of the book, turned towards the beam once and kept."""
    return _towards_beam(get_crystal(name), zone_axis)


def _towards_beam(atoms: Atoms, zone_axis: Axis) -> Crystal:
    cell = orient(atoms, zone_axis)
    lattice = project_cell(cell)
    return Crystal(cell, lattice, lattice)


def crystal_specimen(
    crystal: str | Path | Atoms,
    zone_axis: Axis,
    field: Field,
    rng: np.random.Generator,
    *,
    rotation: float = 0.0,
    offset: tuple[float, float] = (0.0, 0.0),
    thickness: float = 100.0,
    tilt: tuple[float, float] = (0.0, 0.0),
    shape_kind: Shape = "bulk",
    vacancies: float = 0.0,
    displacement: float = 0.0,
    temperature: float = 0.0,
    support: float = 0.0,
    atoms_needed: bool = False,
) -> Specimen:
    """A crystal that fills a field, or what a shape leaves of it.

    Parameters
    ----------
    crystal : as for `get_crystal`.
    zone_axis : [uvw] along the beam; of an object that does not repeat, a Cartesian direction.
    rng : of shapes, vacancies, displacements and the support.
    rotation : of the crystal about the beam, degrees.
    offset : of the cell's origin from the image's centre, Å (y, x).
    thickness : Å. Single layers, objects and particles are as thick as they are.
    tilt : of the zone axis off the beam towards y and x, mrad.
    shape_kind : "bulk", "wedge", "edge", "particle" or "rounded", as `draw_shape` has them.
    vacancies : share of atoms missing.
    displacement : deviation of each column's shift along y and along x, Å.
    temperature : K, of the atoms' thermal displacements at one moment; 0 leaves them at rest.
    support : Å of amorphous carbon below the crystal.
    atoms_needed : give the structure atom by atom; tilts, temperatures and objects always do.

    Returns
    -------
    Specimen whose columns count whole atoms, and whose scatterers are the atoms, or a point a
    column and element.

    Raises
    ------
    ValueError, OSError
        As `get_crystal`, or an argument is out of range.
    """
    _check(thickness, vacancies, displacement, temperature, support)
    material = material_name(crystal)
    origin = 0.5 * field.size + np.asarray(offset)
    box = Box(field.lower, field.upper, thickness)
    if material in COLUMNLESS:
        return _disordered(rng, field, thickness, material)
    atoms = get_crystal(crystal)
    lone = not atoms.pbc.any()
    outline = Thickness()
    if lone:
        structure = place_object(atoms, zone_axis, box, origin, rotation, tilt)
    else:
        known = material in crystals()
        turned = book_crystal(material, zone_axis) if known else _towards_beam(atoms, zone_axis)
        turned = turned.rotated(rotation)
        outline = draw_shape(shape_kind, rng, field.size, turned.cell)
        if not (atoms_needed or any(tilt) or temperature > 0):
            columns = turned.columns(box.lower, box.upper, origin)
            columns = stacked(columns, turned, outline, thickness)
            if vacancies > 0:
                columns = with_vacancies(columns, vacancies, rng)
            if displacement > 0:
                columns = with_displaced_columns(columns, displacement, rng)
            return column_specimen(
                columns, turned, field, rng, outline, support, material, zone_axis
            )
        box = Box(box.lower, box.upper, _depth(outline, thickness))
        structure = fill_cell(turned.cell, box, origin, tilt)
        if turned.cell.layer:
            structure = structure.select(outline(structure.y, structure.x) > 0)
        else:
            structure = carve(structure, outline, box.thickness)
    structure = with_vacancies(structure, vacancies, rng) if vacancies > 0 else structure
    if displacement > 0:
        structure = with_displaced_columns(structure, displacement, rng)
    if temperature > 0:
        structure = with_thermal_displacements(structure, temperature, rng)
    spacing = None if lone else turned.spacing
    return atom_specimen(structure, field, rng, outline, support, material, zone_axis, spacing)


def stacked(columns: Columns, crystal: Crystal, outline: Thickness, thickness: float) -> Columns:
    """Columns of one period made as high as the specimen, in whole atoms; empty ones left out.

    Parameters
    ----------
    thickness : Å, where the outline is 1; particles and single layers have their own.
    """
    relative = outline(columns.y, columns.x)
    if crystal.cell.layer:
        repeats = (relative > 0).astype(np.float64)
    else:
        depth = outline.depth if isinstance(outline, Particle) else thickness
        repeats = relative * (depth / crystal.cell.period)
    return counted(columns, np.rint(columns.counts * repeats[:, None]))


def column_specimen(
    columns: Columns,
    crystal: Crystal,
    field: Field,
    rng: np.random.Generator,
    outline: Thickness,
    support: float,
    material: str,
    zone_axis: Axis,
) -> Specimen:
    """The specimen of a crystal's columns and `support` Å of amorphous carbon."""
    scatterers = columns.scatterers()
    if support > 0:
        scatterers = Scatterers.join([scatterers, _film(rng, field, support).scatterers()])
    return Specimen(
        scatterers,
        columns,
        crystal.species,
        outline,
        spacing=crystal.spacing,
        material=material,
        zone_axis=zone_axis,
    )


def atom_specimen(
    structure: Structure,
    field: Field,
    rng: np.random.Generator,
    outline: Thickness,
    support: float,
    material: str,
    zone_axis: Axis,
    spacing: float | None = None,
) -> Specimen:
    """The specimen of single atoms and `support` Å of amorphous carbon below them.

    Parameters
    ----------
    spacing : Å between closest columns; None to measure it.
    """
    columns = structure.columns()
    species = rank_species(columns.counts, columns.numbers)[1] if len(columns) else ()
    if spacing is None:
        several = len(columns) > 1
        spacing = float(np.median(nearest_distances(columns.points))) if several else 2.0
    if support > 0:
        film = _film(rng, field, support)
        film = replace(film, z=film.z + structure.z.max(initial=0.0) + CONTACT)
        structure = Structure.join([structure, film])
    return Specimen(
        structure.scatterers(),
        columns,
        species,
        outline,
        spacing=spacing,
        material=material,
        zone_axis=zone_axis,
        structure=structure,
    )


CONTACT = 2.0
"""Å between a crystal's last atoms and its support's first."""


def material_name(crystal: str | Path | Atoms) -> str:
    """What tables call a crystal: its name, its file's name, or its formula."""
    if isinstance(crystal, Path):
        return crystal.name
    if isinstance(crystal, str):
        return crystal if crystal in crystals() else Path(crystal).name
    return str(get_crystal(crystal).get_chemical_formula("metal"))


def _film(rng: np.random.Generator, field: Field, thickness: float) -> Structure:
    from napari_atomseg.specimen.amorphous import amorphous_support

    return amorphous_support(rng, field, thickness)


def _disordered(
    rng: np.random.Generator, field: Field, thickness: float, material: str
) -> Specimen:
    film = _film(rng, field, thickness)
    return Specimen(film.scatterers(), Columns.empty(), material=material, structure=film)


def _depth(outline: Thickness, thickness: float) -> float:
    """Å that atoms are needed for, above and below the middle alike."""
    if not isinstance(outline, Particle):
        return thickness
    low, high = outline.reach
    return 2.0 * max(-low, high)


def _check(
    thickness: float, vacancies: float, displacement: float, temperature: float, support: float
) -> None:
    if not thickness > 0:
        raise ValueError(f"thickness={thickness!r} must be positive, in Å")
    if not 0 <= vacancies < 1:
        raise ValueError(f"vacancies={vacancies!r} must be a share of atoms from 0 to below 1")
    lengths = {"displacement": displacement, "temperature": temperature, "support": support}
    for name, value in lengths.items():
        if not value >= 0:
            raise ValueError(f"{name}={value!r} must not be negative")
