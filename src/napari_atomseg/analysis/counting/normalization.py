"""Detector normalization: images in fractions of the incident beam, as simulations have them."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from skimage.filters import threshold_otsu

from napari_atomseg._shared.geometry import median_spacing
from napari_atomseg._shared.objects import takes_images
from napari_atomseg._shared.types import Array
from napari_atomseg.analysis.positions import Positions, positions_of

AWAY = 2.0
"""Spacings from every column from which on a pixel is of the vacuum."""
FEWEST = 100
"""Pixels of the vacuum from which its level is taken."""
DIMMEST = 0.05
"""Least of the mean that a flat field may have."""


@takes_images("image", "flat")
def normalize(
    image: ArrayLike, *, vacuum: float, beam: float, flat: ArrayLike | None = None
) -> Array:
    """Signal of a detector in fractions of the incident beam.

    The image is (I - vacuum) / (beam - vacuum), divided by the flat field over its mean (LeBeau and
    Stemmer, Ultramicroscopy 108, 1653, 2008).

    Parameters
    ----------
    image : (..., H, W) as recorded.
    vacuum : signal without scattering, as beside the specimen: the detector's offset.
    beam : signal of the full beam on the detector, as by `beam_level`.
    flat : (H, W) image of an even illumination, without the vacuum level; None for a detector
        that is equally sensitive in the whole image.

    Raises
    ------
    ValueError
        The beam is not above the vacuum, or the flat field is of another shape, or nearly dark.
    """
    picture = np.asarray(image, dtype=np.float64)
    if not np.isfinite([vacuum, beam]).all() or not beam > vacuum:
        raise ValueError(f"beam={beam!r} must be above the vacuum level, {vacuum!r}")
    whole = (picture - vacuum) / (beam - vacuum)
    if flat is None:
        return np.asarray(whole)
    field = np.asarray(flat, dtype=np.float64)
    if field.shape != picture.shape[-2:]:
        raise ValueError(f"flat has the shape {field.shape}, and the image {picture.shape[-2:]}")
    relative = field / field.mean()
    if not np.all(relative > DIMMEST):
        raise ValueError(
            f"flat must be above {DIMMEST:g} of its mean in all pixels: give an image of an even "
            "illumination without its dark level"
        )
    return np.asarray(whole / relative)


@takes_images("detector")
def beam_level(
    detector: ArrayLike, exponent: float = 0.0, hole: tuple[float, float] | None = None
) -> tuple[float, float]:
    """Signal of the full beam, from an image of the detector that the beam has scanned.

    The mean over the active area, found by Otsu's threshold. If more is scattered to small angles
    than to large ones, the inner parts count more, as r^-`exponent` with r from the centre of
    the hole (Martinez et al., Ultramicroscopy 159, 46, 2015).

    Parameters
    ----------
    detector : (H, W), with the same gain as the images.
    exponent : 0 for the plain mean.
    hole : (y, x) of the optical axis, px; None takes the centre of the active area.

    Returns
    -------
    The level, and the level beside the detector, which is that of the vacuum.

    Raises
    ------
    ValueError
        The image shows no detector.
    """
    picture = np.asarray(detector, dtype=np.float64)
    if picture.ndim != 2 or not np.isfinite(picture).all() or not np.ptp(picture) > 0:
        raise ValueError("detector must be an image (H, W) of the detector, with finite pixels")
    active = picture > threshold_otsu(picture)
    dark = float(np.median(picture[~active]))
    places = np.argwhere(active).astype(np.float64)
    centre = places.mean(axis=0) if hole is None else np.asarray(hole, dtype=np.float64)
    radius = np.maximum(np.hypot(*(places - centre).T), 1.0)
    return float(np.average(picture[active], weights=radius**-exponent)), dark


@takes_images("image")
def vacuum_level(image: ArrayLike, columns: Positions) -> tuple[float, float]:
    """Level of an image far from its columns, and its standard error.

    The median of the pixels farther than two spacings from every column, with the error of
    independent pixels.

    Parameters
    ----------
    image : (H, W); pixels that are not finite do not count.
    columns : table with `y` and `x` (px), or (N, 2).

    Raises
    ------
    ValueError
        Fewer than a hundred pixels are that far from all columns.
    """
    from scipy.ndimage import distance_transform_edt

    picture = np.asarray(image, dtype=np.float64)
    points = positions_of(columns)
    inside = np.all((points > -0.5) & (points < np.array(picture.shape) - 0.5), axis=1)
    empty = np.ones(picture.shape, dtype=bool)
    empty[tuple(np.rint(points[inside]).astype(int).T)] = False
    far = (
        distance_transform_edt(empty) > AWAY * median_spacing(points) if len(points) > 1 else empty
    )
    values = picture[far & np.isfinite(picture)]
    if len(values) < FEWEST:
        raise ValueError(
            "the image shows no vacuum: give its level, as of an image beside the specimen, or a "
            "region without specimen"
        )
    middle = float(np.median(values))
    spread = 1.4826 * float(np.median(np.abs(values - middle)))
    return middle, 1.2533 * spread / float(np.sqrt(len(values)))
