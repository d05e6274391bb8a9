"""The frames in which columns are looked for, as a model sees them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from napari_atomseg import weights
from napari_atomseg._shared.types import Array, Image, Sampling
from napari_atomseg._shared.units import mean_sampling
from napari_atomseg.inference.frames import Examined
from napari_atomseg.inference.predicting import Prediction, large_view, predicted, view_of
from napari_atomseg.inference.settings import InferenceSettings
from napari_atomseg.inference.stacks import Frames, StackView
from napari_atomseg.localization.settings import Detector, LocalizeSettings
from napari_atomseg.networks.card import ModelCard, read_card
from napari_atomseg.networks.tasks import COLUMNS, ELEMENTS, predictable
from napari_atomseg.progress import CancelToken, Progress
from napari_atomseg.trust.judge import DENOISED, Judge

COLUMN_MAP, COLUMN_MASK = COLUMNS


@dataclass(frozen=True)
class Model:
    """A model that is used on frames.

    Attributes
    ----------
    examined : the frames.
    path, card : its weights file, and what that says of it.
    view : what the stack settled that the frames are of; None where they settle it themselves.
    """

    examined: Examined
    path: Path
    card: ModelCard
    view: StackView | None = None

    @classmethod
    def of(
        cls,
        examined: Examined,
        name: str | Path | None,
        tasks: Sequence[str] = (),
        view: StackView | None = None,
    ) -> Model:
        """The model of a name, or the default, which is needed for some tasks."""
        path = weights.resolve(name, tasks=tasks)
        return cls(examined, path, read_card(path), view)

    def offered(self, tasks: Sequence[str]) -> list[str]:
        """Those tasks that the model has, and the column map and mask, which follow from others."""
        return [task for task in tasks if task in COLUMNS or task in self.card.tasks]

    def detector(self, chosen: Detector) -> Detector:
        """How the model finds columns where a detector is chosen: of one without a column map, the
        mask is divided by Otsu's threshold.

        Raises
        ------
        ValueError
            It gives neither a column map nor a mask.
        """
        given = predictable(self.card.tasks)
        if chosen == "peaks" or (chosen == "network" and COLUMN_MAP in given):
            return chosen
        if not set(COLUMNS) & set(given):
            raise ValueError(
                f"model {self.card.name!r} finds no columns, its tasks are {', '.join(given)}: "
                f"{weights.choice((COLUMN_MASK,))}, or detector='peaks' without a model"
            )
        return "otsu"

    @property
    def mask(self) -> str:
        """The map that Otsu's threshold divides: the mask, or the column map of a model without."""
        return COLUMN_MASK if COLUMN_MASK in predictable(self.card.tasks) else COLUMN_MAP

    def tasks(self, chosen: LocalizeSettings, detector: Detector) -> list[str]:
        """Maps that `localize` needs.

        Raises
        ------
        ValueError
            Columns are to be measured on a restored image, and the model does not restore.
        """
        if chosen.on != "raw" and DENOISED not in self.card.tasks:
            raise ValueError(
                f"on={chosen.on!r} needs a model that restores images; {self.card.name!r} does not"
            )
        wanted = {"network": [COLUMN_MAP, ELEMENTS], "otsu": [self.mask], "peaks": []}[detector]
        return self.offered([*wanted, DENOISED])

    def predict(
        self,
        tasks: Sequence[str],
        sampling: Sampling | None,
        chosen: InferenceSettings,
        progress: Progress | None,
        cancel: CancelToken | None,
    ) -> Prediction:
        """Maps of the frames; where the precision is left open, columns need half of it."""
        return predicted(
            Frames(self.examined),
            tasks,
            self._applied(chosen),
            sampling,
            self.view,
            progress=progress,
            cancel=cancel,
        )

    def view_of(
        self,
        frames: Frames,
        tasks: Sequence[str],
        sampling: Sampling | None,
        chosen: InferenceSettings,
    ) -> StackView:
        """How the model sees all frames of a stack, see `inference.predicting.view_of`."""
        return view_of(frames, tasks, self._applied(chosen), sampling)

    def large_view(
        self,
        pieces: tuple[Sequence[Image], Examined],
        tasks: Sequence[str],
        sampling: Sampling | None,
        chosen: InferenceSettings,
    ) -> StackView:
        """How the model sees windows of a large image, see `inference.predicting.large_view`."""
        return large_view(pieces, tasks, self._applied(chosen), sampling)

    def _applied(self, chosen: InferenceSettings) -> InferenceSettings:
        known = {name: getattr(chosen, name) for name in InferenceSettings.model_fields}
        precision = "half" if chosen.precision == "auto" else chosen.precision
        return InferenceSettings(**known | {"model": self.path, "precision": precision})

    def judge(
        self, prediction: Prediction, sampling: Sampling | None, least: float | None
    ) -> Judge:
        """How far columns that were found in the maps are trusted; `least` as of `Judge`."""
        pixel = None if sampling is None else mean_sampling(sampling)
        level = None if self.view is None else self.view.level
        return Judge(self.examined, prediction, self.card, self.path, pixel, least, level)

    def restored(self, prediction: Prediction) -> Array:
        """(N, H, W) float64 restored frames."""
        frames = prediction.maps[DENOISED].reshape(self.examined.frames.shape)
        return frames.astype(np.float64)
