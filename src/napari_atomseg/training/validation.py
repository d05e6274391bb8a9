"""Scores of a network on images that training never sees."""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy.spatial import cKDTree
from skimage.feature import peak_local_max
from torch import Tensor, nn

from napari_atomseg._shared.metrics import psnr
from napari_atomseg.networks.maps import compose
from napari_atomseg.networks.tasks import ELEMENTS, LINE_SHIFTS, LINEAR, RESTORATION, spans
from napari_atomseg.training.data import Examples
from napari_atomseg.training.events import Preview
from napari_atomseg.training.losses import multi_task_loss
from napari_atomseg.training.losses.lines import line_residuals
from napari_atomseg.training.recipe import TrainingRecipe

FLAT = 1e-3
"""Range of a truth, in units of its image's deviation, below which it shows nothing."""


class Validation:
    """Fixed images with their truth, on which networks are scored."""

    def __init__(self, recipe: TrainingRecipe, examples: Examples) -> None:
        self.recipe = recipe
        self.image, self.targets, self.weight = examples.image, examples.targets, examples.weight
        self.places = spans(recipe.tasks, self.targets.shape[1])

    @torch.inference_mode()
    def maps(self, network: nn.Module) -> Tensor:
        """(N, C, H, W) composed outputs, eight images at a time."""
        tasks = self.recipe.tasks
        return torch.cat([compose(network(x), x, tasks) for x in torch.split(self.image, 8)])

    def score(self, network: nn.Module) -> tuple[dict[str, float], Preview]:
        """The scores of a network, and its maps of an image for each task.

        Returns
        -------
        Scores: "validation_loss" and "validation_TASK"; PSNR in dB, "psnr_in" and "psnr_out" of
        denoising and "psnr_TASK" of other intensities; "jitter" and "jitter_left", rms in pixels of
        the displacements of lines and of their errors, and "jitter_bars", rms of these errors over
        their stated deviations; "f1" of the maxima of the column map;
        "dice_TASK" of the overlap of discs. Quality is that of the images of which all pixels
        count for a task, and left out where there are none.
        And the preview, see `TrainingEvent`.
        """
        maps = self.maps(network)
        total, parts = multi_task_loss(
            maps, self.targets, self.image, self.recipe.losses, self.weight
        )
        scores = {
            "validation_loss": float(total),
            **{f"validation_{task}": value for task, value in parts.items()},
        }
        for task, place in self.places.items():
            rows = self._weights(place).amin(dim=1) == 1
            if rows.any():
                truth = self.targets[rows][:, place]
                scores |= _quality(task, self.image[rows], maps[rows][:, place], truth)
        return scores, self._preview(maps)

    def _weights(self, place: slice) -> Tensor:
        """(N, n) weights of an image's pixels in the channels of a task."""
        if self.weight is None:
            return self.image.new_ones(len(self.image), 1)
        every = self.weight.expand(-1, self.targets.shape[1], -1, -1)
        return every[:, place].flatten(start_dim=1)

    def _preview(self, maps: Tensor) -> Preview:
        """For each task the first image with some truth, if there is one."""
        preview: Preview = {}
        for task, place in self.places.items():
            known = self._weights(place).amax(dim=1) > 0
            if not known.any():
                continue
            row = int(known.int().argmax())
            made, true = maps[row, place], self.targets[row, place]
            if task not in LINEAR:
                made = made.sigmoid()
            pair = (made, true) if task == ELEMENTS else (made[0], true[0])
            seen, shown, truth = (plane.cpu().numpy() for plane in (self.image[row, 0], *pair))
            preview[task] = seen, shown, truth
        return preview


def _quality(task: str, image: Tensor, maps: Tensor, truth: Tensor) -> dict[str, float]:
    """Scores of a task's maps (N, c, H, W) of images (N, 1, H, W)."""
    if task == "denoise":
        noisy = _mean_psnr(image[:, 0], truth[:, 0])
        return {"psnr_in": noisy, "psnr_out": _mean_psnr(maps[:, 0], truth[:, 0])}
    if task in RESTORATION:
        return {f"psnr_{task}": _mean_psnr(maps[:, 0], truth[:, 0])}
    if task == LINE_SHIFTS:
        return _line_errors(maps, truth)
    if task == "column_map":
        return {"f1": _detection(maps[:, 0].sigmoid(), truth[:, 0])}
    return {f"dice_{task}": _overlap(maps > 0, truth > 0.5)}


def _line_errors(maps: Tensor, truth: Tensor) -> dict[str, float]:
    """Root mean squares of displacements of lines and of their errors, see `Validation.score`."""
    moved, _, _ = line_residuals(torch.zeros_like(maps), truth)
    error, spread, _ = line_residuals(maps, truth)
    found = {"jitter": moved, "jitter_left": error, "jitter_bars": error * torch.exp(-spread)}
    return {name: float(value.square().mean().sqrt()) for name, value in found.items()}


def _mean_psnr(images: Tensor, truths: Tensor) -> float:
    """Mean PSNR of the images whose truth is not flat, each peak being the range of its truth."""
    pairs = zip(images.cpu().numpy(), truths.cpu().numpy(), strict=True)
    found = [psnr(image, truth) for image, truth in pairs if np.ptp(truth) > FLAT]
    return float(np.mean(found)) if found else math.nan


def _overlap(made: Tensor, true: Tensor) -> float:
    """Dice coefficient 2 |A ∩ B| / (|A| + |B|) of two sets of pixels, 1 where both are empty."""
    both = int((made & true).sum())
    sizes = int(made.sum()) + int(true.sum())
    return 2 * both / sizes if sizes else 1.0


def _detection(maps: Tensor, truths: Tensor, radius: float = 2.5) -> float:
    """F1 of the maxima of the maps against those of the truth, matched within a radius (px)."""
    hits = found = wanted = 0
    for each, truth in zip(maps.cpu().numpy(), truths.cpu().numpy(), strict=True):
        peaks = peak_local_max(each, min_distance=2, threshold_abs=0.35, exclude_border=4)
        columns = peak_local_max(truth, min_distance=2, threshold_abs=0.7, exclude_border=4)
        found, wanted = found + len(peaks), wanted + len(columns)
        if len(peaks) and len(columns):
            distance, partner = map(np.asarray, cKDTree(columns).query(peaks))
            hits += len(np.unique(partner[distance <= radius]))
    return 2 * hits / max(found + wanted, 1)
