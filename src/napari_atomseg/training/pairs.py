"""Simulated training pairs: normalised images and the tasks' targets."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from napari_atomseg.networks.tasks import SUPERRESOLUTION_UNIT, TARGETS, TASKS, normalise
from napari_atomseg.simulation import SimulationRecipe, draw_scene, render

JITTER = 0.35
"""Deviation (log) of a random gain on top of the normalisation: a crop's mean and deviation are not
those of the whole image that the network will meet."""


def simulated_pairs(
    recipe: SimulationRecipe,
    seed: int,
    first: int,
    count: int,
    crop: int,
    device: str = "cpu",
    jitter: float = JITTER,
) -> tuple[Tensor, Tensor]:
    """Samples `first` to `first + count` of a recipe.

    Returns
    -------
    image (B, 1, crop, crop), targets (B, 5, crop, crop) in the order of `TASKS`, in units of the
    image's deviation.
    """
    wanted = recipe.targets.model_copy(update={"names": tuple(TARGETS.values())})
    recipe = recipe.model_copy(update={"targets": wanted})
    scenes = [
        draw_scene(recipe, seed, index, (crop, crop)) for index in range(first, first + count)
    ]
    batch = render(scenes, device)
    image, mean, deviation = normalise(batch.image[:, None])
    rngs = [np.random.default_rng((seed, index, 2)) for index in range(first, first + count)]
    draws = torch.tensor(np.array([r.normal(size=2) for r in rngs]), dtype=torch.float32)
    gain = torch.exp(jitter * draws[:, 0]).to(device)[:, None, None, None]
    shift = (jitter * draws[:, 1]).to(device)[:, None, None, None]
    stack = torch.stack([batch.targets[TARGETS[task]] for task in TASKS], dim=1)
    scale = gain / deviation
    targets = torch.cat(
        [
            (stack[:, :1] - mean) * scale + shift,
            stack[:, 1:2] * scale,
            stack[:, 2:3] * scale / SUPERRESOLUTION_UNIT,
            stack[:, 3:],
        ],
        dim=1,
    )
    return image * gain + shift, targets
