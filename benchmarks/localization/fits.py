"""Ways of measuring columns that `bounds` compares, each from the same starts."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable
from functools import partial

import numpy as np
from scipy.optimize import OptimizeWarning, curve_fit

from benchmarks.localization.scenes import Array, Scene
from napari_atomseg.localization.fit.independent import Fits
from napari_atomseg.localization.fit.refinement import Refinement
from napari_atomseg.localization.settings import FitSettings

WINDOW = 0.5
"""Half width of curve_fit's window over the distance of columns."""
ATOMAP_WINDOW = 0.4
"""Part of the distance to the nearest column that Atomap's fits look at, its own default."""

Method = Callable[[Scene], Fits]


def methods(peers: bool) -> dict[str, Method]:
    """What is compared, by name."""
    own = {
        "centroid": Refinement(FitSettings(refine="centroid")),
        "centre of mass": Refinement(FitSettings(refine="centre_of_mass")),
        "single": Refinement(FitSettings(refine="gaussian")),
        "single, elliptic": Refinement(FitSettings(refine="rotated")),
        "joint, shared width": Refinement(FitSettings(refine="joint")),
        "joint, Poisson": Refinement(FitSettings(refine="joint", likelihood="poisson")),
        "joint, free widths": Refinement(FitSettings(refine="joint", widths="free")),
        "joint, one background": Refinement(FitSettings(refine="joint", backgrounds="shared")),
    }
    ways: dict[str, Method] = {name: partial(_ours, way) for name, way in own.items()}
    if peers:
        ways["scipy curve_fit"] = curve_fits
        if importlib.util.find_spec("atomap") is not None:
            ways["Atomap centre of mass"] = partial(_atomap, gaussian=False)
            ways["Atomap 2-D Gaussian"] = partial(_atomap, gaussian=True)
    return ways


def _ours(way: Refinement, scene: Scene) -> Fits:
    return way(scene.image, *scene.start)


def curve_fits(scene: Scene) -> Fits:
    """A round Gaussian and a constant fitted to the square window of each column."""
    half = round(WINDOW * 4 * scene.sigma)
    rows = np.full((7, len(scene.y)), np.nan)
    for number, (y, x) in enumerate(scene.start.T):
        top, left = max(0, round(y) - half), max(0, round(x) - half)
        window = scene.image[top : round(y) + half + 1, left : round(x) + half + 1]
        places = np.indices(window.shape).reshape(2, -1) + np.array([[top], [left]])
        first = [float(np.ptp(window)), y, x, scene.sigma, float(window.min())]
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", OptimizeWarning)
                found, spread = curve_fit(_round, places, window.ravel(), first, maxfev=400)
        except RuntimeError:
            continue
        error = np.sqrt(np.diag(spread)[1:3])
        rows[:, number] = [found[1], found[2], *error, abs(found[3]), found[0], found[4]]
    return Fits.of(rows, *scene.start)


def _round(places: Array, *values: float) -> Array:
    height, y, x, sigma, ground = values
    square = (places[0] - y) ** 2 + (places[1] - x) ** 2
    return np.asarray(height * np.exp(-0.5 * square / sigma**2) + ground)


def _atomap(scene: Scene, *, gaussian: bool) -> Fits:
    """Atomap's refinement; it gives no errors."""
    from atomap.api import Sublattice

    sublattice = Sublattice(scene.start[::-1].T, scene.image)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sublattice.find_nearest_neighbors()
        if gaussian:
            sublattice.refine_atom_positions_using_2d_gaussian(
                percent_to_nn=ATOMAP_WINDOW, show_progressbar=False
            )
        else:
            sublattice.refine_atom_positions_using_center_of_mass(
                percent_to_nn=ATOMAP_WINDOW, show_progressbar=False
            )
    rows = np.full((7, len(scene.y)), np.nan)
    rows[0], rows[1] = sublattice.y_position, sublattice.x_position
    return Fits.of(rows, *scene.start)
