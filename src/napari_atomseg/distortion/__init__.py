"""Distortions of scan and detector; each is one small function with its source."""

from napari_atomseg.distortion.detector import hot_pixels, readout_noise, shot_noise
from napari_atomseg.distortion.scan import line_noise, line_shifts, scan_blur, shift_lines

__all__ = [
    "hot_pixels",
    "line_noise",
    "line_shifts",
    "readout_noise",
    "scan_blur",
    "shift_lines",
    "shot_noise",
]
