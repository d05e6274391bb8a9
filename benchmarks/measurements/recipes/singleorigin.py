"""SingleOrigin 3.0 (GPL-3): the crystal's projected cell is laid on the image, then fitted."""

from __future__ import annotations

import numpy as np

from benchmarks.measurements.recipes.scene import Answer, Scene


def measure(scene: Scene) -> Answer:
    """Fits of all columns, and the lattice of the first kind through them."""
    import SingleOrigin as so
    from scipy.ndimage import gaussian_filter, gaussian_laplace

    cell = so.UnitCell(scene.structure)
    light = [each for each in scene.light.split(",") if each]
    cell.project_zone_axis(*scene.zone, ignore_elements=light)
    cell.combine_prox_cols(toler=1e-2)
    image = so.image_norm(scene.image.astype(float))
    lattice = so.HRImage(image, pixelSize_cal=scene.sampling).add_lattice("crystal", cell)
    lattice.specify_basis_vectors(scene.u[::-1].astype(float), scene.v[::-1].astype(float))
    # In the place of a click on the origin.
    lattice.sigma = so.get_feature_size(gaussian_filter(image, 2))
    sharp = so.image_norm(-gaussian_laplace(image, lattice.sigma))
    lattice.min_dist = apart = lattice.get_min_atom_col_dist()
    lattice.xy_peaks = np.argwhere(so.detect_peaks(sharp, min_dist=apart / 2) > 0)[:, ::-1] * 1.0
    lattice.x0y0 = scene.origin[::-1].astype(float)
    lattice.make_reference_lattice()
    lattice.fit_atom_columns(parallelize=False)
    kind = next(iter(lattice.at_cols["elem"]))
    lattice.refine_reference_lattice(sites_to_use=[kind])
    table = lattice.at_cols.dropna(subset=["x_fit", "y_fit"])
    places = table[["y_fit", "x_fit"]].to_numpy(float)
    lengths = np.linalg.norm(np.array([lattice.a1, lattice.a2], dtype=float), axis=1)
    away = places - table[["y_ref", "x_ref"]].to_numpy(float)
    other = (table["elem"] != kind).to_numpy()
    moved = np.concatenate([places, away], axis=1)[other]
    return Answer(places, float(lengths[0]), float(lengths[1]), moved)
