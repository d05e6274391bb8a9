"""SciPy alone: maxima of the smoothed image, and a Gaussian fitted to each of them."""

from __future__ import annotations

import numpy as np

from benchmarks.measurements.recipes.scene import Answer, Scene

PACKAGE = "scipy"


def measure(scene: Scene) -> Answer:
    """`maximum_filter` for columns, `curve_fit` of a round Gaussian and a level around each."""
    from scipy.ndimage import gaussian_filter, maximum_filter
    from scipy.optimize import curve_fit

    def gaussian(places, height, y, x, width, level):
        return level + height * np.exp(
            -((places[0] - y) ** 2 + (places[1] - x) ** 2) / (2 * width**2)
        )

    apart = np.linalg.norm(scene.second @ np.stack([scene.u, scene.v]))
    smooth = gaussian_filter(scene.image, 0.15 * apart)
    peaks = (smooth == maximum_filter(smooth, int(0.6 * apart))) & (smooth > smooth.mean())
    reach, found = int(0.35 * apart), []
    for y, x in np.argwhere(peaks):
        rows, cols = np.mgrid[y - reach : y + reach + 1, x - reach : x + reach + 1]
        inside = (rows >= 0) & (cols >= 0)
        inside &= (rows < scene.image.shape[0]) & (cols < scene.image.shape[1])
        values = scene.image[rows[inside], cols[inside]]
        start = (np.ptp(values), y, x, 0.2 * apart, values.min())
        try:
            fit, _ = curve_fit(gaussian, (rows[inside], cols[inside]), values, start)
        except RuntimeError:
            continue
        found.append(fit[1:3])
    return Answer(np.array(found))
