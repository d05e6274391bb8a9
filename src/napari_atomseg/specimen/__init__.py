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
from napari_atomseg.specimen.defects import (
    with_displaced_columns,
    with_substitutes,
    with_vacancies,
    without_columns,
)
from napari_atomseg.specimen.dislocations import (
    EdgeDislocation,
    StackingFault,
    Strain,
    grain_boundary,
)
from napari_atomseg.specimen.interfaces import Multilayer, build_multilayer
from napari_atomseg.specimen.lattice import ColumnLattice, project
from napari_atomseg.specimen.particles import wulff_particle
from napari_atomseg.specimen.pool import PooledSpecimen
from napari_atomseg.specimen.random_crystal import random_crystal
from napari_atomseg.specimen.random_lattice import random_lattice, random_points
from napari_atomseg.specimen.recipes_crystal import CrystalSpecimen
from napari_atomseg.specimen.recipes_layers import GrapheneSpecimen, MultilayerSpecimen
from napari_atomseg.specimen.recipes_low_resolution import LowResolutionSpecimen
from napari_atomseg.specimen.recipes_random import RandomSpecimen
from napari_atomseg.specimen.resolve import resolve_columns
from napari_atomseg.specimen.specimen import Field, Specimen
from napari_atomseg.specimen.structure import Structure
from napari_atomseg.specimen.thermal import with_thermal_displacements
from napari_atomseg.specimen.thickness import Thickness

__all__ = [
    "ColumnLattice",
    "Columns",
    "CrystalSpecimen",
    "EdgeDislocation",
    "Field",
    "GrapheneSpecimen",
    "LowResolutionSpecimen",
    "Multilayer",
    "MultilayerSpecimen",
    "PooledSpecimen",
    "RandomSpecimen",
    "Scatterers",
    "Specimen",
    "StackingFault",
    "Strain",
    "Structure",
    "Thickness",
    "amorphous_carbon",
    "amorphous_graphene",
    "amorphous_support",
    "build_multilayer",
    "build_structure",
    "crystal_specimen",
    "crystals",
    "get_crystal",
    "grain_boundary",
    "project",
    "random_crystal",
    "random_lattice",
    "random_points",
    "resolve_columns",
    "with_displaced_columns",
    "with_substitutes",
    "with_thermal_displacements",
    "with_vacancies",
    "without_columns",
    "wulff_particle",
]
