"""stemtool 2024.12: maxima and Gaussians, cells of four neighbours, their strain."""

from __future__ import annotations

import numpy as np

from benchmarks.measurements.recipes.scene import Answer, Scene, nearest, relative

PACKAGE = "stemtool"
REPAIRED = "published fits fail with NameError: name 'warnings' is not defined"


def measure(scene: Scene) -> Answer:
    """Columns, axes of the pattern, and cells of four columns of the first kind."""
    import stemtool as st

    repair()
    between = scene.second[0] * scene.u + scene.second[1] * scene.v
    atoms = st.afit.atom_fit(scene.image.astype(float), scene.sampling, "Å")
    atoms.peaks_vis(dist=0.6 * np.linalg.norm(between) * scene.sampling, thresh=0.1)
    atoms.refine_peaks()
    columns = atoms.refined_peaks[:, :2]
    axes = pattern_axes(scene)
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


def pattern_axes(scene: Scene) -> np.ndarray:
    """Sides of the cell, from the two spots of the pattern that a user marks."""
    import stemtool as st

    image, size = scene.image - np.mean(scene.image), np.array(scene.image.shape)
    orders = np.array([2, 4] if scene.dumbbells else [1, 1])
    marks = scene.spots((orders[0], 0), (0, orders[1]))
    spots = np.array([st.afit.fourier_mask(image, mark[::-1], 6)[2][::-1] for mark in marks])
    spots = size / 2 + (spots - size / 2) / orders[:, None]
    return st.afit.find_coords(image, size / 2, *spots, np.array([1, 0]), np.array([0, 1]))


def repair() -> None:
    """A module that the published fits use and do not import."""
    import warnings

    import stemtool as st

    st.afit.atom_positions.warnings = warnings
