"""Distortions of scan and detector; each is one small function with its source."""

from napari_atomseg.distortion.base import Distortion, View
from napari_atomseg.distortion.counting import Photomultiplier, Shot, shot_noise
from napari_atomseg.distortion.detector import HotPixels, Readout, hot_pixels, readout_noise
from napari_atomseg.distortion.kinds import AnyDistortion
from napari_atomseg.distortion.lines import LineNoise, ScanBlur, line_noise, scan_blur
from napari_atomseg.distortion.scan import (
    Drift,
    LineFrequency,
    LineMotion,
    ScanJitter,
    Shear,
    line_shifts,
    shift_lines,
)

__all__ = [
    "AnyDistortion",
    "Distortion",
    "Drift",
    "HotPixels",
    "LineFrequency",
    "LineMotion",
    "LineNoise",
    "Photomultiplier",
    "Readout",
    "ScanBlur",
    "ScanJitter",
    "Shear",
    "Shot",
    "View",
    "hot_pixels",
    "line_noise",
    "line_shifts",
    "readout_noise",
    "scan_blur",
    "shift_lines",
    "shot_noise",
]
