"""Measurements on columns and images: scores against a known truth."""

from napari_atomseg.analysis.counting import Counts, count_by_library, count_by_mixture
from napari_atomseg.analysis.lattice import Lattice
from napari_atomseg.analysis.lattice_assign import assign
from napari_atomseg.analysis.lattice_cells import UnitCells, unit_cells
from napari_atomseg.analysis.lattice_displacements import displacements, polarization
from napari_atomseg.analysis.lattice_find import find_lattice
from napari_atomseg.analysis.lattice_kinds import species
from napari_atomseg.analysis.lattice_phase import StrainMaps, find_reflections, geometric_phase
from napari_atomseg.analysis.lattice_spacings import (
    frames_needed,
    neighbours,
    spacing_precision,
    spacings,
)
from napari_atomseg.analysis.lattice_strain import strain
from napari_atomseg.analysis.matching import Scores, match, scores
from napari_atomseg.analysis.tracks import Tracks, link_tracks
from napari_atomseg.quality import psnr, ssim

__all__ = [
    "Counts",
    "Lattice",
    "Scores",
    "StrainMaps",
    "Tracks",
    "UnitCells",
    "assign",
    "count_by_library",
    "count_by_mixture",
    "displacements",
    "find_lattice",
    "find_reflections",
    "frames_needed",
    "geometric_phase",
    "link_tracks",
    "match",
    "neighbours",
    "polarization",
    "psnr",
    "scores",
    "spacing_precision",
    "spacings",
    "species",
    "ssim",
    "strain",
    "unit_cells",
]
