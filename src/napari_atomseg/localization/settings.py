"""Options of `localize`: how columns are found, and how each is measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypedDict

from napari_atomseg.inference.scan.settings import Scan, ScanSettings
from napari_atomseg.inference.settings import ADVANCED, InferenceOptions, InferenceSettings
from napari_atomseg.settings import Settings, setting

if TYPE_CHECKING:
    from napari_atomseg._shared.types import Array
    from napari_atomseg.trust.correlation import NoiseCorrelation

Shape = Literal["gaussian", "elliptic", "rotated"]
"""Round columns, ellipses along the axes of the image, and ellipses along any axes."""
Refine = Literal["none", "centroid", "centre_of_mass", "gaussian", "elliptic", "rotated", "joint"]
Widths = Literal["shared", "free"]
Backgrounds = Literal["local", "shared"]
Likelihood = Literal["auto", "gaussian", "poisson"]
MapDetector = Literal["network", "otsu"]
"""Detectors that read the maps of a network."""
Detector = Literal["network", "otsu", "peaks"]
MeasuredImage = Literal["raw", "restored", "both"]
Edge = Literal["keep", "drop"]


class FitSettings(Settings):
    """How columns at given positions are measured."""

    refine: Refine = setting(
        "gaussian",
        "Refine by",
        "Fits give standard errors, widths and volumes. Gaussian: round columns, one by one. "
        "Elliptic: along the axes of the image, or rotated. Joint: all columns together, where "
        "they overlap. Centroid: of the intensity, in the column's cell, or in a disc as centre "
        "of mass. None: as detected.",
        choices={
            "gaussian": "Gaussian fit",
            "elliptic": "elliptic fit",
            "rotated": "rotated elliptic fit",
            "joint": "joint fit",
            "centre_of_mass": "centre of mass",
            "centroid": "centroid",
            "none": "nothing",
        },
    )
    widths: Widths = setting(
        "shared",
        "Widths",
        "Widths of a joint fit: one that all columns share, or a free one each.",
        section=ADVANCED,
    )
    backgrounds: Backgrounds = setting(
        "local",
        "Background",
        "Background of a joint fit: local, one for each column, or shared by all. A shared one "
        "gives more precise volumes where the background is even.",
        choices={"local": "one for each column", "shared": "one for all"},
        section=ADVANCED,
    )
    likelihood: Likelihood = setting(
        "auto",
        "Noise",
        "Noise that fits assume: poisson of counts, gaussian of one deviation, or auto, a mixture "
        "estimated from the residuals.",
        choices={"auto": "automatic", "poisson": "Poisson", "gaussian": "Gaussian"},
        section=ADVANCED,
    )
    frames: int | None = setting(
        None,
        "Frames averaged",
        "How many aligned frames of counts the image is the mean of. With Poisson noise it is then "
        "known, however alignment has shared it among pixels, and not estimated.",
        limits=(1, 1_000_000),
        none="not known",
        section=ADVANCED,
    )


class ScoreSettings(Settings):
    """Which of the columns that are found are kept."""

    min_score: float | None = setting(
        None,
        "Lowest score",
        "Columns with a lower score are dropped; 0 keeps all that is found. Automatic: 0.5 where "
        "scores are probabilities, as those of calibrated models are, else 0.",
        limits=(0.0, 1.0),
        step=0.05,
        decimals=2,
        none="automatic",
        section=ADVANCED,
    )
    sensitivity: float = setting(
        0.05,
        "False columns",
        "Columns that the detector missed are looked for in what the others leave of the raw "
        "image, alone and as whole sublattices, and those without intensity are dropped. The "
        "number of false ones expected in an image of noise; 0 turns the search off.",
        limits=(0.0, 10.0),
        step=0.05,
        decimals=3,
        section=ADVANCED,
    )


class LabelSettings(ScoreSettings):
    """How the columns that are labelled are found, and which of them are kept."""

    detector: MapDetector = setting(
        "network",
        "Find with",
        "Network: columns of the model's column map. Otsu: the model's mask, divided into columns "
        "by Otsu's threshold, as AtomSegNet and AP-GAN do; models that give a mask alone are read "
        "so in any case.",
        choices={"network": "network", "otsu": "mask, by Otsu's threshold"},
        section=ADVANCED,
    )


class DetectionSettings(ScoreSettings):
    """How columns are found, on which image they are measured, and which of them are kept."""

    detector: Detector = setting(
        "network",
        "Find with",
        "Network: the trained model, robust to noise. Otsu: the model's mask, divided into columns "
        "by Otsu's threshold, as AtomSegNet and AP-GAN do; models that give a mask alone are read "
        "so in any case. Peaks: maxima of the smoothed image.",
        choices={
            "network": "network",
            "otsu": "mask, by Otsu's threshold",
            "peaks": "peaks",
        },
    )
    on: MeasuredImage = setting(
        "raw",
        "Measured on",
        "The raw image gives standard errors. A restored one has less noise but may contain what "
        "the network expects, and gives none. Both: the restored values beside the raw ones.",
        choices={"raw": "the raw image", "restored": "the restored image", "both": "both"},
        section=ADVANCED,
    )
    edge: Edge = setting(
        "keep",
        "At the edge",
        "Whether columns that the border of the image cuts are kept or dropped.",
        section=ADVANCED,
    )


class LocalizeSettings(InferenceSettings, FitSettings, DetectionSettings, ScanSettings):
    """All settings of `localize`."""


class FitOptions(TypedDict, total=False):
    """The settings of a fit but `refine`, as keywords of functions."""

    widths: Widths
    backgrounds: Backgrounds
    likelihood: Likelihood
    frames: Any
    noise: Any


class LocalizeOptions(InferenceOptions, FitOptions, total=False):
    """All settings but the model and `refine`, as keywords of `localize`."""

    detector: Detector
    on: MeasuredImage
    edge: Edge
    min_score: float | None
    sensitivity: float
    scan: Scan


def frame_weights(options: dict[str, Any], shape: tuple[int, ...]) -> Array | None:
    """Take the number of frames in each pixel from keywords, if it is one for each.

    Parameters
    ----------
    options : keywords; an array in ``frames`` is taken out of them.
    shape : (H, W) of the image.

    Raises
    ------
    ValueError
        It is of another shape, negative, or nowhere positive.
    """
    import numpy as np  # The command line reads the settings, and is quick.

    if options.get("frames") is None or np.ndim(options["frames"]) == 0:
        return None
    weights = np.asarray(options.pop("frames"), dtype=np.float64)
    if weights.shape != shape:
        raise ValueError(f"frames has shape {weights.shape}; it must be a number or {shape}")
    if not (np.isfinite(weights).all() and weights.min() >= 0 and weights.max() > 0):
        raise ValueError("frames must be numbers of frames, not negative, and somewhere positive")
    return weights


def known_noise(options: dict[str, Any]) -> NoiseCorrelation | None:
    """Take how far pixels share their noise from keywords, if it is known.

    Parameters
    ----------
    options : keywords; ``noise`` is taken out of them: a `NoiseCorrelation`, or the correlation
        (a + 1, b + 1) at distances of 0..a and 0..b pixels along y and x.

    Raises
    ------
    ValueError
        It is no correlation.
    """
    import numpy as np

    from napari_atomseg.trust.correlation import NoiseCorrelation

    given = options.pop("noise", None)
    if given is None or isinstance(given, NoiseCorrelation):
        return given
    quadrant = np.asarray(given, dtype=np.float64)
    if quadrant.ndim != 2 or not np.isfinite(quadrant).all() or not np.all(quadrant[:1, :1] > 0):
        raise ValueError(
            f"noise has shape {quadrant.shape}; it must be a NoiseCorrelation, or finite "
            "correlations (a + 1, b + 1), the first of them positive"
        )
    return NoiseCorrelation.from_moments(quadrant)
