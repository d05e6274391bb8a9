"""What stands under the beam: crystals, their projected columns, random lattices and shapes."""

from napari_atomseg.specimen.columns import Columns, Scatterers
from napari_atomseg.specimen.crystals import crystals, get_crystal
from napari_atomseg.specimen.lattice import ColumnLattice, project
from napari_atomseg.specimen.random_lattice import random_lattice, random_points
from napari_atomseg.specimen.resolve import resolve_columns
from napari_atomseg.specimen.specimen import Field, Specimen
from napari_atomseg.specimen.structure import Structure
from napari_atomseg.specimen.thickness import Thickness

__all__ = [
    "ColumnLattice",
    "Columns",
    "Field",
    "Scatterers",
    "Specimen",
    "Structure",
    "Thickness",
    "crystals",
    "get_crystal",
    "project",
    "random_lattice",
    "random_points",
    "resolve_columns",
]
