"""Fine-tuning: a new network with the weights of a trained one."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from napari_atomseg import networks
from napari_atomseg.networks.card import ModelCard, WeightsError
from napari_atomseg.networks.files import load_weights
from napari_atomseg.networks.tasks import ELEMENTS, spans
from napari_atomseg.training.recipe import TrainingRecipe

GATES = "gates."
"""Names of the tensors of spectral gates begin so."""


def with_hash(recipe: TrainingRecipe) -> TrainingRecipe:
    """The recipe with the SHA-256 of the weights file that it starts from.

    Raises
    ------
    WeightsError
        The file is missing, or is not the one that the recipe names.
    """
    if recipe.initial is None:
        return recipe
    if not recipe.initial.is_file():
        raise WeightsError(f"{recipe.initial}: no such weights file")
    with recipe.initial.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if recipe.initial_sha256 not in (None, found):
        raise WeightsError(
            f"{recipe.initial}: not the weights of the recipe, its SHA-256 is {found}"
        )
    return recipe.model_copy(update={"initial_sha256": found})


def start_from(path: Path, network: nn.Module, recipe: TrainingRecipe, outputs: list[str]) -> None:
    """Give a new network the weights of a file.

    Where the two differ in their tasks, the channels of the last layer that mean the same are
    taken, and the others stay new; so do spectral gates that only the new network has, which start
    as nothing.

    Parameters
    ----------
    outputs : meaning of each channel of the new network, see `outputs_of`.

    Raises
    ------
    WeightsError
        The file cannot be used, or holds a network of another kind or size.
    """
    trained, card = load_weights(path)
    if not networks.akin(card.architecture, recipe.network.name):
        raise WeightsError(
            f"{path}: a {card.architecture}, which cannot start a {recipe.network.name}"
        )
    channels = int(card.arguments.get("channels_out", len(card.tasks)))
    before = outputs_of(card.tasks, card.species, channels)
    last = _last_layer(recipe, len(outputs))
    old, new = trained.state_dict(), network.state_dict()
    adapted = {}
    for name, tensor in new.items():
        given = old.get(name, tensor if name.startswith(GATES) else None)
        if given is not None and name in last:
            given = _rearranged(given, tensor, before, outputs)
        if given is None or given.shape != tensor.shape:
            raise WeightsError(_other_size(path, name, card))
        adapted[name] = given
    lost = old.keys() - new.keys()
    if lost:
        raise WeightsError(_other_size(path, min(lost), card))
    network.load_state_dict(adapted)


def _other_size(path: Path, name: str, card: ModelCard) -> str:
    return (
        f"{path}: its network has another size than the recipe's ({name}); give the "
        f"network the arguments {size_arguments(card)}"
    )


def outputs_of(tasks: Sequence[str], species: Sequence[str], channels: int) -> list[str]:
    """Meaning of each channel: a task, and for `elements` the species, too."""
    names = []
    for task, place in spans(tasks, channels).items():
        for channel in range(place.stop - place.start):
            of = species[channel] if task == ELEMENTS and channel < len(species) else channel
            names.append(f"{task} {of}" if task == ELEMENTS else task)
    return names


def _last_layer(recipe: TrainingRecipe, channels: int) -> set[str]:
    """Names of the tensors that depend on the number of channels out."""
    with torch.device("meta"):
        few, many = (
            networks.create(
                recipe.network.name,
                **networks.linear(recipe.network.name),
                **recipe.network.arguments,
                channels_out=count,
            ).state_dict()
            for count in (channels, channels + 1)
        )
    return {name for name in few if few[name].shape != many[name].shape}


def _rearranged(old: Tensor, new: Tensor, before: list[str], after: list[str]) -> Tensor | None:
    """The new tensor with those channels of the old one that mean the same."""
    if old.shape[1:] != new.shape[1:] or len(old) * len(after) != len(new) * len(before):
        return None
    result = new.clone()
    given = old.reshape(len(before), -1, *old.shape[1:])
    taken = result.view(len(after), -1, *new.shape[1:])
    for channel, name in enumerate(after):
        if name in before:
            taken[channel] = given[before.index(name)]
    return result


def size_arguments(card: ModelCard) -> dict[str, object]:
    """The arguments of a trained network that do not follow from its tasks."""
    taken = {"channels_in", "channels_out", "activation", "residual"}
    return {name: value for name, value in card.arguments.items() if name not in taken}
