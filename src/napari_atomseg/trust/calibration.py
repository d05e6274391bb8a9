"""Calibrated probabilities: from peaks of a column map to the probability of a column."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from napari_atomseg._shared.types import Array

SHIPPED = Path(__file__).with_name("calibrations.json")
"""Calibrations of the published models, by the SHA-256 of their weights files."""
SUFFIX = ".calibration.json"
"""Suffix of the calibration file beside a weights file of your own."""
SMALLEST = 1e-4
"""Peaks are kept this far from 0 and 1, where the logit diverges."""
FAINTEST = 0.5
"""Lower signals are treated as equal to this."""
RIDGE = 1e-3
"""Ridge penalty of the weights, for those that the examples do not determine."""


class Calibration(BaseModel):
    """Calibration of a model on simulated scenes that it was not trained on.

    Attributes
    ----------
    model, recipe : names of the model and of the recipe of the scenes.
    weights : of 1, of the logit ln(p / (1 - p)) of the map's peak p, of the mean of these logits
        over the image, of the logarithm of the signal (see `Evidence`), and of that over the
        median signal of the image, in the logit of the probability. All but the first are not
        negative: more never makes a column less probable.
    signal : least signal of columns in the scenes, but for the lowest hundredth.
    contrast, spacing : range of the columns' contrast and of the distance to the nearest column,
        pixels as the network sees them, but for a hundredth at either end.
    scores : quality of the probabilities on separate scenes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    recipe: str
    weights: tuple[float, float, float, float, float]
    signal: float = Field(gt=0)
    contrast: tuple[float, float]
    spacing: tuple[float, float]
    scores: dict[str, float] = {}

    def probability(self, peak: Array, signal: Array) -> Array:
        """(N,) probabilities that the columns of one image are real.

        Parameters
        ----------
        peak, signal : (N,) peak of the column map in 0..1, height over its standard error.
        """
        if len(peak) == 0:
            return np.zeros(0)
        logit = features(peak, signal) @ np.array(self.weights)
        return np.asarray(1.0 / (1.0 + np.exp(-logit)))


def find_calibration(sha256: str, weights: Path | None = None) -> Calibration | None:
    """The calibration of a model, or None if it has none.

    Parameters
    ----------
    sha256 : hash of the model's weights file.
    weights : the weights file; without a shipped calibration, NAME.calibration.json beside it is
        used.

    Raises
    ------
    OSError
        A file of calibrations is damaged.
    """
    shipped = read_calibrations(SHIPPED, SHIPPED.stat().st_mtime_ns)
    if sha256 in shipped or weights is None:
        return shipped.get(sha256)
    beside = weights.with_name(weights.stem + SUFFIX)
    if not beside.is_file():
        return None
    return read_calibrations(beside, beside.stat().st_mtime_ns).get(sha256)


@lru_cache(maxsize=8)
def read_calibrations(path: Path, modified: int) -> dict[str, Calibration]:
    """Calibrations of a file by SHA-256; read again when the file has changed (`modified`)."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return {sha256: Calibration.model_validate(each) for sha256, each in content.items()}
    except (ValueError, AttributeError, ValidationError) as error:
        raise OSError(f"{path}: not a file of calibrations ({error})") from error


def features(peak: Array, signal: Array) -> NDArray[np.float64]:
    """(N, 5) terms of the logit of the N columns of one image, see `Calibration.weights`.

    A low mean logit over all columns of an image indicates noise. The last term indicates a column
    without signal among others with a clear one: a lattice continued over a vacancy. An unknown
    signal counts as the faintest.
    """
    p = np.clip(np.asarray(peak, dtype=np.float64), SMALLEST, 1.0 - SMALLEST)
    logit = np.log(p / (1.0 - p))
    heard = np.log(np.fmax(np.asarray(signal, dtype=np.float64), FAINTEST))
    mean, less = np.full_like(p, logit.mean()), np.fmin(heard - np.median(heard), 0.0)
    return np.stack([np.ones_like(p), logit, mean, heard, less], axis=1)


def fit_weights(
    terms: NDArray[np.float64], real: Array
) -> tuple[float, float, float, float, float]:
    """Weights of `Calibration` by logistic regression with non-negative slopes.

    Parameters
    ----------
    terms : (N, 5) `features` of the columns of many images.
    real : (N,) 1 where a column was there, 0 where none was.
    """
    from scipy import optimize

    def loss(weights: Array) -> tuple[float, Array]:
        logit = terms @ weights
        value = np.mean(np.logaddexp(0.0, logit) - real * logit) + RIDGE * np.sum(weights**2)
        slope = terms.T @ (1.0 / (1.0 + np.exp(-logit)) - real) / len(real)
        return float(value), slope + 2 * RIDGE * weights

    bounds = [(None, None), *[(0.0, None)] * 4]
    found = optimize.minimize(loss, np.zeros(5), jac=True, bounds=bounds, method="L-BFGS-B")
    constant, of_peak, of_all, of_signal, of_less = (float(v) for v in found.x)
    return constant, of_peak, of_all, of_signal, of_less


def calibration_error(probability: Array, real: Array, bins: int = 10) -> float:
    """Expected calibration error: |share of real columns - mean probability| over bins, weighted.

    The bins hold equally many columns each (adaptive binning, Nixon et al. 2019).
    """
    order = np.argsort(probability)
    parts = [part for part in np.array_split(order, bins) if len(part)]
    gaps = [len(p) * abs(float(real[p].mean() - probability[p].mean())) for p in parts]
    return float(sum(gaps) / max(len(order), 1))
