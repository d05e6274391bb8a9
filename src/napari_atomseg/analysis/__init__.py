"""Measurements on columns and images: scores against a known truth."""

from napari_atomseg.analysis.counting import Counts, count_by_library, count_by_mixture
from napari_atomseg.analysis.lattice import Lattice
from napari_atomseg.analysis.lattice_assign import assign
from napari_atomseg.analysis.lattice_find import find_lattice
from napari_atomseg.analysis.matching import Scores, match, scores
from napari_atomseg.analysis.tracks import Tracks, link_tracks
from napari_atomseg.quality import psnr, ssim

__all__ = [
    "Counts",
    "Lattice",
    "Scores",
    "Tracks",
    "assign",
    "count_by_library",
    "count_by_mixture",
    "find_lattice",
    "link_tracks",
    "match",
    "psnr",
    "scores",
    "ssim",
]
