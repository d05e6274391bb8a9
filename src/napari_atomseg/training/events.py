"""The events of a training, its table of scores, and curves for TensorBoard."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_atomseg._shared.files import whole_file
from napari_atomseg._shared.types import Image

Preview = dict[str, tuple[Image, Image, Image]]


@dataclass(frozen=True)
class TrainingEvent:
    """How far a training is, after a step or a validation.

    Attributes
    ----------
    step, steps : steps done, and of how many.
    loss : of the last step's batch.
    seconds_left : estimate from the time that the steps have taken, without pauses.
    entry : the new row of the log, at validations: "step", "loss", "validation_loss",
        "validation_TASK" and the scores (see `Validation.score`).
    preview : at validations, for each task that has some truth: the first validation image with
        it (H, W), prediction and truth, (H, W) each, for "elements" (E, H, W). Intensities are
        in units of the image's deviation, all others probabilities.
    """

    step: int
    steps: int
    loss: float
    seconds_left: float
    entry: dict[str, float] | None = None
    preview: Preview | None = None


def write_log(path: Path, log: list[dict[str, float]]) -> None:
    """Losses and scores of each validation, a row each."""
    with whole_file(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(log[0]))
        writer.writeheader()
        writer.writerows(log)


class TensorBoardCurves:
    """Curves for TensorBoard, in a folder of their own.

    Raises
    ------
    ImportError
        TensorBoard is not installed; the message names the extra.
    """

    def __init__(self, folder: Path, step: int) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise ImportError(
                "curves for TensorBoard need it: pip install 'napari-atomseg[tensorboard]'"
            ) from error
        # Points of a run that was interrupted after its checkpoint are forgotten.
        self._writer: Any = SummaryWriter(str(folder), purge_step=step + 1)

    def add(self, entry: dict[str, float]) -> None:
        """Add a row of the log."""
        step = int(entry["step"])
        for name, value in entry.items():
            if name != "step":
                self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def close(self) -> None:
        """Write the rest and close the files."""
        self._writer.close()
