from .api import Calibration, calibrate
from .bar import ScaleBar, find_scale_bar
from .crystal import PixelShape, pixel_shape
from .settings import CalibrationSettings

__all__ = [
    "Calibration",
    "CalibrationSettings",
    "PixelShape",
    "ScaleBar",
    "calibrate",
    "find_scale_bar",
    "pixel_shape",
]
