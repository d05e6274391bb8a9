"""Pretrained and user-trained models by name: bundled, in the user's folder, or by download."""

from napari_atomseg.weights.find import choice, find_file, model_entry, models, models_for, resolve
from napari_atomseg.weights.folders import cache_folder, downloads_folder, models_folder
from napari_atomseg.weights.registry import DEFAULT, sha256
from napari_atomseg.weights.shelf import export_model, import_model, remove_model

__all__ = [
    "DEFAULT",
    "cache_folder",
    "choice",
    "downloads_folder",
    "export_model",
    "find_file",
    "import_model",
    "model_entry",
    "models",
    "models_folder",
    "models_for",
    "remove_model",
    "resolve",
    "sha256",
]
