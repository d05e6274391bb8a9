from .api import Prediction, predict, restore
from .predictor import Predictor
from .scale import estimate_spacing
from .settings import InferenceSettings

__all__ = [
    "InferenceSettings",
    "Prediction",
    "Predictor",
    "estimate_spacing",
    "predict",
    "restore",
]
