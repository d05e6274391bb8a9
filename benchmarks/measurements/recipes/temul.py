"""TEMUL toolkit 0.1.9 (GPL-3): Atomap's sublattices and its own polarization and strain."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from benchmarks.measurements.recipes import atomap
from benchmarks.measurements.recipes.scene import Answer, Scene


def measure(scene: Scene) -> Answer:
    """Atomap's answer with the strain between planes."""
    answer = atomap.measure(scene)
    if not scene.rest.any():
        return answer
    return replace(answer, strain=strain(scene))


def strain(scene: Scene) -> np.ndarray:
    """Distances of the planes across x, over their mean in the unstrained part."""
    from temul.topotem.polarisation import get_strain_map

    first, _ = atomap.both(scene)
    first.construct_zone_axes()
    planes = first.zones_axis_average_distances.index(atomap.side(first, scene.u))
    _, x, y, percent = get_strain_map(
        first, planes, np.linalg.norm(scene.v), sampling=1.0, return_x_y_z=True
    )
    x, y, ratio = np.array(x), np.array(y), 1 + np.array(percent) / 100
    still = (x > scene.rest[0]) & (x < scene.rest[1])
    return np.stack([y, x, ratio / np.mean(ratio[still]) - 1], axis=1)
