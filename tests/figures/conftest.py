from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

SAMPLING = 0.2


@pytest.fixture
def table() -> pd.DataFrame:
    """A square lattice of 4 x 5 columns, 10 px apart, at 0.2 Å per pixel."""
    y, x = (each.ravel() * 10.0 + 5 for each in np.indices((4, 5)))
    number = np.arange(20)
    columns = pd.DataFrame(
        {
            "y": y,
            "x": x,
            "volume": 100.0 + number,
            "sublattice": number % 2,
            "dy_pm": np.where(number % 2, 20.0, -10.0),
            "dx_pm": 0.0,
        }
    )
    columns.attrs["sampling"] = SAMPLING
    return columns


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).poisson(20, (40, 60)).astype(np.float32)
