"""Scores of a network on simulated images that training never draws."""

from __future__ import annotations

import numpy as np
import torch
from scipy.spatial import cKDTree
from skimage.feature import peak_local_max
from torch import Tensor, nn

from napari_atomseg.networks.tasks import TASKS, compose
from napari_atomseg.training.losses import multi_task_loss
from napari_atomseg.training.pairs import simulated_pairs
from napari_atomseg.training.recipe import TrainingRecipe

SEED_SHIFT = 1_000_003
"""Validation draws from its own seed, this far from the training's."""


class Validation:
    """Fixed validation images of a recipe and the scores on them."""

    def __init__(self, recipe: TrainingRecipe, device: str) -> None:
        self.weights = recipe.losses.model_dump()
        seed = recipe.seed + SEED_SHIFT
        self.image, self.targets = simulated_pairs(
            recipe.simulation, seed, 0, recipe.validation, recipe.crop, device, jitter=0.0
        )

    @torch.inference_mode()
    def maps(self, network: nn.Module) -> Tensor:
        """(N, 5, H, W) composed outputs, eight images at a time."""
        pieces = [compose(network(x), x) for x in torch.split(self.image, 8)]
        return torch.cat(pieces)

    def score(self, network: nn.Module) -> dict[str, float]:
        """Total loss, each task's loss, PSNR (dB) in and out, and the F1 of the column map."""
        maps = self.maps(network)
        total, parts = multi_task_loss(maps, self.targets, self.image, self.weights)
        truth = self.targets[:, 0]
        return {
            "validation_loss": float(total),
            **{f"validation_{task}": value for task, value in parts.items()},
            "psnr_in": _psnr(self.image[:, 0], truth),
            "psnr_out": _psnr(maps[:, 0], truth),
            "f1": _detection(maps[:, TASKS.index("column_map")].sigmoid(), self.targets[:, 3]),
        }


def _psnr(image: Tensor, truth: Tensor) -> float:
    """Mean PSNR, each image's peak being the range of its truth."""
    peak = truth.amax(dim=(1, 2)) - truth.amin(dim=(1, 2))
    error = (image - truth).square().mean(dim=(1, 2))
    return float((10 * torch.log10(peak.square() / error))[peak > 1e-3].mean())


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
