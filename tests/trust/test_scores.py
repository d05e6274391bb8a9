"""Evidence for columns does not depend on units of intensity."""

from __future__ import annotations

import numpy as np

from napari_atomseg.trust.consistency import consistency
from napari_atomseg.trust.scores import evidence


def test_an_offset_and_a_scale_change_no_evidence() -> None:
    rng = np.random.default_rng(3)
    y, x = (v.ravel() + rng.uniform(-0.5, 0.5, v.size) for v in np.mgrid[6:96:11, 6:96:11])
    rows, cols = np.mgrid[:96, :96]
    # Not round, or both curvatures would be wrong alike.
    away = (rows - y[:, None, None]) ** 2 / 6.0 + (cols - x[:, None, None]) ** 2 / 14.0
    restored = 50.0 * np.exp(-away).sum(axis=0) + 5.0
    image = rng.poisson(restored).astype(np.float64)
    plain, moved = (
        evidence(consistency(scale * image + offset, scale * restored + offset, sigma=2.0), 0, y, x)
        for scale, offset in ((1.0, 0.0), (1e-3, -20.0))
    )
    for name in ("consistency", "signal", "contrast", "roundness", "order"):
        np.testing.assert_allclose(getattr(moved, name), getattr(plain, name), rtol=1e-3, atol=2e-3)
