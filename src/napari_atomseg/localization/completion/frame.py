"""The columns of one frame: those of the detector, completed by what the residual shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_atomseg._shared.types import Array, Indices, Mask
from napari_atomseg.localization.completion.columns import DETECTED, Columns
from napari_atomseg.localization.completion.doubtful import doubles
from napari_atomseg.localization.completion.search import search
from napari_atomseg.localization.detect import Detections
from napari_atomseg.localization.fit.independent import Fits
from napari_atomseg.localization.fit.refinement import Refinement
from napari_atomseg.localization.fit.windows import nearest_neighbours
from napari_atomseg.localization.settings import FitSettings
from napari_atomseg.progress import CancelToken, tell, within
from napari_atomseg.trust.correlation import NoiseCorrelation

FITS = 0.4
"""Part of the time that the fits take, about; the search for missing columns is the rest."""
FEW = 0.3
"""If more of the columns than this are new or next to new ones, all are fitted again."""


@dataclass(frozen=True)
class Completed:
    """Columns of one frame: the detections that remain, then those added.

    Attributes
    ----------
    y, x : (N,) where measurements start, pixels.
    score : (N,) of the detector, or the probability of what was added.
    label : (N,) numbers of the detections; those added have further ones.
    found_by : (N,) name of the detector, "sublattice" or "residual".
    significance : (N,) height in the raw image over its noise, NaN where it is unknown.
    detections : (D,) which detections remain; they are the first of the N columns.
    fits : Gaussians of the columns.
    notes : what was added and dropped, one sentence each.
    """

    y: Array
    x: Array
    score: Array
    label: Indices
    found_by: NDArray[np.str_]
    significance: Array
    detections: Mask
    fits: Fits
    notes: list[str]

    def __len__(self) -> int:
        return len(self.y)

    @property
    def added(self) -> slice:
        """Those of the columns that the detector did not find."""
        return slice(int(self.detections.sum()), None)

    def extended(self, judged: pd.DataFrame, consistency: Array, signal: Array) -> pd.DataFrame:
        """Trust in all columns: that in the detections (D rows), and in what was added.

        Parameters
        ----------
        judged : `score`, `consistency`, `signal` and `in_range` of the detections.
        consistency, signal : of the columns added. They are not in the range of a model that did
            not find them.
        """
        new = pd.DataFrame(
            {
                "score": self.score[self.added],
                "consistency": consistency,
                "signal": signal,
                "in_range": np.zeros(len(signal), dtype=bool),
            }
        )
        kept = judged[self.detections]
        whole = pd.concat([kept, new], ignore_index=True) if len(new) else kept
        return whole.reset_index(drop=True).assign(score=self.score)


@dataclass(frozen=True)
class Completion:
    """Completes the columns that a detector found in a frame.

    Attributes
    ----------
    fit : settings of fits, of which the likelihood counts.
    device : where they run.
    sensitivity : expected number of false columns in a frame; 0 adds and drops none.
    detector : its name.
    least : score of the columns that are believed.
    frames, pixel, noise : see `Refinement`.
    """

    fit: FitSettings
    device: str
    sensitivity: float
    detector: str
    least: float
    frames: Array | None = None
    pixel: tuple[float, float] | None = None
    noise: NoiseCorrelation | None = None

    def __call__(
        self,
        image: Array,
        found: Detections,
        score: Array,
        hints: Array | None = None,
        cancel: CancelToken | None = None,
    ) -> Completed:
        """Columns of an (H, W) image of bright columns whose detections have scores (D,).

        `hints` (M, 2) are further places where the detector sees something, None for everywhere.
        """
        gaussians = Refinement(
            self.fit.updated(refine="gaussian"),
            self.device,
            frames=self.frames,
            pixel=self.pixel,
            noise=self.noise,
        )

        def measure(columns: Columns, former: Fits, new: Mask) -> Fits:
            _, near = nearest_neighbours(columns.y, columns.x)
            changed = new.copy()
            changed[near[new][near[new] >= 0]] = True
            if changed.mean() > FEW:
                known = former.only(~new[: len(former.y)]).among(~new, columns.y, columns.x)
                return gaussians(image, columns.y, columns.x, cancel, known)
            fits = gaussians.some(image, columns.y, columns.x, changed, cancel)
            return _merged(former, fits, changed)

        columns = Columns.of(found.y, found.x, score, score >= self.least)
        with within(0.0, FITS):
            fits = gaussians(image, found.y, found.x, cancel)
            second = doubles(columns, fits) if self.sensitivity > 0 else np.zeros(len(found), bool)
            if second.any():
                columns = columns.only(~second)
                fits = measure(columns, fits.only(~second), ~np.isfinite(fits.amplitude)[~second])
        if hints is not None:
            hints = np.concatenate([hints, np.stack([found.y, found.x], axis=1)])
        with within(FITS, 1.0):
            tell("Looking at what the columns leave", 0.0)
            result = search(image, columns, fits, self.sensitivity, measure, hints)
        keep, columns = ~result.dropped, result.columns
        # Those taken out before are dropped detections, too.
        own = np.flatnonzero(~second)
        numbers = np.append(own, len(found) + np.arange(len(columns) - len(own))) + 1
        kept = np.zeros(len(found), dtype=bool)
        kept[own] = keep[: len(own)]
        source = np.where(columns.source == DETECTED, self.detector, columns.source)
        return Completed(
            columns.y[keep],
            columns.x[keep],
            columns.score[keep],
            numbers[keep],
            source[keep],
            columns.significance[keep],
            kept,
            result.fits.only(keep),
            result.notes + _on_doubles(int(second.sum())),
        )


def _on_doubles(count: int) -> list[str]:
    if not count:
        return []
    plural, verb = ("detections", "were") if count > 1 else ("detection", "was")
    return [f"{count} {plural} on a column that was detected already {verb} dropped"]


def _merged(former: Fits, fits: Fits, changed: Mask) -> Fits:
    """Fits of changed columns among all, the others as they were."""
    rows, at_rest = fits.rows(), fits.converged.copy()
    old = np.flatnonzero(~changed)
    rows[:, old], at_rest[old] = former.rows()[:, old], former.converged[old]
    y, x = fits.y.copy(), fits.x.copy()
    y[old], x[old] = former.y[old], former.x[old]
    merged = Fits.of(rows, y, x, at_rest)
    return replace(merged, converged=at_rest, noise=former.noise)


def frame_notes(notes: Sequence[list[str]]) -> list[str]:
    """Notes on frames, with their numbers where there are several."""
    if len(notes) == 1:
        return list(notes[0])
    return [f"frame {number}: {note}" for number, each in enumerate(notes) for note in each]
