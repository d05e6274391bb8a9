"""Files: microscope images in, images and tables of columns out, with scale and provenance."""

from napari_atomseg.io.columns import read_columns, write_columns
from napari_atomseg.io.image import MicroscopeImage
from napari_atomseg.io.provenance import provenance
from napari_atomseg.io.read import IMAGE_SUFFIXES, read_image
from napari_atomseg.io.tiff import write_image

__all__ = [
    "IMAGE_SUFFIXES",
    "MicroscopeImage",
    "provenance",
    "read_columns",
    "read_image",
    "write_columns",
    "write_image",
]
