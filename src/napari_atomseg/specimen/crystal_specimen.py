"""A crystal under the beam: from its name to a specimen, column by column or atom by atom."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_atomseg._shared.geometry import median_spacing
from napari_atomseg.specimen.build import Box, fill_cell, place_object
from napari_atomseg.specimen.columns import Columns, Scatterers
from napari_atomseg.specimen.crystals.book import COLUMNLESS, crystals, get_crystal
from napari_atomseg.specimen.crystals.crystal import (
    Axis,
    Crystal,
    book_crystal,
    material_name,
    stacked,
    towards_beam,
)
from napari_atomseg.specimen.crystals.projection import rank_species
from napari_atomseg.specimen.defects import Matter, with_displaced_columns, with_vacancies
from napari_atomseg.specimen.outline import Particle, Shape, Thickness, carve, draw_shape
from napari_atomseg.specimen.specimen import Field, Specimen
from napari_atomseg.specimen.structure import Structure
from napari_atomseg.specimen.thermal import with_thermal_displacements

if TYPE_CHECKING:
    from ase import Atoms

CONTACT = 2.0
"""Å between a crystal's last atoms and its support's first."""


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
    shape_kind : "bulk", "wedge", "edge", "particle" or "rounded", as `draw_shape` has them;
        objects keep their own.
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
    if isinstance(crystal, str) and crystal in COLUMNLESS:
        film = _film(rng, field, thickness)
        return Specimen(film.scatterers(), Columns.empty(), material=material, structure=film)
    origin = 0.5 * field.size + np.asarray(offset)
    outline, spacing = Thickness(), None
    atoms = None if isinstance(crystal, str) and crystal in crystals() else get_crystal(crystal)
    if atoms is not None and not atoms.pbc.any():
        box = Box(field.lower, field.upper, thickness)
        structure = place_object(atoms, zone_axis, box, origin, rotation, tilt)
    else:
        turned = (
            book_crystal(material, zone_axis) if atoms is None else towards_beam(atoms, zone_axis)
        )
        turned, spacing = turned.rotated(rotation), turned.spacing
        outline = draw_shape(shape_kind, rng, field.size, turned.cell)
        if not (atoms_needed or any(tilt) or temperature > 0):
            columns = turned.columns(field.lower, field.upper, origin)
            columns = stacked(columns, turned, outline, thickness)
            columns = _point_defects(columns, rng, vacancies, displacement)
            return column_specimen(
                columns, turned, field, rng, outline, support, material, zone_axis
            )
        box = Box(field.lower, field.upper, _depth(outline, thickness))
        structure = fill_cell(turned.cell, box, origin, tilt)
        if turned.cell.layer:
            structure = structure.select(outline(structure.y, structure.x) > 0)
        else:
            structure = carve(structure, outline, box.thickness)
    structure = _point_defects(structure, rng, vacancies, displacement)
    if temperature > 0:
        structure = with_thermal_displacements(structure, temperature, rng)
    return atom_specimen(structure, field, rng, outline, support, material, zone_axis, spacing)


def _point_defects(
    matter: Matter, rng: np.random.Generator, vacancies: float, displacement: float
) -> Matter:
    if vacancies > 0:
        matter = with_vacancies(matter, vacancies, rng)
    if displacement > 0:
        matter = with_displaced_columns(matter, displacement, rng)
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
        spacing = median_spacing(columns.points) if several else 2.0
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


def _film(rng: np.random.Generator, field: Field, thickness: float) -> Structure:
    from napari_atomseg.specimen.matter.amorphous import amorphous_support

    return amorphous_support(rng, field, thickness)


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
