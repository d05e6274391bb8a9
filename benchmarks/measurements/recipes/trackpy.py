"""trackpy 0.7: particles of one size, by centroids. A lattice is not its business."""

from __future__ import annotations

import numpy as np

from benchmarks.measurements.recipes.scene import Answer, Scene

PACKAGE = "trackpy"


def measure(scene: Scene) -> Answer:
    """Bright spots: a diameter from the distance of columns, the least mass from the masses."""
    import trackpy

    trackpy.quiet()
    apart = np.linalg.norm(scene.second @ np.stack([scene.u, scene.v]))
    diameter = 2 * int(0.4 * apart) + 1
    every = trackpy.locate(scene.image, diameter, separation=0.6 * apart)
    # Its documentation takes the least mass from the gap in the histogram of masses.
    masses = np.sort(every["mass"])
    gap = np.argmax(np.diff(np.log(masses)))
    found = every[every["mass"] > masses[gap]]
    return Answer(found[["y", "x"]].to_numpy())
