"""napari-atomseg: no distance, cell or click is given."""

from __future__ import annotations

import numpy as np

from benchmarks.measurements.recipes.scene import Answer, Scene, none


def measure(scene: Scene) -> Answer:
    """Columns, lattice, displacements or dumbbells, and strain."""
    import napari_atomseg as atomseg
    from napari_atomseg import analysis, measurements

    columns = atomseg.localize(scene.image, sampling=scene.sampling)
    report = measurements.lattice(columns, sampling=scene.sampling)
    lattice = report.lattice
    places = columns[["y", "x"]].to_numpy()
    if scene.dumbbells:
        pairs = analysis.neighbours(columns, count=1)
        start, end = (places[pairs[name]] for name in ("column", "neighbour"))
        moved = np.concatenate([start, end - start], axis=1)
        return Answer(places, *sides(scene, lattice.vectors), moved)
    shifts = measurements.displacements(report.columns, lattice=lattice, sampling=scene.sampling)
    moved = shifts.table[["y", "x", "dy", "dx"]].to_numpy()
    strain = none(3)
    if scene.rest.any():
        region = (0, scene.rest[0], len(scene.image), scene.rest[1])
        strained = measurements.strain(columns, sampling=scene.sampling, reference=region)
        strain = strained.table[["y", "x", "eps_xx"]].dropna().to_numpy()
    return Answer(places, *sides(scene, lattice.vectors), moved, strain)


def sides(scene: Scene, vectors: np.ndarray) -> list[float]:
    """Lengths of the vectors, in the order of the scene's."""
    turned = abs(vectors[0] @ scene.u) < abs(vectors[1] @ scene.u)
    return [float(np.linalg.norm(each)) for each in (vectors[::-1] if turned else vectors)]
