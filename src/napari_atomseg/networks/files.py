"""Weights on disk: safetensors with a JSON header that says everything about the model."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from napari_atomseg import networks

HEADER = "napari_atomseg"


class WeightsError(OSError):
    """A weights file that cannot be used; the message names it and says why."""


class ModelCard(BaseModel):
    """What a weights file says of itself.

    `tasks` names the output channels in order; `spacing_range` is the column spacing in pixels that
    training covered; `recipe` is the whole training recipe.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    schema_version: Literal[1] = 1
    name: str
    architecture: str
    arguments: dict[str, Any] = {}
    tasks: tuple[str, ...]
    normalisation: str
    modality: str = "STEM"
    sampling_range: tuple[float, float] | None = None
    spacing_range: tuple[float, float] = (5.0, 34.0)
    recipe: dict[str, Any] = {}
    seed: int = 0
    steps: int = 0
    code_version: str = ""
    scores: dict[str, float] = {}
    licence: str = "BSD-3-Clause"
    description: str = ""


def save_weights(path: str | Path, network: nn.Module, card: ModelCard) -> None:
    """Write a network and its card, in half precision, atomically."""
    path = Path(path)
    tensors = {
        name: value.detach().to("cpu", torch.float16 if value.is_floating_point() else None)
        for name, value in network.state_dict().items()
    }
    partial = path.with_name(path.name + ".partial")
    save_file(
        {name: value.contiguous() for name, value in tensors.items()},
        partial,
        metadata={HEADER: card.model_dump_json()},
    )
    os.replace(partial, path)


def read_card(path: str | Path) -> ModelCard:
    """The card of a weights file.

    Raises
    ------
    WeightsError
        The file is missing, truncated, no safetensors file, or not one of this package.
    """
    path = Path(path)
    if not path.is_file():
        raise WeightsError(f"{path}: no such weights file")
    try:
        with safe_open(path, framework="np") as file:
            header = (file.metadata() or {}).get(HEADER)
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path}: not a safetensors file, or damaged ({error})") from error
    if header is None:
        raise WeightsError(f"{path}: a safetensors file, but not a model of napari-atomseg")
    try:
        return ModelCard.model_validate(json.loads(header))
    except (ValueError, ValidationError) as error:
        raise WeightsError(f"{path}: its model card cannot be read ({error})") from error


def load_weights(path: str | Path) -> tuple[nn.Module, ModelCard]:
    """The network of a weights file, in evaluation mode and full precision, and its card.

    Raises
    ------
    WeightsError
        The file cannot be read, or its tensors do not fit the architecture it names.
    """
    card = read_card(path)
    try:
        network = networks.create(card.architecture, **card.arguments)
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
        network.load_state_dict(tensors)
    except (ValueError, TypeError, RuntimeError, SafetensorError) as error:
        raise WeightsError(f"{path}: does not fit its architecture ({error})") from error
    return network.eval().requires_grad_(False), card
