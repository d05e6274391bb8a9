"""Specimens: crystals, their projected columns, random lattices and shapes."""

from napari_atomseg.specimen.build import build_structure
from napari_atomseg.specimen.columns import Columns, Scatterers, resolve_columns
from napari_atomseg.specimen.crystals.builtin import crystals, get_crystal
from napari_atomseg.specimen.crystals.projection import ColumnLattice, project
from napari_atomseg.specimen.defects import (
    EdgeDislocation,
    StackingFault,
    Strain,
    grain_boundary,
    with_displaced_columns,
    with_substitutes,
    with_thermal_displacements,
    with_vacancies,
    without_columns,
)
from napari_atomseg.specimen.matter.amorphous import (
    amorphous_carbon,
    amorphous_graphene,
    amorphous_support,
)
from napari_atomseg.specimen.matter.multilayers import Multilayer, build_multilayer
from napari_atomseg.specimen.matter.random_crystal import (
    random_crystal,
    random_lattice,
    random_points,
)
from napari_atomseg.specimen.outline import Thickness, wulff_particle
from napari_atomseg.specimen.recipes.crystal import CrystalSpecimen
from napari_atomseg.specimen.recipes.layers import GrapheneSpecimen, MultilayerSpecimen
from napari_atomseg.specimen.recipes.low_resolution import LowResolutionSpecimen
from napari_atomseg.specimen.recipes.pool import PooledSpecimen
from napari_atomseg.specimen.recipes.random import RandomSpecimen
from napari_atomseg.specimen.single_crystal import SingleCrystal
from napari_atomseg.specimen.specimen import Field, Specimen
from napari_atomseg.specimen.structure import Structure

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
    "SingleCrystal",
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
