"""Localization: columns detected, labelled and measured below the pixel."""

from napari_atomseg.localization.bounds import Bounds, cramer_rao_bounds
from napari_atomseg.localization.columns import localize, segment

__all__ = ["Bounds", "cramer_rao_bounds", "localize", "segment"]
