"""Networks that others published, imported into the ordinary store: r_em's and AtomSegNet's."""

from napari_atomseg.weights.foreign.atomsegnet import known
from napari_atomseg.weights.foreign.imports import (
    Foreign,
    LicenceError,
    downloadable,
    foreign_entry,
    foreign_models,
    import_foreign,
    licence_is_new,
)

__all__ = [
    "Foreign",
    "LicenceError",
    "downloadable",
    "foreign_entry",
    "foreign_models",
    "import_foreign",
    "known",
    "licence_is_new",
]
