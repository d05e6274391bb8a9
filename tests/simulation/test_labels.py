"""Label images of the truth."""

from __future__ import annotations

import numpy as np

from napari_atomseg.simulation.result import label_columns


def test_pixels_of_the_mask_belong_to_the_nearest_column() -> None:
    y, x = np.mgrid[:40, :60]
    positions = np.array([[20.0, 20.0], [20.0, 32.0], [4.0, 50.0]])
    apart = np.hypot(y - positions[:, :1, None], x - positions[:, 1:, None])
    mask = (apart.min(axis=0) < 8).astype(np.float32)  # the first two overlap
    labels = label_columns(mask, positions)
    assert labels.dtype == np.int32
    assert np.array_equal(labels > 0, mask > 0)
    assert np.array_equal(labels[labels > 0] - 1, apart.argmin(axis=0)[labels > 0])


def test_without_columns_there_is_no_label() -> None:
    assert not label_columns(np.ones((8, 8), np.float32), np.empty((0, 2))).any()
