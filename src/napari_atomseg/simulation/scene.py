"""A scene: every number that one simulated image is made of."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from napari_atomseg.imaging import Probe
from napari_atomseg.specimen import Columns, Thickness

Array = NDArray[np.float64]


def _no_waves() -> Array:
    return np.zeros((0, 4))


@dataclass(frozen=True)
class Background:
    """What lies under the columns, in units of the brightest column's peak.

    `matrix` follows the thickness (the signal between the columns of a thick crystal); `speckle`
    is the contrast of an amorphous film at the resolution of the probe; `waves` and `blobs`
    (rows y, x, height, sigma in Å) are slow, `ramp` is (dy, dx) across the field.
    """

    constant: float = 0.0
    ramp: tuple[float, float] = (0.0, 0.0)
    matrix: float = 0.0
    speckle: float = 0.0
    waves: Array = field(default_factory=_no_waves)
    blobs: Array = field(default_factory=_no_waves)


@dataclass(frozen=True)
class Noise:
    """Distortions. Lengths are in Å, intensities in units of the brightest column's peak.

    `peak_counts` are the electrons in the brightest pixel of a lone brightest column (infinite:
    no shot noise); `hum` is amplitude (Å) and cycles a line; `decay` the bleeding between pixels.
    """

    peak_counts: float = np.inf
    jitter: float = 0.0
    jitter_correlation: float = 0.0
    hum: tuple[float, float] = (0.0, 0.0)
    decay: float = 0.0
    line_offset: float = 0.0
    line_gain: float = 0.0
    readout: float = 0.0
    hot_fraction: float = 0.0
    hot_height: float = 0.0


@dataclass(frozen=True)
class Scene:
    """One image to render.

    Attributes
    ----------
    columns : all columns that scatter, in Å from the centre of the image's first pixel.
    labels : the columns that can be told apart (`resolve_columns`).
    sampling : Å a pixel.
    scale : weight of a column whose peak has intensity 1.
    """

    columns: Columns
    labels: Columns
    sampling: float
    probe: Probe
    thickness: Thickness
    background: Background
    noise: Noise
    scale: float
    seed: tuple[int, int]
