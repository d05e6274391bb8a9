"""SingleOrigin 3.0 (GPL-3): the crystal's projected cell is laid on the image, then fitted."""

from __future__ import annotations

import numpy as np

from benchmarks.measurements.recipes.scene import Answer, Scene, sampled

PACKAGE = "SingleOrigin"
REPAIRED = "published fits fail with TypeError: moments() got multiple values for argument 'order'"


def measure(scene: Scene) -> Answer:
    """Fits of all columns, and the lattice of the first kind through them."""
    import SingleOrigin as so

    repair()
    cell = so.UnitCell(scene.structure)
    light = [each for each in scene.light.split(",") if each]
    cell.project_zone_axis(*scene.zone, ignore_elements=light)
    cell.combine_prox_cols(toler=1e-2)
    image = so.image_norm(scene.image.astype(float))
    lattice = so.HRImage(image, pixelSize_cal=scene.sampling).add_lattice("crystal", cell)
    lattice.specify_basis_vectors(scene.u[::-1].astype(float), scene.v[::-1].astype(float))
    click(scene)
    lattice.roi = np.ones(image.shape)
    lattice.select_lattice_origin()
    lattice.make_reference_lattice()
    lattice.fit_atom_columns(parallelize=False, use_circ_gauss=True)
    kind = lattice.unitcell_2D.loc[lattice.origin_atom_column, "elem"]
    lattice.refine_reference_lattice(sites_to_use=[kind])
    table = lattice.at_cols.astype({"u": float, "v": float})
    places = table[["y_fit", "x_fit"]].to_numpy(float)
    lengths = np.linalg.norm(np.array([lattice.a1, lattice.a2], dtype=float), axis=1)
    moved = dumbbells(table) if scene.dumbbells else displacements(table[table["elem"] != kind])
    return Answer(places, *map(float, lengths), moved, strain(scene, image, places))


def displacements(table) -> np.ndarray:
    """From the sites of the reference lattice."""
    places = table[["y_fit", "x_fit"]].to_numpy(float)
    away = places - table[["y_ref", "x_ref"]].to_numpy(float)
    return np.concatenate([places, away], axis=1)


def dumbbells(table) -> np.ndarray:
    """From each column to the one a quarter of the cell further."""
    rounded = table.assign(u=table["u"].round(2), v=table["v"].round(2))
    pairs = rounded.merge(rounded.assign(v=(rounded["v"] - 0.25).round(2)), on=["u", "v"])
    start, end = (pairs[[f"y_fit_{each}", f"x_fit_{each}"]].to_numpy(float) for each in "xy")
    return np.concatenate([start, end - start], axis=1)


def strain(scene: Scene, image: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Along the second side, of the phase of its reflection."""
    import SingleOrigin as so

    phases = so.FourierAnalysis(image)
    phases.pick_fft_peaks(n_peaks=2, sigma=2)
    # As wide in the image as ours: 0.8 periods.
    width = 0.8 * np.linalg.norm(scene.v)
    phases.phase_lock_in(maskSigma=image.shape[0] / (2 * np.pi * width), lockinSigma=width)
    phases.get_strain(plot=False)
    return sampled(scene, phases.strain_maps["exx"], places)


def click(scene: Scene) -> None:
    """What a user clicks on: the origin in the image, and two reflections."""
    import matplotlib.pyplot as plt
    from SingleOrigin.hrimage import find_atom_columns, gpa

    def origin(figax: bool, **_: object):
        return (scene.origin[::-1].astype(float)[None], *plt.subplots()) if figax else None

    def reflections(xy_peaks: np.ndarray, **_: object) -> np.ndarray:
        # The first ones along the sides that the centred cell of dumbbells has.
        spots = scene.spots((0, 4), (2, 0)) if scene.dumbbells else scene.spots((0, 1), (1, 0))
        spots = spots[:, ::-1]
        return np.array([xy_peaks[np.argmin(np.hypot(*(xy_peaks - s).T))] for s in spots])

    find_atom_columns.pick_points, gpa.pick_points = origin, reflections


def repair() -> None:
    """Moments of pixels (x, y, intensity) in the place of scikit-image's of whole images.

    The published fits call the latter with the arguments of the former.
    """
    from SingleOrigin.utils import peakfit

    def moments(x, y, z, order):
        powers = range(order + 1)
        return np.array([[np.sum(x**i * y**j * z) for j in powers] for i in powers])

    def central(x, y, z, order):
        return moments(x - np.average(x, weights=z), y - np.average(y, weights=z), z, order)

    peakfit.moments, peakfit.moments_central = moments, central
