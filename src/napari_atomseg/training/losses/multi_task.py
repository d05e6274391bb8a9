"""Losses of the tasks: which ones each has, and their sum."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import torch
import torch.nn.functional as functional
from pydantic import AfterValidator, Field
from torch import Tensor

from napari_atomseg.networks.tasks import ELEMENTS, RESTORATION, spans
from napari_atomseg.ranges import Part
from napari_atomseg.training.losses.pixelwise import cross_entropy
from napari_atomseg.training.losses.recipe import AnyLoss, CrossEntropy, Weight, distinct

EMPHASIS = 4.0
"""How much more than the larger background the columns of a map count."""

WEIGHTS = {
    "denoise": 1.0,
    "denoise_background": 0.7,
    "superresolution": 0.5,
    "column_map": 1.0,
    "column_mask": 0.4,
    ELEMENTS: 1.0,
}
"""Weight of each task where a recipe gives none."""

SATURATED = 1e-6
"""Probabilities this close to 0 and 1 are certain: their logits are finite."""


def restoration_loss(prediction: Tensor, target: Tensor, image: Tensor | None) -> Tensor:
    """Smooth L1 of intensities, weighted so that clean images count as much as noisy ones.

    The weight is the inverse root of the image's own noise: without it a batch is ruled by its
    noisiest sample, and nearly noise-free images are never restored to their full precision.

    Parameters
    ----------
    prediction, target : (B, H, W) in units of the image's deviation.
    image : (B, H, W), the image minus the noise-free truth; None where that is not known, and
        all images count the same.

    Returns
    -------
    Scalar.
    """
    error = functional.smooth_l1_loss(prediction, target, beta=0.05, reduction="none")
    if image is None:
        return error.mean()
    noise = image.std(dim=(1, 2), keepdim=True).clamp(0.02, 1.0)
    return (error / noise.sqrt()).mean()


def map_loss(logits: Tensor, target: Tensor, emphasis: float = EMPHASIS) -> Tensor:
    """Cross-entropy with a soft target, columns weighted against the larger background."""
    return cross_entropy(logits, target, emphasis)


class Restoration(Part):
    """Smooth L1 that knows the noise of the image, see `restoration_loss`."""

    kind: Literal["restoration"] = "restoration"
    weight: Weight = 1.0


AnyTaskLoss = Annotated[AnyLoss | Restoration, Field(discriminator="kind")]
"""A loss of a task, told by its `kind`."""

TaskLosses = Annotated[tuple[AnyTaskLoss, ...], Field(min_length=1), AfterValidator(distinct)]
"""The losses of a task: at least one, and no kind twice."""


def usual_losses(task: str, weight: float | None = None) -> list[dict[str, Any]]:
    """The losses of a task where a recipe names none, as a recipe would write them."""
    weight = WEIGHTS[task] if weight is None else weight
    if task in RESTORATION:
        return [{"kind": "restoration", "weight": weight}]
    return [{"kind": "cross_entropy", "emphasis": EMPHASIS, "weight": weight}]


def require_fit(task: str, losses: TaskLosses) -> None:
    """Refuse losses that mean nothing for a task.

    Raises
    ------
    ValueError
        Cross-entropy of intensities, or a restoration loss of probabilities.
    """
    unfit = "cross_entropy" if task in RESTORATION else "restoration"
    if any(loss.kind == unfit for loss in losses):
        raise ValueError(f"loss {unfit!r} does not fit the task {task}")


def multi_task_loss(
    maps: Tensor,
    targets: Tensor,
    image: Tensor,
    losses: Mapping[str, TaskLosses],
    weight: Tensor | None = None,
) -> tuple[Tensor, dict[str, float]]:
    """Weighted sum of the losses of all tasks, and each task's loss, the mean over its terms.

    Parameters
    ----------
    maps, targets : (B, C, H, W) composed network output and truth, in the order of `losses`.
    image : (B, 1, H, W) normalised input.
    losses : of each task. Where the network does not denoise, the noise of the image is not known,
        and restoration losses are not weighted by it.
    weight : broadcasts to (B, C, H, W), in 0..1, how much each pixel counts. Where it is 0 the
        prediction is taken to be right, and the loss is divided by the mean of the weights. Images
        that do not count at all for a task are left out of its loss, which is 0 without any.
    """
    places = spans(tuple(losses), maps.shape[1])
    noise = (image - targets[:, places["denoise"]])[:, 0] if "denoise" in losses else None
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
    task: str, losses: TaskLosses, made: Tensor, true: Tensor, noise: Tensor | None
) -> Tensor:
    """Weighted sum of the losses of one task, of the composed channels."""
    finished = made if task in RESTORATION else torch.sigmoid(made.float())
    terms = []
    for loss in losses:
        if isinstance(loss, Restoration):
            value = restoration_loss(made[:, 0], true[:, 0], noise)
        elif isinstance(loss, CrossEntropy):
            value = loss.value(made, true)
        else:
            value = loss.value(finished, true)
        terms.append(loss.weight * value)
    return torch.stack(terms).sum()


def _weighted_loss(
    task: str, losses: TaskLosses, made: Tensor, true: Tensor, noise: Tensor | None, weight: Tensor
) -> Tensor:
    """The losses of one task where its pixels do not count alike, see `multi_task_loss`."""
    counted = weight.amax(dim=(1, 2, 3)) > 0
    if not counted.any():
        return 0.0 * made.sum()
    made, true, weight = made[counted], true[counted], weight[counted]
    trusted = _trusted(made, true, weight, task in RESTORATION)
    noise = None if noise is None else noise[counted]
    return _task_loss(task, losses, trusted, true, noise) / weight.mean()


def _trusted(made: Tensor, true: Tensor, weight: Tensor, restored: bool) -> Tensor:
    """The prediction where the weight is 1, the truth where it is 0, and between them a mean."""
    known = true if restored else torch.logit(true, SATURATED)
    return torch.lerp(known, made, weight)
