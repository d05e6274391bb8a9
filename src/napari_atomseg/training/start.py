"""A training before its first step."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch

from napari_atomseg import networks
from napari_atomseg.training.adversary import new_judge, new_judge_optimizer
from napari_atomseg.training.cards import network_arguments
from napari_atomseg.training.checkpoint import State
from napari_atomseg.training.initial import outputs_of, start_from
from napari_atomseg.training.recipe import TrainingRecipe


def new_state(recipe: TrainingRecipe, species: Sequence[str], device: torch.device) -> State:
    """The networks and their optimizers, new or with the weights that the recipe starts from.

    Raises
    ------
    WeightsError
        Those weights cannot be used.
    ValueError
        The network's arguments are wrong.
    """
    torch.manual_seed(recipe.seed)
    arguments = network_arguments(recipe, species)
    network = networks.create(recipe.network.name, **arguments)
    if recipe.initial is not None:
        outputs = outputs_of(recipe.tasks, species, arguments["channels_out"])
        start_from(recipe.initial, network, recipe, outputs)
    network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(
        network.parameters(), recipe.optimizer.rate, weight_decay=recipe.optimizer.weight_decay
    )
    average = copy.deepcopy(network).eval().requires_grad_(False)
    state = State(network, average, optimizer)
    judge = new_judge(recipe, species)
    if judge is not None and recipe.adversarial is not None:
        state.judge = judge.to(device)
        state.judge_optimizer = new_judge_optimizer(state.judge, recipe.adversarial)
    return state
