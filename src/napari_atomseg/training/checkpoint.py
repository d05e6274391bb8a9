"""Checkpoints: everything a training needs to go on, as safetensors, written atomically."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn


@dataclass
class State:
    """A training run between two steps; `average` is the moving average of the weights."""

    network: nn.Module
    average: nn.Module
    optimizer: torch.optim.Optimizer
    step: int
    log: list[dict[str, float]]


def save_checkpoint(path: Path, state: State, recipe: dict[str, Any]) -> None:
    """Write the state; an interrupted write leaves the previous file as it was."""
    tensors: dict[str, Tensor] = {}
    for prefix, module in (("network", state.network), ("average", state.average)):
        for name, value in module.state_dict().items():
            tensors[f"{prefix}.{name}"] = value
    for index, moments in state.optimizer.state_dict()["state"].items():
        for name, value in moments.items():
            tensors[f"optimizer.{index}.{name}"] = value
    header = {"step": state.step, "log": state.log, "recipe": recipe}
    partial = path.with_suffix(".partial")
    contiguous = {name: value.detach().contiguous().cpu() for name, value in tensors.items()}
    save_file(contiguous, partial, metadata={"checkpoint": json.dumps(header)})
    partial.replace(path)


def load_checkpoint(path: Path, state: State, recipe: dict[str, Any]) -> None:
    """Set the state to what the file holds.

    Raises
    ------
    ValueError
        The checkpoint belongs to another recipe.
    """
    with safe_open(path, framework="pt") as file:
        header = json.loads(file.metadata()["checkpoint"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    if _essence(header["recipe"]) != _essence(recipe):
        raise ValueError(
            f"{path} was made with another recipe; remove it, or train without resuming"
        )
    for prefix, module in (("network.", state.network), ("average.", state.average)):
        module.load_state_dict(
            {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
        )
    moments: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith("optimizer."):
            _, index, moment = name.split(".")
            moments.setdefault(int(index), {})[moment] = tensor
    whole = state.optimizer.state_dict()
    state.optimizer.load_state_dict({"state": moments, "param_groups": whole["param_groups"]})
    state.step, state.log = header["step"], header["log"]


def _essence(recipe: dict[str, Any]) -> dict[str, Any]:
    """What must agree for a run to go on: the length of the run and its words may change."""
    free = ("steps", "description", "validate_every")
    return {key: value for key, value in recipe.items() if key not in free}
