"""The columns that a model found in an image, judged by the raw image and by its training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import ndimage

from napari_atomseg._shared.geometry import nearest_distances, nearest_pixels
from napari_atomseg._shared.types import Array, Mask
from napari_atomseg.inference.predicting import Prediction, signs_of
from napari_atomseg.inference.scale import SPACING_PER_SCALE
from napari_atomseg.inference.stacks import Level
from napari_atomseg.networks.card import ModelCard
from napari_atomseg.trust.calibration import Calibration, find_calibration
from napari_atomseg.trust.consistency import Consistency, consistency
from napari_atomseg.trust.order import two_dimensional_order
from napari_atomseg.trust.scores import Evidence, evidence

TOLERANCE = 0.1
"""Fraction of columns that may be out of range in an image that counts as within it."""
MOSTLY = 0.5
"""Fraction of columns without order, or of unlikely ones, in an image that counts as without."""
UNORDERED = 0.3
"""Order below which columns are as those of speckle or of fringes."""
FEWEST_ORDERED = 20
"""Columns in an image from which on the lack of order, or of likely ones, means something."""
INSIDE = "inside the training range"
OUTSIDE = "outside the training range: "
UNKNOWN = "no columns to judge the image by"


@dataclass(frozen=True)
class TrainingRange:
    """Range of images that the training of a model covered.

    Attributes
    ----------
    sampling : Å per pixel of the training images, where known.
    spacing : distance of a column to the nearest one, pixels as the network sees them; None
        where it does not matter.
    signal, contrast : of columns, see `Evidence`; None without a calibration.
    ordered : whether the columns of an image have two-dimensional order.
    """

    sampling: tuple[float, float] | None
    spacing: tuple[float, float] | None
    signal: float | None = None
    contrast: tuple[float, float] | None = None
    ordered: bool = False

    @classmethod
    def of(cls, card: ModelCard, calibration: Calibration | None) -> TrainingRange:
        """Range from the card, and from the calibration where there is one."""
        if calibration is None:
            return cls(card.sampling_range, card.spacing_range)
        return cls(
            card.sampling_range,
            calibration.spacing,
            calibration.signal,
            calibration.contrast,
            calibration.knows_order,
        )

    def flags(
        self, y: Array, x: Array, seen: Evidence, magnification: float | Array
    ) -> dict[str, Mask]:
        """(N,) columns of one frame that are out of range, by reason; unknown values are not."""
        found = {}
        if self.spacing is not None:
            found["distance"] = to_nearest(y, x) * magnification < self.spacing[0]
        if self.ordered and len(y) >= FEWEST_ORDERED:
            found["order"] = seen.order < UNORDERED
        if self.signal is not None:
            found["signal"] = seen.signal < self.signal
        if self.contrast is not None:
            low, high = self.contrast
            found["contrast"] = (seen.contrast < low) | (seen.contrast > high)
        return found

    def verdict(
        self,
        flags: Sequence[dict[str, Mask]],
        sampling: float | None,
        spacing: float | None,
        doubted: float = 0.0,
    ) -> str:
        """One line on an image or stack: `INSIDE`, or `OUTSIDE` and why, or `UNKNOWN`.

        Parameters
        ----------
        flags : flags of the frames.
        sampling : Å per pixel as the network sees them, None if unknown.
        spacing : median distance between nearest columns, pixels as the network sees them; None
            where there are none.
        doubted : fraction of the network's detections that are more likely not columns.
        """
        reasons = []
        if sampling is not None and self.sampling is not None:
            low, high = self.sampling
            if not low <= sampling <= high:
                reasons.append(f"pixels of {sampling:.3g} Å (trained on {low:.3g}-{high:.3g} Å)")
        if spacing is not None and self.spacing is not None:
            low, high = self.spacing
            if not low <= spacing <= high:
                reasons.append(
                    f"columns {spacing:.3g} px apart (trained on {low:.3g}-{high:.3g} px)"
                )
        for name, words in (
            ("signal", "are fainter against the noise than in training"),
            ("contrast", "have another contrast than in training"),
            ("order", "have no two-dimensional order, as in films, speckle and fringes"),
        ):
            parts = [each[name] for each in flags if name in each]
            share = float(np.concatenate(parts).mean()) if sum(map(len, parts)) else 0.0
            if share > (MOSTLY if name == "order" else TOLERANCE):
                reasons.append(f"{100 * share:.0f} % of the columns {words}")
        if doubted > MOSTLY:
            reasons.append(
                f"{100 * doubted:.0f} % of the network's detections are probably not columns"
            )
        if reasons:
            return OUTSIDE + "; ".join(reasons)
        columns = spacing is not None or any(len(mask) for each in flags for mask in each.values())
        return INSIDE if columns else UNKNOWN


def to_nearest(y: Array, x: Array) -> Array:
    """(N,) distances to the nearest column, pixels; NaN for a single one."""
    return nearest_distances(np.stack([y, x], axis=1)) if len(y) > 1 else np.full(len(y), np.nan)


def region_in_range(
    shape: tuple[int, int], y: Array, x: Array, in_range: Mask, reach: float
) -> Mask:
    """(H, W) pixels whose nearest column is in range, or farther away than `reach` (px).

    Parameters
    ----------
    y, x, in_range : (N,) positions and flags of the columns of one frame.
    """
    if len(y) == 0:
        return np.ones(shape, dtype=bool)
    number = np.full(shape, -1)
    number[nearest_pixels(shape, y, x)] = np.arange(len(y))
    distance, nearest = ndimage.distance_transform_edt(number < 0, return_indices=True)
    inside: Mask = np.asarray(in_range, dtype=bool)[number[tuple(nearest)]] | (distance > reach)
    return inside


DENOISED = "denoise"
"""The map that the raw image is tested against."""
LIKELY = 0.5
"""Probability below which a detection is more likely not a column."""


class Judge:
    """Judges the columns of an image or stack frame by frame, and then the whole.

    Parameters
    ----------
    image : (..., H, W) raw image, or what `examine` made of it.
    prediction : maps of the model for the image, with `DENOISED` where the model has it.
    card, weights : card and weights file of the model.
    sampling : Å a pixel, or None.
    least : score below which columns are rejected; by default `LIKELY` where scores are
        probabilities, and 0 where they are not.
    level : of the image that this one is a window of.
    """

    def __init__(
        self,
        image: Any,
        prediction: Prediction,
        card: ModelCard,
        weights: Path,
        sampling: float | None,
        least: float | None = None,
        level: Level | None = None,
    ) -> None:
        self._spread = 0.0 if level is None else level.scale
        restored = prediction.maps.get(DENOISED)
        self.test: Consistency | None = None
        if restored is not None:
            width = prediction.spacing / SPACING_PER_SCALE
            self.test = consistency(image, restored, sigma=width, scales=())
        self.calibration = find_calibration(prediction.sha256, weights)
        self.least = (LIKELY if self.calibrated else 0.0) if least is None else least
        self._limits = TrainingRange.of(card, self.calibration)
        self._signs = signs_of(prediction.contrasts)
        zoom = float(prediction.settings["zoom"])
        self._sampling = None if sampling is None else sampling / zoom
        self._flags: list[dict[str, Mask]] = []
        self._distances: list[Array] = []
        self._scores: list[Array] = []

    @property
    def calibrated(self) -> bool:
        """Whether scores are probabilities."""
        return self.calibration is not None and self.test is not None

    def seen(self, frame: int, y: Array, x: Array) -> Evidence:
        """Evidence of the raw image for columns at y and x (N,), pixels of one frame."""
        if self.test is None:
            return Evidence.unknown(len(y))
        return evidence(self.test, frame, y, x, self._signs[frame], self._spread)

    def columns(
        self, frame: int, y: Array, x: Array, peak: Array, magnification: Array
    ) -> pd.DataFrame:
        """Table with a row for each column: `score`, `consistency`, `signal` and `in_range`.

        Those with a score below `least` do not count in the verdict.

        The score is the calibrated probability where the model has a calibration and shows
        `DENOISED`, else the `peak` (N,) of its column map.

        Parameters
        ----------
        y, x : (N,) positions, pixels of the frame.
        magnification : (N,) of the image in which each was found.
        """
        seen = self.seen(frame, y, x)
        score = peak
        if self.calibration is not None and self.test is not None:
            score = self.calibration.probability(peak, seen)
        self._scores.append(np.asarray(score, dtype=float))
        believed = score >= self.least
        if self.test is not None and believed.sum() >= FEWEST_ORDERED:
            # Doubtful detections between the others would give these more or less order.
            order, shape = seen.order.copy(), self.test.expected.shape[-2:]
            order[believed] = two_dimensional_order(y[believed], x[believed], shape)
            seen = replace(seen, order=order)
        flags = self._limits.flags(y, x, seen, magnification)
        self._flags.append({reason: flag[believed] for reason, flag in flags.items()})
        near = to_nearest(y[believed], x[believed]) * magnification[believed]
        self._distances.append(near)
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
        spacing = float(np.median(near)) if len(near) else None
        return self._limits.verdict(self._flags, self._sampling, spacing, self._doubted())

    def _doubted(self) -> float:
        """Fraction of the detections that are more likely not columns; 0 where unknown."""
        scores = np.concatenate([np.zeros(0), *self._scores])
        if not self.calibrated or len(scores) < FEWEST_ORDERED:
            return 0.0
        return float((scores < LIKELY).mean())
