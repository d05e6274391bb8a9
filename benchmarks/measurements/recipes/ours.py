"""napari-atomseg: no distance, cell or click is given."""

from __future__ import annotations

import numpy as np

from benchmarks.measurements.recipes.scene import Answer, Scene

PACKAGE = "napari-atomseg"


def measure(scene: Scene) -> Answer:
    """Columns, lattice, displacements or dumbbells, and strain."""
    import napari_atomseg as atomseg
    from napari_atomseg import analysis, measurements

    columns = atomseg.localize(scene.image, sampling=scene.sampling)
    report = measurements.lattice(columns, sampling=scene.sampling)
    lattice, sampling = report.lattice, scene.sampling
    places = columns[["y", "x"]].to_numpy()
    if scene.dumbbells:
        pairs = analysis.neighbours(columns, count=1)
        start, end = (places[pairs[name]] for name in ("column", "neighbour"))
        moved = np.concatenate([start, end - start], axis=1)
    else:
        shifts = measurements.displacements(
            report.columns, lattice=lattice, sampling=scene.sampling
        )
        moved = shifts.table[["y", "x", "dy", "dx"]].to_numpy()
    region = (0, scene.rest[0], len(scene.image), scene.rest[1])
    strained = measurements.strain(columns, sampling=sampling, reference=region)
    return Answer(places, *sides(scene, lattice.vectors), moved, along(scene, strained.table))


def along(scene: Scene, table) -> np.ndarray:
    """Strain along the second side; y points up in its tensor."""
    table = table.dropna(subset=["eps_xx"])
    y, x = scene.v / np.linalg.norm(scene.v) * [-1, 1]
    tensor = x * x * table["eps_xx"] + y * y * table["eps_yy"] + 2 * x * y * table["eps_xy"]
    return np.stack([table["y"], table["x"], tensor], axis=1)


def sides(scene: Scene, vectors: np.ndarray) -> list[float]:
    """Lengths of the vectors, in the order of the scene's."""
    turned = abs(vectors[0] @ scene.u) < abs(vectors[1] @ scene.u)
    return [float(np.linalg.norm(each)) for each in (vectors[::-1] if turned else vectors)]
