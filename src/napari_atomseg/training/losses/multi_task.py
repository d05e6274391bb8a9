"""Losses of the five tasks, each a mean a sample."""

from __future__ import annotations

import torch
import torch.nn.functional as functional
from torch import Tensor

from napari_atomseg.networks.tasks import RESTORATION, TASKS
from napari_atomseg.training.losses.pixelwise import cross_entropy


def restoration_loss(prediction: Tensor, target: Tensor, image: Tensor) -> Tensor:
    """Smooth L1 of intensities, weighted so that clean images count as much as noisy ones.

    The weight is the inverse root of the image's own noise: without it a batch is ruled by its
    noisiest sample, and nearly noise-free images are never restored to their full precision.

    Parameters
    ----------
    prediction, target, image : (B, H, W) in units of the image's deviation; `image` minus
        the noise-free truth is the noise.

    Returns
    -------
    Scalar.
    """
    error = functional.smooth_l1_loss(prediction, target, beta=0.05, reduction="none")
    noise = image.std(dim=(1, 2), keepdim=True).clamp(0.02, 1.0)
    return (error / noise.sqrt()).mean()


def map_loss(logits: Tensor, target: Tensor, emphasis: float = 4.0) -> Tensor:
    """Cross-entropy with a soft target, columns weighted against the larger background."""
    return cross_entropy(logits, target, emphasis)


def multi_task_loss(
    maps: Tensor, targets: Tensor, image: Tensor, weights: dict[str, float]
) -> tuple[Tensor, dict[str, float]]:
    """Weighted sum over tasks, and each task's own loss.

    Parameters
    ----------
    maps, targets : (B, 5, H, W) composed network output and truth, in the order of `TASKS`.
    image : (B, 1, H, W) normalised input.
    weights : a weight a task.
    """
    noise = (image - targets[:, :1])[:, 0]
    total = torch.zeros((), device=maps.device)
    parts = {}
    for channel, task in enumerate(TASKS):
        if task in RESTORATION:
            loss = restoration_loss(maps[:, channel], targets[:, channel], noise)
        else:
            loss = map_loss(maps[:, channel], targets[:, channel])
        total = total + weights[task] * loss
        parts[task] = float(loss.detach())
    return total, parts
