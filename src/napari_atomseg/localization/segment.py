"""From an image to one label a column."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.segmentation import watershed

from napari_atomseg import inference
from napari_atomseg._shared.types import Sampling
from napari_atomseg._shared.units import pixel_size
from napari_atomseg.inference.api import CONTRASTS, as_frames
from napari_atomseg.localization.detect import Detections, columns_from_map
from napari_atomseg.localization.refine import check_choices
from napari_atomseg.progress import CancelToken, Progress, report

MASK_THRESHOLD = 0.5


def segment(
    image: Any,
    model: str | Path | None = None,
    sampling: Sampling | None = None,
    *,
    contrast: str = "auto",
    device: str = "auto",
    precision: str = "auto",
    tile_size: int = 1024,
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
) -> NDArray[np.int32]:
    """Label the pixels of each atomic column.

    The columns are those of `localize` of any score; each grows over the model's column mask, by
    watershed from its place in the column map.

    Parameters
    ----------
    image, model, sampling, contrast, device, precision, tile_size : as in `localize`.

    Returns
    -------
    int32 labels of the image's shape: 0 is no column, k the column with ``label`` k in the table
    of `localize`. Every frame of a stack is numbered from 1.

    Raises
    ------
    ValueError, TypeError, WeightsError, Cancelled
        As in `localize`.
    """
    check_choices(contrast=(contrast, CONTRASTS))
    pixel_size(sampling)
    frames, shape = as_frames(image)
    prediction = inference.predict(
        image,
        ("column_map", "column_mask"),
        model=model,
        sampling=sampling,
        contrast=contrast,
        device=device,
        precision=precision,
        tile_size=tile_size,
        progress=progress,
        cancel=cancel,
    )
    maps = prediction.maps["column_map"].reshape(frames.shape)
    masks = prediction.maps["column_mask"].reshape(frames.shape)
    labels = np.zeros(frames.shape, np.int32)
    for number, frame in enumerate(frames):
        report(progress, cancel, number, len(frames), "Labelling columns")
        if np.ptp(frame) > 0:
            labels[number] = grown_labels(
                columns_from_map(maps[number]), maps[number], masks[number]
            )
    return labels.reshape(shape)


def grown_labels(
    found: Detections, column_map: NDArray[np.float32], column_mask: NDArray[np.float32]
) -> NDArray[np.int32]:
    """Labels (H, W) grown from detections over the mask; every detection keeps its own pixels."""
    mask = (np.nan_to_num(column_mask) > MASK_THRESHOLD) | (found.labels > 0)
    labels: NDArray[np.int32] = watershed(-np.nan_to_num(column_map), found.labels, mask=mask)
    return labels.astype(np.int32)
