"""Localization: columns detected, labelled and measured below the pixel."""

from napari_atomseg.localization.bounds import (
    Bounds,
    column_bounds,
    cramer_rao_bounds,
    overlapping_bounds,
)
from napari_atomseg.localization.localize import localize
from napari_atomseg.localization.refit import refine_columns
from napari_atomseg.localization.segment import segment

__all__ = [
    "Bounds",
    "column_bounds",
    "cramer_rao_bounds",
    "localize",
    "overlapping_bounds",
    "refine_columns",
    "segment",
]
