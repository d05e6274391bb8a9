"""What stands under the beam: crystals, their projected columns, random lattices and shapes."""

from napari_atomseg.specimen.amorphous import (
    amorphous_carbon,
    amorphous_graphene,
    amorphous_support,
)
from napari_atomseg.specimen.build import build_structure
from napari_atomseg.specimen.columns import Columns, Scatterers
from napari_atomseg.specimen.crystal_specimen import crystal_specimen
from napari_atomseg.specimen.crystals import crystals, get_crystal
from napari_atomseg.specimen.lattice import ColumnLattice, project
from napari_atomseg.specimen.pool import PooledSpecimen
from napari_atomseg.specimen.random_crystal import random_crystal
from napari_atomseg.specimen.random_lattice import random_lattice, random_points
from napari_atomseg.specimen.recipes_crystal import CrystalSpecimen
from napari_atomseg.specimen.recipes_low_resolution import LowResolutionSpecimen
from napari_atomseg.specimen.recipes_random import RandomSpecimen
from napari_atomseg.specimen.resolve import resolve_columns
from napari_atomseg.specimen.specimen import Field, Specimen
from napari_atomseg.specimen.structure import Structure
from napari_atomseg.specimen.thickness import Thickness

__all__ = [
    "ColumnLattice",
    "Columns",
    "CrystalSpecimen",
    "Field",
    "LowResolutionSpecimen",
    "PooledSpecimen",
    "RandomSpecimen",
    "Scatterers",
    "Specimen",
    "Structure",
    "Thickness",
    "amorphous_carbon",
    "amorphous_graphene",
    "amorphous_support",
    "build_structure",
    "crystal_specimen",
    "crystals",
    "get_crystal",
    "project",
    "random_crystal",
    "random_lattice",
    "random_points",
    "resolve_columns",
]
