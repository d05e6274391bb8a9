"""Scores of a network on images that training never sees."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from scipy.spatial import cKDTree
from skimage.feature import peak_local_max
from torch import Tensor, nn

from napari_atomseg.networks.tasks import ELEMENTS, RESTORATION, compose, spans
from napari_atomseg.quality import psnr
from napari_atomseg.training.losses import multi_task_loss
from napari_atomseg.training.pairs import Examples
from napari_atomseg.training.recipe import TrainingRecipe

FLAT = 1e-3
"""Range of a truth, in units of its image's deviation, below which it shows nothing."""


class Validation:
    """Fixed images with their truth, and the scores on them."""

    def __init__(self, recipe: TrainingRecipe, examples: Examples) -> None:
        self.recipe = recipe
        self.image, self.targets, self.weight = examples.image, examples.targets, examples.weight
        self.places = spans(recipe.tasks, self.targets.shape[1])

    @torch.inference_mode()
    def maps(self, network: nn.Module) -> Tensor:
        """(N, C, H, W) composed outputs, eight images at a time."""
        tasks = self.recipe.tasks
        return torch.cat([compose(network(x), x, tasks) for x in torch.split(self.image, 8)])

    def score(self, network: nn.Module) -> tuple[dict[str, float], dict[str, Any]]:
        """The scores of a network, and how it does on the first image.

        Returns
        -------
        Scores: "validation_loss" and "validation_TASK"; PSNR in dB, "psnr_in" and "psnr_out" of
        denoising and "psnr_TASK" of other intensities; "f1" of the maxima of the column map;
        "dice_TASK" of the overlap of discs. Quality is not told where only some pixels count.
        And the preview, see `News`.
        """
        maps = self.maps(network)
        total, parts = multi_task_loss(
            maps, self.targets, self.image, self.recipe.losses, self.weight
        )
        scores = {
            "validation_loss": float(total),
            **{f"validation_{task}": value for task, value in parts.items()},
        }
        if self.weight is None:
            for task, place in self.places.items():
                scores |= self._quality(task, maps[:, place], self.targets[:, place])
        return scores, self._preview(maps)

    def _quality(self, task: str, maps: Tensor, truth: Tensor) -> dict[str, float]:
        if task == "denoise":
            noisy = _mean_psnr(self.image[:, 0], truth[:, 0])
            return {"psnr_in": noisy, "psnr_out": _mean_psnr(maps[:, 0], truth[:, 0])}
        if task in RESTORATION:
            return {f"psnr_{task}": _mean_psnr(maps[:, 0], truth[:, 0])}
        if task == "column_map":
            return {"f1": _detection(maps[:, 0].sigmoid(), truth[:, 0])}
        return {f"dice_{task}": _overlap(maps > 0, truth > 0.5)}

    def _preview(self, maps: Tensor) -> dict[str, Any]:
        preview: dict[str, Any] = {"input": self.image[0, 0].cpu().numpy()}
        for task, place in self.places.items():
            made, true = maps[0, place], self.targets[0, place]
            if task not in RESTORATION:
                made = made.sigmoid()
            pair = (made, true) if task == ELEMENTS else (made[0], true[0])
            preview[task] = tuple(plane.cpu().numpy() for plane in pair)
        return preview


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
