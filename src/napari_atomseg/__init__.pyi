import napari_atomseg.analysis as analyze
import napari_atomseg.measurements as measurements
import napari_atomseg.workflow as workflow

from .alignment import align
from .calibration import calibrate
from .inference import correct_scan, restore
from .localization import localize, segment
from .simulation import simulate
from .specimen import crystals
from .training import train
from .trust import consistency
from .weights import models

__version__: str

__all__ = [
    "align",
    "analyze",
    "calibrate",
    "consistency",
    "correct_scan",
    "crystals",
    "localize",
    "measurements",
    "models",
    "restore",
    "segment",
    "simulate",
    "train",
    "workflow",
]
