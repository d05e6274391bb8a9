from .api import predict, restore
from .predicting import Prediction
from .predictor import Predictor
from .scale import estimate_spacing
from .scan.api import ScanCorrection, correct_scan
from .settings import InferenceSettings

__all__ = [
    "InferenceSettings",
    "Prediction",
    "Predictor",
    "ScanCorrection",
    "correct_scan",
    "estimate_spacing",
    "predict",
    "restore",
]
