"""kemstem 0.0.6: maxima and Gaussians, vectors to neighbours, geometric phases."""

from __future__ import annotations

import numpy as np

from benchmarks.measurements.recipes.scene import Answer, Scene, sampled

PACKAGE = "kemstem"


def measure(scene: Scene) -> Answer:
    """All columns are fitted at once and sorted by their place in the cell."""
    from kemstem.atomic import columnfind, neighborhood

    corners = [s * scene.u + t * scene.v for s in (-0.5, 0.5) for t in (-0.5, 0.5)]
    between = scene.second[0] * scene.u + scene.second[1] * scene.v
    near = np.linalg.norm(between)
    image = scene.image.astype(float)
    start = columnfind.find_columns(image, distance=int(0.4 * near), threshold=0.05)
    window = 2 * int(0.3 * near) + 1
    columns = columnfind.refine_columns(image, start, window_dimension=window, verbose=False)[0]
    reach = int(max(image.shape) / np.linalg.norm(scene.u)) + 2
    grid = (columns, scene.origin, scene.u, scene.v)
    cells = neighborhood.index_lattice(*grid, near / 3, reach, reach)[1]
    sides = [cells[1:] - cells[:-1], cells[:, 1:] - cells[:, :-1]]
    lengths = [float(np.nanmean(np.hypot(*np.moveaxis(each, -1, 0)))) for each in sides]
    first = cells[np.isfinite(cells[..., 0])]
    if scene.dumbbells:
        across = neighborhood.get_vector_to_neighbors(columns, first, between, near / 3)
        moved = np.concatenate([first, across], axis=1)
        moved = moved[np.isfinite(across[:, 0])]
        return Answer(columns, *lengths, moved, strain(scene, image, first))
    offset = scene.origin + 0.5 * (scene.u + scene.v)
    cells = neighborhood.index_lattice(columns, offset, scene.u, scene.v, near / 3, reach, reach)[1]
    second = cells[np.isfinite(cells[..., 0])]
    around = [
        neighborhood.get_vector_to_neighbors(first, second, each, near / 3) for each in corners
    ]
    shift = -np.mean(around, axis=0)
    moved = np.concatenate([second, shift], axis=1)[np.isfinite(shift[:, 0])]
    return Answer(columns, *lengths, moved, strain(scene, image, second))


def strain(scene: Scene, image: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Of the phases of two reflections, at places of columns."""
    from kemstem.fourier.fourierfilter import fourier_filter
    from kemstem.fourier.peakpick import refine_peaks_com
    from kemstem.fourier.phaselock import gpa
    from kemstem.fourier.strain import calculate_strain_tensor

    pattern = np.fft.fftshift(np.fft.fft2(image))
    # The nearest ones that the centred cell of dumbbells has.
    marks = scene.spots((1, 1), (-1, 1)) if scene.dumbbells else scene.spots((1, 0), (0, 1))
    spots = np.asarray(refine_peaks_com(np.abs(pattern), marks, 5)).reshape(-1, 2)
    # As wide in the image as ours: 0.8 periods.
    sigma = image.shape[0] / (2 * np.pi * 0.8 * np.linalg.norm(scene.u))
    phases = [gpa(fourier_filter(pattern, spot, sigma)[0], spot) for spot in spots]
    e_xx, e_yy, e_xy, _ = calculate_strain_tensor(*phases, *spots)
    y, x = scene.v / np.linalg.norm(scene.v)
    return sampled(scene, x * x * e_xx + y * y * e_yy + 2 * x * y * e_xy, places)
