"""stemtool 2024.12: maxima and Gaussians, cells of four neighbours, their strain."""

from __future__ import annotations

import numpy as np

from benchmarks.measurements.recipes.scene import Answer, Scene, nearest, relative

PACKAGE = "stemtool"
REPAIRED = "published fits fail with NameError: name 'warnings' is not defined"


def measure(scene: Scene) -> Answer:
    """Columns, mean steps between them, and cells of four columns of the first kind."""
    import stemtool as st

    repair()
    between = scene.second[0] * scene.u + scene.second[1] * scene.v
    pixel = scene.sampling / 10
    atoms = st.afit.atom_fit(scene.image.astype(float), pixel, "nm")
    atoms.peaks_vis(dist=0.6 * np.linalg.norm(between) * pixel, thresh=0.1)
    atoms.refine_peaks()
    columns = atoms.refined_peaks[:, :2]
    # Clicks are whole pixels: the mean steps between columns follow the lattice to the border.
    steps = st.afit.three_neighbors(columns, np.array([scene.u, scene.v], dtype=float))[0]
    axes = np.mean([steps[:, 2:4] - steps[:, :2], steps[:, 4:6] - steps[:, :2]], axis=1)
    cells = st.afit.coords_of_atoms(columns, axes, scene.origin)
    off = np.linalg.norm(cells[:, :2] - cells[:, 6:8], axis=1)
    first = columns[off < np.linalg.norm(between) / 2]
    corners, distances = st.afit.three_neighbors(first, axes)
    middles, _, along_v, *_ = st.afit.relative_strain(corners, axes)
    # Columns of the second kind are displaced from the middles of cells.
    start, target = (first, first + between) if scene.dumbbells else (middles, middles)
    end, near = nearest(columns, target, np.linalg.norm(between) / 3)
    moved = np.concatenate([start, end - start] if scene.dumbbells else [end, end - start], 1)
    lengths = np.mean(distances[:, 1:3], axis=0)
    return Answer(columns, *lengths, moved[near], relative(scene, *middles.T, 1 + along_v))


def repair() -> None:
    """A module that the published fits use and do not import."""
    import warnings

    import stemtool as st

    st.afit.atom_positions.warnings = warnings
