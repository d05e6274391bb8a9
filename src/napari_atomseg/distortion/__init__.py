"""Distortions of scan, detector and post-processing; each is one small function with its source."""

from napari_atomseg.distortion.annotations import Annotations
from napari_atomseg.distortion.base import Distortion, View
from napari_atomseg.distortion.camera import (
    CameraTransfer,
    DarkCurrent,
    FixedPattern,
    Flicker,
    Reset,
)
from napari_atomseg.distortion.captions import Caption
from napari_atomseg.distortion.counting import Photomultiplier, Shot, shot_noise
from napari_atomseg.distortion.detector import (
    HotPixels,
    Readout,
    WhiteNoise,
    hot_pixels,
    readout_noise,
)
from napari_atomseg.distortion.jpeg import Jpeg
from napari_atomseg.distortion.kinds import AnyDistortion
from napari_atomseg.distortion.lines import (
    FastScan,
    LineNoise,
    RowLines,
    ScanBlur,
    line_noise,
    scan_blur,
)
from napari_atomseg.distortion.pixels import (
    BlackPixels,
    MissingPixels,
    Quantization,
    UpperClip,
    Zingers,
)
from napari_atomseg.distortion.postprocess import Crop, GaussianBlur, Interpolation
from napari_atomseg.distortion.scan import (
    Drift,
    LineFrequency,
    LineMotion,
    ScanJitter,
    Shear,
    shift_lines,
)

__all__ = [
    "Annotations",
    "AnyDistortion",
    "BlackPixels",
    "CameraTransfer",
    "Caption",
    "Crop",
    "DarkCurrent",
    "Distortion",
    "Drift",
    "FastScan",
    "FixedPattern",
    "Flicker",
    "GaussianBlur",
    "HotPixels",
    "Interpolation",
    "Jpeg",
    "LineFrequency",
    "LineMotion",
    "LineNoise",
    "MissingPixels",
    "Photomultiplier",
    "Quantization",
    "Readout",
    "Reset",
    "RowLines",
    "ScanBlur",
    "ScanJitter",
    "Shear",
    "Shot",
    "UpperClip",
    "View",
    "WhiteNoise",
    "Zingers",
    "hot_pixels",
    "line_noise",
    "readout_noise",
    "scan_blur",
    "shift_lines",
    "shot_noise",
]
