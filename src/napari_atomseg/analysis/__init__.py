"""Measurements on columns and images: lattices, strain, defects, counts, tracks and scores."""

from napari_atomseg._shared.metrics import psnr, ssim
from napari_atomseg.analysis.bonds import (
    BondDensity,
    bond_density,
    bond_distributions,
    bond_vectors,
)
from napari_atomseg.analysis.counting.counts import Counts, count_by_mixture
from napari_atomseg.analysis.counting.cross_sections import integrate_columns
from napari_atomseg.analysis.counting.library import count_by_library, simulate_library
from napari_atomseg.analysis.counting.model import start_model
from napari_atomseg.analysis.counting.normalization import beam_level, normalize, vacuum_level
from napari_atomseg.analysis.defects import (
    BurgersCircuit,
    burgers_circuit,
    find_dislocations,
    find_vacancies,
)
from napari_atomseg.analysis.grains import Grains, find_grains
from napari_atomseg.analysis.lattice.assign import assign
from napari_atomseg.analysis.lattice.displacements import displacements, polarization
from napari_atomseg.analysis.lattice.find import find_lattice
from napari_atomseg.analysis.lattice.gpa import StrainMaps, find_reflections, geometric_phase
from napari_atomseg.analysis.lattice.lattice import Lattice
from napari_atomseg.analysis.lattice.quality import LatticeQuality, lattice_quality
from napari_atomseg.analysis.lattice.several import Lattices, find_lattices
from napari_atomseg.analysis.lattice.sites import UnitCells, unit_cells
from napari_atomseg.analysis.lattice.spacings import (
    frames_needed,
    neighbours,
    spacing_precision,
    spacings,
)
from napari_atomseg.analysis.lattice.species import species
from napari_atomseg.analysis.lattice.strain import strain
from napari_atomseg.analysis.layers import binned_profile, layer_profile
from napari_atomseg.analysis.line_profile import line_profile
from napari_atomseg.analysis.octahedra import Octahedra, octahedra
from napari_atomseg.analysis.rings import Rings, find_rings
from napari_atomseg.analysis.scores import Scores, match, scores
from napari_atomseg.analysis.tracks import Tracks, link_tracks
from napari_atomseg.analysis.zone_axis.find import find_zone_axis, name_by_elements
from napari_atomseg.analysis.zone_axis.layers import Layers, register_layers
from napari_atomseg.analysis.zone_axis.register import Registration, register_crystal

__all__ = [
    "BondDensity",
    "BurgersCircuit",
    "Counts",
    "Grains",
    "Lattice",
    "LatticeQuality",
    "Lattices",
    "Layers",
    "Octahedra",
    "Registration",
    "Rings",
    "Scores",
    "StrainMaps",
    "Tracks",
    "UnitCells",
    "assign",
    "beam_level",
    "binned_profile",
    "bond_density",
    "bond_distributions",
    "bond_vectors",
    "burgers_circuit",
    "count_by_library",
    "count_by_mixture",
    "displacements",
    "find_dislocations",
    "find_grains",
    "find_lattice",
    "find_lattices",
    "find_reflections",
    "find_rings",
    "find_vacancies",
    "find_zone_axis",
    "frames_needed",
    "geometric_phase",
    "integrate_columns",
    "lattice_quality",
    "layer_profile",
    "line_profile",
    "link_tracks",
    "match",
    "name_by_elements",
    "neighbours",
    "normalize",
    "octahedra",
    "polarization",
    "psnr",
    "register_crystal",
    "register_layers",
    "scores",
    "simulate_library",
    "spacing_precision",
    "spacings",
    "species",
    "ssim",
    "start_model",
    "strain",
    "unit_cells",
    "vacuum_level",
]
