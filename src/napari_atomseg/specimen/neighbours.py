"""Distances between columns."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree


def nearest_distances(points: NDArray[Any]) -> NDArray[np.float64]:
    """(N,) distance of each of N ≥ 2 points, (N, 2), to its nearest neighbour."""
    distance, _ = cKDTree(points).query(points, k=2)
    return np.asarray(distance, dtype=np.float64)[:, 1]
