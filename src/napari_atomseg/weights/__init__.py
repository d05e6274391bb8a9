"""Pretrained and user-trained models by name: bundled, in the user's folder, or by download."""

from napari_atomseg.weights.find import DEFAULT, models, resolve
from napari_atomseg.weights.folders import cache_folder, models_folder
from napari_atomseg.weights.registry import sha256

__all__ = ["DEFAULT", "cache_folder", "models", "models_folder", "resolve", "sha256"]
