"""Finds the columns of a frame, in the maps of a network or as peaks, and completes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_atomseg._shared.types import Array
from napari_atomseg.inference.predicting import Prediction
from napari_atomseg.localization.completion.frame import Completed, Completion
from napari_atomseg.localization.detect import (
    Detections,
    columns_from_mask,
    columns_from_peaks,
    species_of,
)
from napari_atomseg.localization.fit.refinement import levelled
from napari_atomseg.localization.joining import columns_of, hints_of
from napari_atomseg.localization.settings import FitSettings
from napari_atomseg.networks.tasks import ELEMENTS
from napari_atomseg.progress import CancelToken, tell, within
from napari_atomseg.trust.judge import Judge


@dataclass(frozen=True)
class Search:
    """Finds the columns of a frame, and completes them by what the raw image shows.

    Attributes
    ----------
    find, complete : the detector, and what adds to its columns and drops some.
    judge : gives the scores of what a network finds; without it they are those of the detector.
    raw : (N, H, W) frames as recorded.
    fit : settings of fits.
    """

    find: Finder
    complete: Completion
    judge: Judge | None
    raw: Array
    fit: FitSettings

    def __call__(
        self, number: int, cancel: CancelToken | None
    ) -> tuple[Detections, pd.DataFrame | None, Completed]:
        """What the detector finds in a frame, how it is judged, and the columns that remain."""
        with within(0.0, 0.15):
            tell("Dividing the map of columns into regions", 0.0)
            found, judged = self.find(number), None
        if self.judge is not None:
            tell("Judging columns by the recorded image", 0.15)
            judged = self.judge.columns(number, found.y, found.x, found.score, found.magnification)
        score = found.score if judged is None else judged["score"].to_numpy()
        plane, _ = levelled(self.raw[number], self.fit)
        hints = self.find.hints(number, found)
        image = self.find.signs[number] * plane
        with within(0.25, 1.0):
            return found, judged, self.complete(image, found, score, hints, cancel)


@dataclass(frozen=True)
class Finder:
    """Finds the columns of a frame, in the maps of a network or as peaks of the image.

    Attributes
    ----------
    mask : the map that is divided by Otsu's threshold; without it, the column map is read.
    """

    frames: NDArray[Any]
    signs: Sequence[float]
    spacings: Sequence[float]
    prediction: Prediction | None
    mask: str = ""

    def __call__(self, number: int) -> Detections:
        """The columns of a frame; none where it is constant."""
        frame = self.frames[number]
        if np.ptp(frame) == 0:
            return Detections.none(frame.shape)
        if self.prediction is None:
            return columns_from_peaks(self.signs[number] * frame, self.spacings[number])
        if self.mask:
            masks = self.prediction.maps[self.mask].reshape(self.frames.shape)
            return columns_from_mask(masks[number])
        return columns_of(self.prediction, number)

    def hints(self, number: int, found: Detections) -> Array:
        """(M, 2) further places in a frame where the network sees something; none of peaks or
        masks.
        """
        if self.prediction is None or self.mask or not len(found):
            return np.zeros((0, 2))
        return hints_of(self.prediction, found, number)

    def species(
        self, number: int, found: Detections, columns: Completed
    ) -> NDArray[np.str_] | None:
        """(N,) species of the columns of a frame; None where the network does not give them."""
        if self.prediction is None or ELEMENTS not in self.prediction.maps:
            return None
        maps = self.prediction.maps[ELEMENTS]
        maps = maps.reshape(len(self.frames), -1, *self.frames.shape[1:])[number]
        row, col = (
            np.clip(np.rint(v[columns.added]), 0, n - 1).astype(int)
            for v, n in zip((columns.y, columns.x), maps.shape[1:], strict=True)
        )
        names = np.array(self.prediction.species)
        new = names[maps[:, row, col].argmax(axis=0)]
        return np.append(species_of(found, maps, self.prediction.species)[columns.detections], new)
