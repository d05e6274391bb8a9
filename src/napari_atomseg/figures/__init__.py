"""Figures for papers: overlays, maps, histograms, densities, scan lines, shifts, each in one call.

Every function returns a matplotlib `Figure` that belongs to no window; `save` writes it as PNG, SVG
or PDF.
"""

from napari_atomseg.figures.alignment import frame_shifts
from napari_atomseg.figures.canvas import save
from napari_atomseg.figures.density import density_map
from napari_atomseg.figures.histogram import histogram
from napari_atomseg.figures.overlay import overlay
from napari_atomseg.figures.scan import scan_lines
from napari_atomseg.figures.strain import strain_map
from napari_atomseg.figures.vectors import vector_map

__all__ = [
    "density_map",
    "frame_shifts",
    "histogram",
    "overlay",
    "save",
    "scan_lines",
    "strain_map",
    "vector_map",
]
