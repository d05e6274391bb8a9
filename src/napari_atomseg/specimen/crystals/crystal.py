"""Crystals turned towards the beam, as atoms and as columns."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_atomseg._shared.types import Array
from napari_atomseg.specimen.columns import Columns
from napari_atomseg.specimen.crystals.axis import View
from napari_atomseg.specimen.crystals.builtin import crystals, get_crystal
from napari_atomseg.specimen.crystals.projection import ColumnLattice, project_cell
from napari_atomseg.specimen.crystals.zone import OrientedCell, in_plane_turn, orient
from napari_atomseg.specimen.defects import counted
from napari_atomseg.specimen.outline import Particle, Thickness

if TYPE_CHECKING:
    from ase import Atoms

Axis = tuple[int, ...]
"""Three indices of a direction, or four of a hexagonal crystal."""


@dataclass(frozen=True)
class Crystal:
    """A crystal seen along a zone axis, as atoms and as columns.

    Attributes
    ----------
    cell, lattice : turned about the beam.
    upright_cell, upright : the same before the turn, for what a turn does not change.
    rotation : degrees, counter-clockwise as the image is shown.
    """

    cell: OrientedCell
    lattice: ColumnLattice
    upright_cell: OrientedCell
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
        """(T, 2) translations across the beam, (y, x) in Å, by rising length."""
        return self.upright_cell.translations @ in_plane_turn(self.rotation)


@lru_cache(maxsize=256)
def builtin_crystal(crystal: str, zone_axis: Axis, view: View = "towards") -> Crystal:
    """A built-in crystal, or one of a file, turned towards the beam once and kept."""
    return towards_beam(get_crystal(crystal), zone_axis, view)


def towards_beam(atoms: Atoms, zone_axis: Axis, view: View = "towards") -> Crystal:
    """A crystal that repeats, turned towards the beam; arguments and errors are `orient`'s."""
    cell = orient(atoms, zone_axis, view)
    lattice = project_cell(cell)
    return Crystal(cell, lattice, cell, lattice)


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


def material_name(crystal: str | Path | Atoms) -> str:
    """Return the name of a crystal in tables: its own, its file's, or its formula."""
    if isinstance(crystal, Path):
        return crystal.name
    if isinstance(crystal, str):
        return crystal if crystal in crystals() else Path(crystal).name
    return str(get_crystal(crystal).get_chemical_formula("metal"))
