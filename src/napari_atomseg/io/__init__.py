"""Files: microscope images in, images and tables of columns out, with scale and provenance."""

from napari_atomseg._shared.files import provenance
from napari_atomseg.io.columns.atoms import columns_to_atoms
from napari_atomseg.io.columns.files import COLUMN_SUFFIXES, read_columns, write_columns
from napari_atomseg.io.columns.table import unit_of
from napari_atomseg.io.images.image import MicroscopeImage
from napari_atomseg.io.images.read import IMAGE_SUFFIXES, read_image, read_images
from napari_atomseg.io.images.write import WRITTEN_SUFFIXES, write_image

__all__ = [
    "COLUMN_SUFFIXES",
    "IMAGE_SUFFIXES",
    "WRITTEN_SUFFIXES",
    "MicroscopeImage",
    "columns_to_atoms",
    "provenance",
    "read_columns",
    "read_image",
    "read_images",
    "unit_of",
    "write_columns",
    "write_image",
]
