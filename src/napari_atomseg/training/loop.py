"""The training loop: recipe in, weights out."""

from __future__ import annotations

import copy
import csv
import math
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from napari_atomseg import networks
from napari_atomseg.networks.device import choose_device, half_is_fast
from napari_atomseg.networks.files import ModelCard, save_weights
from napari_atomseg.networks.tasks import TASKS, compose
from napari_atomseg.progress import CancelToken, Progress, report
from napari_atomseg.simulation import SimulationRecipe, draw_scene
from napari_atomseg.specimen.recipes_columns import ColumnsSpecimen
from napari_atomseg.training.checkpoint import State, load_checkpoint, save_checkpoint
from napari_atomseg.training.losses import multi_task_loss
from napari_atomseg.training.pairs import simulated_pairs
from napari_atomseg.training.recipe import OptimizerRecipe, TrainingRecipe, load_recipe
from napari_atomseg.training.validation import Validation


def train(
    recipe: str | Path | dict[str, Any] | TrainingRecipe,
    output: str | Path | None = None,
    *,
    resume: bool = True,
    device: str = "auto",
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
) -> Path:
    """Train a network on images simulated on the fly.

    Parameters
    ----------
    recipe : YAML file, dictionary or recipe.
    output : weights file to write (default: the recipe's name in the current folder). Beside it
        lie a checkpoint, from which an interrupted run goes on, and the losses as CSV.
    resume : go on from the checkpoint where there is one.
    device : "auto", "cpu", "cuda" or "mps".

    Returns
    -------
    Path of the weights, the moving average over the last steps.

    Raises
    ------
    ValueError
        The recipe is wrong, or the checkpoint belongs to another.
    Cancelled
        `cancel` was raised; the last checkpoint stays and no weights are written.
    """
    recipe = load_recipe(recipe)
    output = Path(output or f"{recipe.name}.safetensors")
    output.parent.mkdir(parents=True, exist_ok=True)
    checkpoint = output.with_suffix(".checkpoint")
    settings = recipe.model_dump(mode="json")
    target = choose_device(device)
    state = _begin(recipe, target)
    if resume and checkpoint.exists():
        load_checkpoint(checkpoint, state, settings)
    validation = Validation(recipe, str(target))
    while state.step < recipe.steps:
        loss = _step(state, recipe, target)
        state.step += 1
        report(progress, cancel, state.step, recipe.steps, f"loss {loss:.4f}")
        if state.step % recipe.validate_every == 0 or state.step == recipe.steps:
            entry = {"step": float(state.step), "loss": loss, **validation.score(state.average)}
            state.log.append(entry)
            save_checkpoint(checkpoint, state, settings)
            write_log(output.with_suffix(".csv"), state.log)
            message = ", ".join(f"{key} {value:.4g}" for key, value in entry.items())
            report(progress, cancel, state.step, recipe.steps, message)
    save_weights(output, state.average, model_card(recipe, state))
    return output


def spacing_range(recipe: SimulationRecipe, scenes: int = 64) -> tuple[float, float]:
    """Pixels between closest columns that a recipe shows, but for its rare extremes."""
    if isinstance(recipe.specimen, ColumnsSpecimen):
        return recipe.specimen.spacing_px
    drawn = [draw_scene(recipe, 0, index) for index in range(scenes)]
    low, high = np.quantile([s.specimen.spacing / s.sampling for s in drawn], (0.02, 0.98))
    return float(low), float(high)


def model_card(recipe: TrainingRecipe, state: State) -> ModelCard:
    """What the weights file says of itself."""
    return ModelCard(
        name=recipe.name,
        architecture=recipe.network.name,
        arguments=_arguments(recipe),
        tasks=TASKS,
        normalisation="zero mean and unit standard deviation of the image",
        modality=recipe.modality,
        spacing_range=spacing_range(recipe.simulation),
        recipe=recipe.model_dump(mode="json"),
        seed=recipe.seed,
        steps=state.step,
        code_version=metadata.version("napari-atomseg"),
        scores=state.log[-1] if state.log else {},
        licence="BSD-3-Clause",
        description=recipe.description,
    )


def write_log(path: Path, log: list[dict[str, float]]) -> None:
    """Losses and scores of each validation, a row each."""
    partial = path.with_suffix(".partial")
    with partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(log[0]))
        writer.writeheader()
        writer.writerows(log)
    partial.replace(path)


def _arguments(recipe: TrainingRecipe) -> dict[str, Any]:
    return {"channels_in": 1, "channels_out": len(TASKS), **recipe.network.arguments}


def _begin(recipe: TrainingRecipe, device: torch.device) -> State:
    torch.manual_seed(recipe.seed)
    network = networks.create(recipe.network.name, **_arguments(recipe))
    network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(
        network.parameters(), recipe.optimizer.rate, weight_decay=recipe.optimizer.weight_decay
    )
    average = copy.deepcopy(network).eval().requires_grad_(False)
    return State(network, average, optimizer, 0, [])


def _rate(recipe: OptimizerRecipe, step: int, steps: int) -> float:
    if step < recipe.warm_up:
        return recipe.rate * (step + 1) / recipe.warm_up
    fraction = (step - recipe.warm_up) / max(1, steps - recipe.warm_up)
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, fraction)))
    return recipe.final_rate + (recipe.rate - recipe.final_rate) * cosine


def _step(state: State, recipe: TrainingRecipe, device: torch.device) -> float:
    image, targets = simulated_pairs(
        recipe.simulation,
        recipe.seed,
        state.step * recipe.batch,
        recipe.batch,
        recipe.crop,
        str(device),
    )
    for group in state.optimizer.param_groups:
        group["lr"] = _rate(recipe.optimizer, state.step, recipe.steps)
    half = recipe.half and half_is_fast(device)
    with torch.autocast(device.type, torch.bfloat16, enabled=half):
        output = state.network(image.contiguous(memory_format=torch.channels_last))
    maps = compose(output.float(), image)
    loss, _ = multi_task_loss(maps, targets, image, recipe.losses.model_dump())
    state.optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(state.network.parameters(), recipe.optimizer.clip)
    state.optimizer.step()
    _average(state, recipe.optimizer.average)
    return float(loss.detach())


@torch.no_grad()
def _average(state: State, decay: float) -> None:
    """Moving average of the weights, quicker at the start so that it forgets the first guess."""
    decay = min(decay, (1 + state.step) / (10 + state.step))
    mean: list[Tensor] = list(state.average.parameters())
    torch._foreach_lerp_(mean, list(state.network.parameters()), 1.0 - decay)
