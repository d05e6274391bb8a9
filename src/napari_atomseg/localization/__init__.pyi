from .api import localize, segment
from .bounds import Bounds, column_bounds, cramer_rao_bounds, overlapping_bounds
from .refit import refine_columns
from .settings import DetectionSettings, FitSettings

__all__ = [
    "Bounds",
    "DetectionSettings",
    "FitSettings",
    "column_bounds",
    "cramer_rao_bounds",
    "localize",
    "overlapping_bounds",
    "refine_columns",
    "segment",
]
