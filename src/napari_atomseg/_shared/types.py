"""Types that all rooms share: arrays by what they hold, and the sampling of an image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_atomseg._shared.sampling import Sampling as Sampling

Array = NDArray[np.float64]
"""Positions, spectra and other numbers in double precision."""
Image = NDArray[np.float32]
"""Intensities or probabilities of pixels."""
Indices = NDArray[np.int64]
"""Numbers of columns, atoms or sites."""
Labels = NDArray[np.int32]
"""(H, W) number of the region that a pixel belongs to; zero for none."""
Mask = NDArray[np.bool_]
"""Pixels or columns that are meant."""
