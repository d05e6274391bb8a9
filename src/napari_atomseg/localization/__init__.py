"""Localization: columns detected, labelled and measured below the pixel."""

from napari_atomseg.localization.again import refine_columns
from napari_atomseg.localization.bounds import Bounds, cramer_rao_bounds
from napari_atomseg.localization.column_bounds import column_bounds
from napari_atomseg.localization.columns import localize
from napari_atomseg.localization.joint_bounds import overlapping_bounds
from napari_atomseg.localization.segmentation import segment

__all__ = [
    "Bounds",
    "column_bounds",
    "cramer_rao_bounds",
    "localize",
    "overlapping_bounds",
    "refine_columns",
    "segment",
]
