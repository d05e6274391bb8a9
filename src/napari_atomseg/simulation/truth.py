"""The columns of a scene as a table: where they are and how well the dose shows them."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_atomseg.imaging import peak_width
from napari_atomseg.simulation.scene import Scene
from napari_atomseg.specimen import Columns


def column_truth(scene: Scene, ideal: NDArray[np.float32]) -> tuple[pd.DataFrame, Columns]:
    """Columns that can be told apart and whose centres lie in the image.

    Parameters
    ----------
    ideal : (H, W) undistorted image of the scene.

    Returns
    -------
    Table with y, x (pixels), intensity (of the peak) and snr, and the same columns in Å. `snr` is
    the electrons of a column over the deviation of a matched filter's count of them, given what
    lies under the column.
    """
    y, x = scene.labels.y / scene.sampling, scene.labels.x / scene.sampling
    rows, cols = ideal.shape
    inside = (y >= -0.5) & (y < rows - 0.5) & (x >= -0.5) & (x < cols - 0.5)
    labels, y, x = scene.labels.select(inside), y[inside], x[inside]
    peak = labels.weight / scene.scale
    row, col = np.rint(y).astype(int), np.rint(x).astype(int)
    here = ideal[row.clip(0, rows - 1), col.clip(0, cols - 1)]
    under = peak + 2.0 * np.maximum(here - peak, 0.0)
    area = 2 * np.pi * (peak_width(scene.probe) / scene.sampling) ** 2
    snr = peak * np.sqrt(area * scene.noise.peak_counts / under)
    return pd.DataFrame({"y": y, "x": x, "intensity": peak, "snr": snr}), labels
