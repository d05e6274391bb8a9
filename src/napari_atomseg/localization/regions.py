"""Regions of interest of an image: masks, labels or polygons."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.draw import polygon2mask

from napari_atomseg._shared.geometry import nearest_pixels
from napari_atomseg._shared.types import Array, Labels


def region_labels(region: Any, shape: tuple[int, int]) -> Labels:
    """Number the pixels of each region of interest, 0 outside of all.

    Parameters
    ----------
    region : (H, W) boolean mask, or (H, W) integer labels, or a sequence of polygons (V, 2) of
        corners y, x in pixels, which are numbered from 1 in their order.
    shape : (H, W) of the image.

    Raises
    ------
    ValueError
        It is none of these, or of another shape.
    """
    accepted = f"a boolean or label image of shape {shape}, or polygons (V, 2) of y, x"
    if isinstance(region, Sequence):
        return _polygons([np.asarray(corners) for corners in region], shape, accepted)
    labels = np.asarray(region)
    if labels.shape != shape or labels.dtype.kind not in "bui":
        found = f"{labels.dtype} of shape {labels.shape}"
        raise ValueError(f"region is {found}; it must be {accepted}")
    return labels.astype(np.int32)


def _polygons(polygons: list[NDArray[Any]], shape: tuple[int, int], accepted: str) -> Labels:
    labels = np.zeros(shape, np.int32)
    for number, corners in enumerate(polygons, start=1):
        if corners.ndim != 2 or corners.shape[1] != 2 or len(corners) < 3:
            raise ValueError(
                f"region has a polygon of shape {corners.shape}; it must be {accepted}"
            )
        labels[polygon2mask(shape, corners.astype(float))] = number
    return labels


def regions_at(labels: Labels, y: Array, x: Array) -> Labels:
    """(N,) numbers of the regions at positions, those beyond the border at the nearest pixel."""
    found: Labels = labels[nearest_pixels(labels.shape, y, x)]
    return found
