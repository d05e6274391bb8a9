"""Calibrated probabilities: from peaks of a column map to the probability of a column."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from napari_atomseg._shared.plain_json import read_json_file
from napari_atomseg._shared.types import Array
from napari_atomseg.trust.scores import Evidence

SHIPPED = Path(__file__).with_name("calibrations.json")
"""Calibrations of the published models, by the SHA-256 of their weights files."""
SUFFIX = ".calibration.json"
"""Suffix of the calibration file beside a weights file of your own."""
SMALLEST = 1e-4
"""Peaks are kept this far from 0 and 1, where the logit diverges."""
FAINTEST = 0.5
"""Lower signals are treated as equal to this."""
FLATTEST = 0.05
"""Lower roundness is treated as equal to this."""
RIDGE = 1e-3
"""Ridge penalty of the weights, for those that the examples do not determine."""


class Calibration(BaseModel):
    """Calibration of a model on simulated scenes that it was not trained on.

    Attributes
    ----------
    model, recipe : names of the model and of the recipe of the scenes.
    weights : of the `features` in the logit of the probability, those of roundness and order may
        be missing. All but the first are not negative: more never makes a column less probable.
    signal : least signal of columns in the scenes, but for the lowest hundredth.
    contrast, spacing : range of the columns' contrast and of the distance to the nearest column,
        pixels as the network sees them, but for a hundredth at either end.
    scores : quality of the probabilities on separate scenes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    recipe: str
    weights: tuple[float, ...] = Field(min_length=5, max_length=9)
    signal: float = Field(gt=0)
    contrast: tuple[float, float]
    spacing: tuple[float, float]
    scores: dict[str, float] = {}

    @property
    def knows_order(self) -> bool:
        """Whether roundness and order count."""
        return len(self.weights) > 5

    def probability(self, peak: Array, seen: Evidence) -> Array:
        """(N,) probabilities that the columns of one image are real.

        Parameters
        ----------
        peak : (N,) peaks of the column map in 0..1.
        seen : evidence of the raw image for these columns.
        """
        if len(peak) == 0:
            return np.zeros(0)
        logit = features(peak, seen)[:, : len(self.weights)] @ np.array(self.weights)
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
        content = read_json_file(path)
        return {sha256: Calibration.model_validate(each) for sha256, each in content.items()}
    except (ValueError, AttributeError, ValidationError) as error:
        raise OSError(f"{path}: not a file of calibrations ({error})") from error


def features(peak: Array, seen: Evidence) -> NDArray[np.float64]:
    """(N, 9) terms of the logit of the N columns of one image.

    These are 1; the logit ln(p / (1 - p)) of the map's peak p; the mean of these logits over the
    image, which is low for noise; the logarithm of the signal; that over the median signal of the
    image where it is less, as it is for a lattice continued over a vacancy; the logarithms of the
    roundness and of its median, which is low for fringes; the two-dimensional order and its mean,
    which is low for speckle and films. What is unknown counts as the least.
    """
    p = np.clip(np.asarray(peak, dtype=np.float64), SMALLEST, 1.0 - SMALLEST)
    logit = np.log(p / (1.0 - p))
    heard = np.log(np.fmax(np.asarray(seen.signal, dtype=np.float64), FAINTEST))
    mean, less = np.full_like(p, logit.mean()), np.fmin(heard - np.median(heard), 0.0)
    one, shape = np.ones_like(p), np.fmax(seen.roundness, FLATTEST)
    of_all, order = np.log(np.median(shape)), np.nan_to_num(seen.order)
    terms = [one, logit, mean, heard, less, np.log(shape), of_all * one, order, order.mean() * one]
    return np.stack(terms, axis=1)


def fit_weights(terms: NDArray[np.float64], real: Array) -> tuple[float, ...]:
    """Weights of `Calibration` by logistic regression with non-negative slopes.

    Parameters
    ----------
    terms : (N, K) `features` of the columns of many images.
    real : (N,) 1 where a column was there, 0 where none was.
    """
    from scipy import optimize

    def loss(weights: Array) -> tuple[float, Array]:
        logit = terms @ weights
        value = np.mean(np.logaddexp(0.0, logit) - real * logit) + RIDGE * np.sum(weights**2)
        slope = terms.T @ (1.0 / (1.0 + np.exp(-logit)) - real) / len(real)
        return float(value), slope + 2 * RIDGE * weights

    count = terms.shape[1]
    bounds = [(None, None), *[(0.0, None)] * (count - 1)]
    found = optimize.minimize(loss, np.zeros(count), jac=True, bounds=bounds, method="L-BFGS-B")
    return tuple(float(v) for v in found.x)


def calibration_error(probability: Array, real: Array, bins: int = 10) -> float:
    """Expected calibration error: |share of real columns - mean probability| over bins, weighted.

    The bins hold equally many columns each (adaptive binning, Nixon et al. 2019).
    """
    order = np.argsort(probability)
    parts = [part for part in np.array_split(order, bins) if len(part)]
    gaps = [len(p) * abs(float(real[p].mean() - probability[p].mean())) for p in parts]
    return float(sum(gaps) / max(len(order), 1))
