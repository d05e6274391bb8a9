"""Maps from the raw channels of a multi-task network, and the normalisation around it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from napari_atomseg.networks.tasks import (
    COARSE,
    ELEMENTS,
    LINE_SHIFTS,
    SUPERRESOLUTION_UNIT,
    TARGETS,
    TASKS,
    spans,
)


def normalise(image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(B, 1, H, W) images with zero mean and unit deviation, and the mean and deviation taken."""
    mean = image.mean(dim=(1, 2, 3), keepdim=True)
    deviation = image.std(dim=(1, 2, 3), keepdim=True, correction=0).clamp_min(1e-12)
    return (image - mean) / deviation, mean, deviation


def compose(output: Tensor, image: Tensor, tasks: Sequence[str] = TASKS) -> Tensor:
    """Raw channels (B, C, H, W) to maps (B, C, H, W).

    Denoising is a correction of the image, background removal a correction of the denoised image,
    or of the image where the network does not denoise; the column channels stay logits.

    `image` is the normalised input (B, 1, H, W).
    """
    places = spans(tasks, output.shape[1])
    denoised = image + output[:, places["denoise"]] if "denoise" in tasks else image
    maps = []
    for task, place in places.items():
        if task == "denoise":
            maps.append(denoised)
        elif task == "denoise_background":
            maps.append(denoised + output[:, place])
        else:
            maps.append(output[:, place])
    return torch.cat(maps, dim=1)


def denormalise(
    maps: Tensor, mean: Tensor, deviation: Tensor, tasks: Sequence[str] = TASKS
) -> Tensor:
    """Composed maps to the intensities of the image, and column logits to probabilities.

    Displacements of lines are in pixels already.
    """
    parts = []
    for task, place in spans(tasks, maps.shape[1]).items():
        part = maps[:, place]
        if task == "denoise":
            parts.append(part * deviation + mean)
        elif task == "denoise_background":
            parts.append(part * deviation)
        elif task == "superresolution":
            parts.append(part * deviation * SUPERRESOLUTION_UNIT)
        elif task == LINE_SHIFTS:
            parts.append(part)
        else:
            parts.append(torch.sigmoid(part))
    return torch.cat(parts, dim=1)


def normalised_targets(
    truth: Mapping[str, Tensor],
    mean: Tensor,
    scale: Tensor,
    shift: Tensor,
    tasks: Sequence[str] = TASKS,
) -> Tensor:
    """(B, C, H, W) truth of the tasks, normalised like the image: minus `mean`, times `scale`,
    plus `shift`.

    `truth` holds the simulator's targets by name, each (B, 1, H, W), `elements` (B, E, H, W),
    `line_shifts` (B, 2, H, W).
    """
    parts = []
    for task in tasks:
        target = truth[TARGETS[task]]
        if task == "denoise":
            target = (target - mean) * scale + shift
        elif task == "denoise_background":
            target = target * scale
        elif task == "superresolution":
            target = target * scale / SUPERRESOLUTION_UNIT
        elif task == LINE_SHIFTS:
            # There is no truth of the uncertainties.
            target = torch.cat([target, torch.zeros_like(target)], dim=1)
        parts.append(target)
    return torch.cat(parts, dim=1)


def selected(maps: Tensor, task: str, tasks: Sequence[str]) -> Tensor:
    """(B, c, H, W) maps of one of the `predictable` tasks, from the finished maps of all `tasks`.

    The probability of a column is the largest one among the species. For a finer map the coarse
    one is returned.
    """
    task = COARSE.get(task, task)
    places = spans(tasks, maps.shape[1])
    if task in places:
        return maps[:, places[task]]
    return maps[:, places[ELEMENTS]].amax(dim=1, keepdim=True)
