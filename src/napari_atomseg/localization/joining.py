"""Columns found at several magnifications of one image, joined into one set."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from skimage.feature import peak_local_max

from napari_atomseg._shared.geometry import nearest_pixels
from napari_atomseg._shared.types import Array, Image, Labels
from napari_atomseg.inference.predicting import Prediction
from napari_atomseg.localization.detect import (
    Detections,
    columns_from_map,
    first_pixels,
)
from napari_atomseg.networks.tasks import COLUMNS

COLUMN_MAP, _ = COLUMNS

HINT = 0.15
"""Least peak of a column map that is worth a second look."""
SAME = 0.5
"""Two regions are of one place where their common pixels are this part of the smaller one."""
MERGED = 0.75
"""Several columns stand in the place of one found in a smaller image if their mean score is this
part of its score; less sure ones are structure within a broad column."""


def columns_at_magnifications(maps: Mapping[float, Image], shape: tuple[int, int]) -> Detections:
    """Find the columns in maps of one image at several magnifications, and join them.

    What is found at any magnification is kept, once. Where a larger image shows several columns in
    the place of one, these are taken, if they are nearly as sure.

    Parameters
    ----------
    maps : column map (round(f H), round(f W)) by magnification f.
    shape : (H, W) of the image.

    Returns
    -------
    Detections in pixels of the image, with labels of its shape.
    """
    joined = None
    for factor in sorted(maps, reverse=True):
        found = at_full_size(columns_from_map(maps[factor]), factor, shape)
        joined = found if joined is None else _joined(joined, found)
    if joined is None:
        raise ValueError("maps is empty")
    return joined


def columns_of(prediction: Prediction, frame: int = 0) -> Detections:
    """The columns of one frame of a prediction with `column_map`, found at all magnifications.

    Parameters
    ----------
    frame : counts over all leading axes of the image.
    """
    whole = prediction.maps[COLUMN_MAP]
    return columns_at_magnifications(
        _column_maps(prediction, frame), (whole.shape[-2], whole.shape[-1])
    )


def hints_of(prediction: Prediction, found: Detections, frame: int = 0) -> Array:
    """(M, 2) maxima y, x of the column maps that are too low for a column, pixels.

    Parameters
    ----------
    found : the columns of the frame; what lies in their regions is left out.
    """
    height, width = found.labels.shape
    places = []
    for surface in _column_maps(prediction, frame).values():
        peaks = peak_local_max(surface, min_distance=1, threshold_abs=HINT, exclude_border=False)
        scale = np.array([height, width]) / surface.shape
        places.append((peaks + 0.5) * scale - 0.5)
    whole = np.concatenate(places)
    inside = found.labels[nearest_pixels((height, width), *whole.T)] > 0
    hints: Array = whole[~inside]
    return hints


def _column_maps(prediction: Prediction, frame: int) -> dict[float, Image]:
    """Column map of one frame by magnification."""
    return {
        factor: planes[COLUMN_MAP].reshape(-1, *planes[COLUMN_MAP].shape[-2:])[frame]
        for factor, planes in prediction.magnified.items()
    }


def at_full_size(found: Detections, factor: float, shape: tuple[int, int]) -> Detections:
    """Detections of an image that was magnified by a factor, in pixels of the image (H, W)."""
    if factor == 1.0 and found.labels.shape == shape:
        return found
    places = []
    for length, size in zip(shape, found.labels.shape, strict=True):
        places.append(((np.arange(length) + 0.5) * size / length).astype(int).clip(0, size - 1))
    labels = found.labels[np.ix_(*places)]
    scale = [length / size for length, size in zip(shape, found.labels.shape, strict=True)]
    y, x = ((v + 0.5) * step - 0.5 for v, step in zip((found.y, found.x), scale, strict=True))
    return Detections(y, x, found.score, labels, np.full(len(found), factor))


def _joined(fine: Detections, coarse: Detections) -> Detections:
    """Detections of a larger and a smaller image together."""
    if not len(coarse) or not len(fine):
        return fine if len(fine) else coarse
    of_fine, of_coarse = _same_places(fine.labels, coarse.labels)
    count = np.bincount(of_coarse, minlength=len(coarse))
    total = np.bincount(of_coarse, fine.score[of_fine], minlength=len(coarse))
    # A new column, or one that is surer than the mean of what the larger image shows there.
    better = (count > 1) & (total < MERGED * count * coarse.score)
    surer = (count == 1) & (total < coarse.score)
    taken = (count == 0) | better | surer
    dropped = np.zeros(len(fine), dtype=bool)
    dropped[of_fine[taken[of_coarse]]] = True
    labels = np.append(0, np.where(dropped, 0, np.arange(1, len(fine) + 1)))[fine.labels]
    added = np.append(0, np.where(taken, len(fine) + np.arange(1, len(coarse) + 1), 0))
    labels = np.where(labels == 0, added[coarse.labels], labels)
    return _in_reading_order(
        [np.concatenate(pair) for pair in zip(_rows(fine), _rows(coarse), strict=True)], labels
    )


def _same_places(fine: Labels, coarse: Labels) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Indices of the pairs of a fine and a coarse detection that are of one place."""
    both = (fine > 0) & (coarse > 0)
    width = int(coarse.max()) + 1
    pairs, common = np.unique(
        fine[both].astype(np.int64) * width + coarse[both], return_counts=True
    )
    first, second = pairs // width, pairs % width
    areas = np.bincount(fine.ravel())[first], np.bincount(coarse.ravel())[second]
    same = common >= SAME * np.minimum(*areas)
    return first[same] - 1, second[same] - 1


def _rows(found: Detections) -> tuple[NDArray[np.float64], ...]:
    return found.y, found.x, found.score, found.magnification


def _in_reading_order(rows: list[NDArray[np.float64]], labels: Labels) -> Detections:
    """Detections of those rows (N,) whose number is among the labels, numbered in reading order."""
    numbers, first = first_pixels(labels)
    ordered = numbers[np.argsort(first)]
    new = np.zeros(len(rows[0]) + 1, dtype=np.int32)
    new[ordered] = np.arange(1, len(ordered) + 1)
    y, x, score, magnification = (row[ordered - 1] for row in rows)
    return Detections(y, x, score, new[labels], magnification)
