"""Losses of the tasks: which ones each has, and their sum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Union

import torch
from pydantic import AfterValidator, Field
from torch import Tensor

from napari_atomseg.networks.tasks import ELEMENTS, LINE_SHIFTS, LINEAR, RESTORATION, spans
from napari_atomseg.training.losses import (  # noqa: F401, they register theirs
    lines,
    pixelwise,
    structure,
)
from napari_atomseg.training.losses.base import KINDS, Loss

EMPHASIS = 4.0
"""How much more than the larger background the columns of a map count."""

WEIGHTS = {
    "denoise": 1.0,
    "denoise_background": 0.7,
    "superresolution": 0.5,
    "column_map": 1.0,
    "column_mask": 0.4,
    ELEMENTS: 1.0,
    LINE_SHIFTS: 1.0,
}
"""Weight of each task where a recipe gives none."""

SATURATED = 1e-6
"""Probabilities this close to 0 and 1 are certain: their logits are finite."""


if TYPE_CHECKING:
    AnyLoss = Loss
else:
    AnyLoss = Annotated[Union[tuple(KINDS.values())], Field(discriminator="kind")]  # noqa: UP007
    """A loss of a recipe, told by its `kind`."""


def _distinct(losses: tuple[Loss, ...]) -> tuple[Loss, ...]:
    kinds = [loss.kind for loss in losses]
    if len(set(kinds)) < len(kinds):
        raise ValueError(f"losses {kinds} must be of different kinds")
    return losses


Losses = Annotated[tuple[AnyLoss, ...], Field(min_length=1), AfterValidator(_distinct)]
"""The losses of a sum: at least one, and no kind twice."""


def usual_losses(task: str, weight: float | None = None) -> list[dict[str, Any]]:
    """The losses of a task where a recipe names none, as a recipe would write them."""
    weight = WEIGHTS[task] if weight is None else weight
    if task in RESTORATION:
        return [{"kind": "restoration", "weight": weight}]
    if task == LINE_SHIFTS:
        return [{"kind": "line_shifts", "weight": weight}]
    return [{"kind": "cross_entropy", "emphasis": EMPHASIS, "weight": weight}]


def fits(kind: str, task: str) -> bool:
    """Whether a kind of loss means something for a task: logits are of probabilities only, noise
    is of intensities only, and displacements of lines have losses of their own.
    """
    takes = KINDS[kind].takes
    if task == LINE_SHIFTS or takes == "shifts":
        return task == LINE_SHIFTS and takes == "shifts"
    return takes != ("logits" if task in RESTORATION else "noise")


def combined(
    losses: Sequence[Loss],
    prediction: Tensor,
    target: Tensor,
    noise: Tensor | None = None,
    *,
    logits: bool = False,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Weighted sum of losses, and each loss by itself.

    Parameters
    ----------
    losses : terms of different kinds, at least one (see `Losses`).
    prediction, target : (B, C, H, W) in any floating type.
    noise : see `Loss.value`.
    logits : whether the prediction is logits, of which most losses take the probabilities.

    Returns
    -------
    The sum, a scalar in float32, and by kind each term before its weight, detached, on the
    prediction's device.
    """
    finished = torch.sigmoid(prediction.float()) if logits else prediction
    terms = {
        loss.kind: loss.value(prediction if loss.takes == "logits" else finished, target, noise)
        for loss in losses
    }
    total = torch.stack([loss.weight * terms[loss.kind] for loss in losses]).sum()
    return total, {kind: term.detach() for kind, term in terms.items()}


def multi_task_loss(
    maps: Tensor,
    targets: Tensor,
    image: Tensor,
    losses: Mapping[str, Losses],
    weight: Tensor | None = None,
) -> tuple[Tensor, dict[str, float]]:
    """Weighted sum of the losses of all tasks, and each task's loss, the mean over its terms.

    Parameters
    ----------
    maps, targets : (B, C, H, W) composed network output and truth, in the order of `losses`.
    image : (B, 1, H, W) normalised input.
    losses : of each task. Where the network does not denoise, restoration losses are not weighted
        by the noise of the image.
    weight : broadcasts to (B, C, H, W), in 0..1, how much each pixel counts. Where it is 0 the
        prediction is taken to be right, and the loss is divided by the mean of the weights. Images
        that do not count at all for a task are left out of its loss, which is 0 without any.
    """
    places = spans(tuple(losses), maps.shape[1])
    noise = (image - targets[:, places["denoise"]]) if "denoise" in losses else None
    total = torch.zeros((), device=maps.device)
    parts = {}
    for task, terms in losses.items():
        made, true = maps[:, places[task]], targets[:, places[task]]
        if weight is None:
            loss = _task_loss(task, terms, made, true, noise)
        else:
            share = weight.expand(-1, maps.shape[1], -1, -1)[:, places[task]]
            loss = _weighted_loss(task, terms, made, true, noise, share)
        total = total + loss
        parts[task] = float(loss.detach()) / max(sum(term.weight for term in terms), 1e-12)
    return total, parts


def _task_loss(
    task: str, losses: Losses, made: Tensor, true: Tensor, noise: Tensor | None
) -> Tensor:
    """Weighted sum of the losses of one task, of the composed channels."""
    return combined(losses, made, true, noise, logits=task not in LINEAR)[0]


def _weighted_loss(
    task: str, losses: Losses, made: Tensor, true: Tensor, noise: Tensor | None, weight: Tensor
) -> Tensor:
    """The losses of one task where its pixels do not count alike, see `multi_task_loss`."""
    counted = weight.amax(dim=(1, 2, 3)) > 0
    if not counted.any():
        return 0.0 * made.sum()
    made, true, weight = made[counted], true[counted], weight[counted]
    trusted = _trusted(made, true, weight, task in LINEAR)
    noise = None if noise is None else noise[counted]
    return _task_loss(task, losses, trusted, true, noise) / weight.mean()


def _trusted(made: Tensor, true: Tensor, weight: Tensor, linear: bool) -> Tensor:
    """The prediction where the weight is 1, the truth where it is 0, and between them a mean."""
    known = true if linear else torch.logit(true, SATURATED)
    return torch.lerp(known, made, weight)
