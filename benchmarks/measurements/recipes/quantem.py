"""quantem 0.1: its lattice of an image, which is all that the published package has of columns."""

from __future__ import annotations

import numpy as np

from benchmarks.measurements.recipes.scene import Answer, Scene, none

PACKAGE = "quantem"


def measure(scene: Scene) -> Answer:
    """Origin and sides that collect the most intensity."""
    from quantem.imaging.lattice import Lattice

    lattice = Lattice.from_data(scene.image.astype(float))
    lattice.define_lattice_vectors(scene.origin, scene.u, scene.v, block_size=5)
    _, u, v = np.asarray(lattice._lat)
    return Answer(none(2), float(np.linalg.norm(u)), float(np.linalg.norm(v)))
