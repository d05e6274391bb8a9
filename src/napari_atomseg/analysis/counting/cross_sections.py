"""Cross-sections of columns as integrals of the image, with nothing assumed of their shape."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.spatial import QhullError, Voronoi, cKDTree

from napari_atomseg._shared.objects import takes_images
from napari_atomseg._shared.types import Array
from napari_atomseg.analysis.positions import positions_of

ACROSS = 12
"""Points of a cell's radius at least, by which a pixel's part in a cell is found."""
CORNER = 1.02
"""Reach over the farthest corner of a typical cell."""
BLOCK = 500_000
"""Points in work at once."""


@takes_images("image")
def integrate_columns(
    image: ArrayLike,
    columns: pd.DataFrame,
    *,
    reach: float | None = None,
    background: float = 0.0,
    gain: float | None = None,
    deviation: float = 0.0,
) -> pd.DataFrame:
    """Integrate the image over the share of each column: what is nearer to it than to any other.

    This is the cross-section of a column that `simulate_library` simulates, light between the
    columns included, where the ``volume`` of a Gaussian fit takes that for background (E et al.,
    Ultramicroscopy 133, 109, 2013). The image must be normalized to the beam for such a comparison,
    with its zero at no scattering.

    Parameters
    ----------
    image : (H, W).
    columns : table with `y`, `x` (px).
    reach : px about a column that its share does not go beyond, as at the rim of a particle; by
        default to the corners of the shares of columns within the crystal.
    background : intensity without a specimen, taken off.
    gain : intensity of one electron, for the error: pixels have the variance ``gain * intensity``.
        None for no shot noise.
    deviation : standard deviation of further normal noise of a pixel.

    Returns
    -------
    The table with ``integral`` (intensity times px²; NaN where the border of the image or a pixel
    that is not finite cuts the share) and, where a noise is given, ``integral_err``. Count with
    ``value="integral"``.

    Raises
    ------
    ValueError
        An argument is wrong, or there are too few columns for a reach.
    """
    picture = np.asarray(image, dtype=np.float64)
    if picture.ndim != 2:
        raise ValueError(f"image has the shape {picture.shape}; a single image is needed")
    if deviation < 0 or (gain is not None and gain <= 0):
        raise ValueError(f"gain={gain!r} and deviation={deviation!r} do not describe a noise")
    points = positions_of(columns)
    if not np.isfinite(points).all():
        raise ValueError("columns must have finite positions")
    far = _typical_corner(points) if reach is None else float(reach)
    if not far > 0:
        raise ValueError(f"reach={reach!r} must be positive, in px")
    total, area = _sums(picture - background, points, far)
    result = columns.assign(integral=total)
    if gain is not None or deviation:
        shot = 0.0 if gain is None else gain * np.maximum(total + background * area, 0.0)
        result["integral_err"] = np.sqrt(shot + deviation**2 * area)
    return result


def _sums(picture: Array, points: Array, far: float) -> tuple[Array, Array]:
    """(N,) integrals and areas of the shares; NaN of those that something cuts."""
    fine = max(1, math.ceil(ACROSS / far))
    offset = (np.arange(fine) + 0.5) / fine - 0.5
    # A frame that no share may touch stands for what lies beyond the image.
    framed = np.pad(picture, 1, constant_values=np.nan)
    rows = (np.arange(-1, picture.shape[0] + 1)[:, None] + offset).ravel()
    cols = (np.arange(-1, picture.shape[1] + 1)[:, None] + offset).ravel()
    total, area = np.zeros(len(points)), np.zeros(len(points))
    if not len(points):
        return total, area
    tree = cKDTree(points)
    for block in np.array_split(np.arange(len(rows)), math.ceil(len(rows) * len(cols) / BLOCK)):
        places = np.stack(np.meshgrid(rows[block], cols, indexing="ij"), axis=-1).reshape(-1, 2)
        distance, nearest = tree.query(places, distance_upper_bound=far)
        held = np.flatnonzero(np.isfinite(distance))
        owner = np.asarray(nearest)[held]
        values = framed[block[held // len(cols)] // fine, held % len(cols) // fine]
        total += np.bincount(owner, values, len(points))
        area += np.bincount(owner, minlength=len(points))
    # Columns beyond the frame have nothing to add up.
    beyond = np.any((points < -0.5) | (points > np.array(picture.shape) - 0.5), axis=1)
    return np.where(beyond, np.nan, total / fine**2), area / fine**2


def _typical_corner(points: Array) -> float:
    """Distance of the farthest corner of a share, px: the median of those that neighbours close."""
    try:
        cells = Voronoi(points)
    except (QhullError, ValueError) as error:
        raise ValueError(f"{len(points)} columns are too few to estimate it: give reach") from error
    found = []
    for point, region in enumerate(cells.point_region):
        corners = cells.regions[region]
        if corners and -1 not in corners:
            found.append(np.hypot(*(cells.vertices[corners] - points[point]).T).max())
    if not found:
        raise ValueError(f"{len(points)} columns are too few to estimate it: give reach")
    return CORNER * float(np.median(found))
