"""Inference: models applied to images of any size, scale and type."""

from napari_atomseg.inference.api import Prediction, predict, restore
from napari_atomseg.inference.predictor import Predictor
from napari_atomseg.inference.scale import estimate_spacing

__all__ = ["Prediction", "Predictor", "estimate_spacing", "predict", "restore"]
