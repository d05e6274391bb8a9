"""Ground truth of a segmentation: which pixel belongs to which column."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def label_columns(mask: NDArray[np.float32], positions: NDArray[np.float64]) -> NDArray[np.int32]:
    """Return a label image (H, W): in the mask the number of the nearest column, 0 elsewhere.

    Parameters
    ----------
    mask : (H, W), above zero on columns, such as the target `circular_mask`.
    positions : (N, 2) y and x in pixels; column n has the label n + 1.
    """
    from scipy.spatial import cKDTree

    labels = np.zeros(mask.shape, dtype=np.int32)
    inside = np.argwhere(mask > 0)
    if len(inside) and len(positions):
        _, nearest = cKDTree(positions).query(inside)
        labels[tuple(inside.T)] = np.asarray(nearest) + 1
    return labels
