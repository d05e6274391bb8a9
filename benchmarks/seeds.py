"""The seeds of all benchmarks.

No training may use one of these, and no two benchmarks the same: what is tested has been seen by no
network, and figures of today can be made again.
"""

from __future__ import annotations

import numpy as np

ALIGN = 990_023
APGAN = 620_001
CALIBRATION = 4021
CARDS = 880_001
DETECTION_BARS = 770_001
DETECTION_CONDITIONS = 770_009
DETECTION_CONTRAST = 770_007
DETECTION_NEGATIVES = 770_003
DETECTION_SERIES = 770_005
DUMBBELLS = 20_263
ISOLATED_AND_OVERLAPPING = 20_260
LOSSES = 910_001
MEASUREMENTS = 20_261
PRECISION = 810_001
RESTORATION = 990_017
SCAN_LINES = 990_019
STUDIES = 990_103
STUDIES_MULTISLICE = 990_101


def generator(seed: int, *numbers: int) -> np.random.Generator:
    """Random numbers of their own for each part of a benchmark."""
    return np.random.default_rng((seed, *numbers))
