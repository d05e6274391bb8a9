"""The columns that a model found in an image, judged by the raw image and by its training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from napari_atomseg._shared.types import Array, Mask
from napari_atomseg.inference.api import Prediction
from napari_atomseg.networks.card import ModelCard
from napari_atomseg.trust.calibration import find_calibration
from napari_atomseg.trust.consistency import Consistency, consistency
from napari_atomseg.trust.limits import Limits, to_nearest
from napari_atomseg.trust.scores import Evidence, evidence

DENOISED = "denoise"
"""The map that the raw image is tested against."""
LIKELY = 0.5
"""Probability below which what was found is more likely no column."""


class Judge:
    """Judges the columns of an image or stack, frame by frame, and then the whole of it.

    Parameters
    ----------
    image : (..., H, W) raw.
    prediction : of the model for it, with the map `DENOISED` where the model has it.
    card, weights : of the model.
    sampling : Å a pixel, or None.
    least : score below which columns are not believed; by default `LIKELY` where scores are
        probabilities, and 0 where they are not.
    """

    def __init__(
        self,
        image: Any,
        prediction: Prediction,
        card: ModelCard,
        weights: Path,
        sampling: float | None,
        least: float | None = None,
    ) -> None:
        restored = prediction.maps.get(DENOISED)
        self.test: Consistency | None = None if restored is None else consistency(image, restored)
        self.calibration = find_calibration(prediction.sha256, weights)
        self.least = (LIKELY if self.calibrated else 0.0) if least is None else least
        self._limits = Limits.of(card, self.calibration)
        self._sign = -1.0 if prediction.contrast == "dark" else 1.0
        self._zoom = float(prediction.settings["zoom"])
        self._sampling = None if sampling is None else sampling / self._zoom
        self._flags: list[dict[str, Mask]] = []
        self._distances: list[Array] = []

    @property
    def calibrated(self) -> bool:
        """Whether scores are probabilities."""
        return self.calibration is not None and self.test is not None

    def seen(self, frame: int, y: Array, x: Array) -> Evidence:
        """What the raw image says of columns at y and x (N,), pixels of one frame."""
        if self.test is None:
            return Evidence.unknown(len(y))
        return evidence(self.test, frame, y, x, self._sign)

    def columns(self, frame: int, y: Array, x: Array, peak: Array) -> pd.DataFrame:
        """A row a column: `score`, `consistency`, `signal` and `in_range`.

        Those with a score below `least` do not count in the verdict.

        The score is the calibrated probability where the model has a calibration and shows
        `DENOISED`, else the `peak` (N,) of its column map.
        """
        seen = self.seen(frame, y, x)
        score = peak
        if self.calibration is not None and self.test is not None:
            score = self.calibration.probability(peak, seen.signal)
        flags = self._limits.flags(y, x, seen, self._zoom)
        believed = score >= self.least
        self._flags.append({reason: flag[believed] for reason, flag in flags.items()})
        self._distances.append(to_nearest(y[believed], x[believed]))
        return pd.DataFrame(
            {
                "score": score,
                "consistency": seen.consistency,
                "signal": seen.signal,
                "in_range": ~np.any([np.zeros(len(y), dtype=bool), *flags.values()], axis=0),
            }
        )

    def verdict(self) -> str:
        """One line on all frames judged so far: within the training of the model, or why not."""
        near = np.concatenate([np.zeros(0), *self._distances])
        near = near[np.isfinite(near)]
        spacing = float(np.median(near)) * self._zoom if len(near) else None
        return self._limits.verdict(self._flags, self._sampling, spacing)
