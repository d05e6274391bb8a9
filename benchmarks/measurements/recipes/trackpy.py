"""trackpy 0.7: particles of one size, by centroids. A lattice is not its business."""

from __future__ import annotations

import numpy as np

from benchmarks.measurements.recipes.scene import Answer, Scene

PACKAGE = "trackpy"


def measure(scene: Scene) -> Answer:
    """Bright spots with a diameter from the distance of columns; of any mass."""
    import trackpy

    trackpy.quiet()
    apart = np.linalg.norm(scene.second @ np.stack([scene.u, scene.v]))
    found = trackpy.locate(scene.image, 2 * int(0.4 * apart) + 1, separation=0.6 * apart)
    return Answer(found[["y", "x"]].to_numpy())
