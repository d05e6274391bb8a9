"""Pretrained and user-trained models by name: bundled, in the user's folder, or by download."""

from napari_atomseg._shared.files import sha256
from napari_atomseg.weights.catalogue import (
    choice,
    find_file,
    model_entry,
    models,
    models_for,
    remove_model,
    resolve,
)
from napari_atomseg.weights.exchange import export_model, import_model
from napari_atomseg.weights.foreign import (
    LicenceError,
    foreign_models,
    import_foreign,
    licence_is_new,
)
from napari_atomseg.weights.proposal import Proposal, propose_model
from napari_atomseg.weights.registry import DEFAULT
from napari_atomseg.weights.store import cache_folder, downloads_folder, models_folder

__all__ = [
    "DEFAULT",
    "LicenceError",
    "Proposal",
    "cache_folder",
    "choice",
    "downloads_folder",
    "export_model",
    "find_file",
    "foreign_models",
    "import_foreign",
    "import_model",
    "licence_is_new",
    "model_entry",
    "models",
    "models_folder",
    "models_for",
    "propose_model",
    "remove_model",
    "resolve",
    "sha256",
]
