"""What a training tells those who watch it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.float32]
Preview = dict[str, tuple[Picture, Picture, Picture]]


@dataclass(frozen=True)
class News:
    """How far a training is, told after each step and after each validation.

    Attributes
    ----------
    step, steps : steps done, and of how many.
    loss : of the last step's batch.
    seconds_left : estimate from the time that the steps have taken, without pauses.
    entry : the new row of the log, at validations: "step", "loss", "validation_loss",
        "validation_TASK" and the scores (see `Validation.score`).
    preview : at validations, of each task whose truth is known of any validation image: that
        image (H, W), prediction and truth, (H, W) each, for "elements" (E, H, W). Intensities are
        in units of the image's deviation, all others probabilities.
    """

    step: int
    steps: int
    loss: float
    seconds_left: float
    entry: dict[str, float] | None = None
    preview: Preview | None = None
