"""Checkpoints: the state of a training as safetensors, written atomically."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from napari_atomseg._shared.files import whole_file
from napari_atomseg._shared.plain_json import read_json
from napari_atomseg.training.recipe import TrainingRecipe

FREE = ("steps", "description", "validate_every", "patience", "workers")
"""Fields of a recipe that may change between two parts of a run."""


@dataclass
class State:
    """A training run between two steps.

    Attributes
    ----------
    network, average : the network and the moving average of its weights.
    step : steps done.
    log : a row for each validation.
    best : tensors of the average with the lowest validation loss, where they are kept.
    judge, judge_optimizer : the discriminator, where there is one.
    skipped : steps without an update since the last one with, because numbers were not finite.
    """

    network: nn.Module
    average: nn.Module
    optimizer: torch.optim.Optimizer
    step: int = 0
    log: list[dict[str, float]] = field(default_factory=list)
    best: dict[str, Tensor] = field(default_factory=dict)
    judge: nn.Module | None = None
    judge_optimizer: torch.optim.Optimizer | None = None
    skipped: int = 0

    def modules(self) -> Iterator[tuple[str, nn.Module]]:
        """The networks by the names that they have in a file."""
        yield "network", self.network
        yield "average", self.average
        if self.judge is not None:
            yield "judge", self.judge

    def optimizers(self) -> Iterator[tuple[str, torch.optim.Optimizer]]:
        """The optimizers by the names that they have in a file."""
        yield "optimizer", self.optimizer
        if self.judge_optimizer is not None:
            yield "judge_optimizer", self.judge_optimizer


def save_checkpoint(path: Path, state: State, recipe: dict[str, Any]) -> None:
    """Write the state; an interrupted write leaves the previous file as it was.

    Raises
    ------
    OSError
        The file cannot be written, for example because the disk is full.
    """
    tensors: dict[str, Tensor] = {"random": torch.get_rng_state()}
    for prefix, module in state.modules():
        tensors |= {f"{prefix}.{name}": value for name, value in module.state_dict().items()}
    for prefix, optimizer in state.optimizers():
        for index, moments in optimizer.state_dict()["state"].items():
            tensors |= {f"{prefix}.{index}.{name}": value for name, value in moments.items()}
    tensors |= {f"best.{name}": value for name, value in state.best.items()}
    header = {"step": state.step, "log": state.log, "recipe": recipe}
    # Tensors in a file must not share memory.
    plain = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    content = save(plain, metadata={"checkpoint": json.dumps(header)})
    try:
        with whole_file(path) as partial:
            partial.write_bytes(content)
    except OSError as error:
        raise OSError(
            error.errno,
            f"checkpoint of {len(content) / 1e6:.1f} MB not written ({error.strerror}); "
            "the previous one is intact",
            str(path),
        ) from error


def load_checkpoint(path: Path, state: State, recipe: dict[str, Any]) -> None:
    """Set the state to that of a file.

    Raises
    ------
    ValueError
        The checkpoint belongs to another recipe.
    OSError
        The file is damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            header = read_json((file.metadata() or {})["checkpoint"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, KeyError, ValueError) as error:
        raise OSError(
            f"{path} is damaged or no checkpoint ({error}); remove it, or train without resuming"
        ) from error
    if _essence(_completed(header["recipe"])) != _essence(recipe):
        raise ValueError(
            f"{path} was made with another recipe; remove it, or train without resuming"
        )
    for prefix, module in state.modules():
        module.load_state_dict(_below(tensors, prefix))
    for prefix, optimizer in state.optimizers():
        moments: dict[int, dict[str, Tensor]] = {}
        for name, tensor in _below(tensors, prefix).items():
            index, moment = name.split(".")
            moments.setdefault(int(index), {})[moment] = tensor
        groups = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict({"state": moments, "param_groups": groups})
    state.best = _below(tensors, "best")
    state.step, state.log = header["step"], header["log"]
    torch.set_rng_state(tensors["random"])


def _below(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors of one prefix, without it."""
    start = f"{prefix}."
    return {n.removeprefix(start): t for n, t in tensors.items() if n.startswith(start)}


def _completed(recipe: dict[str, Any]) -> dict[str, Any]:
    """A saved recipe with the defaults of fields that there were not yet when it was saved."""
    try:
        return TrainingRecipe.model_validate(recipe).model_dump(mode="json")
    except ValidationError:
        return recipe


def _essence(recipe: dict[str, Any]) -> dict[str, Any]:
    """Fields of a recipe that must agree for a run to go on."""
    return {key: value for key, value in recipe.items() if key not in FREE}
