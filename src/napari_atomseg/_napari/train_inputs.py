"""Inputs of the Train panel: what can be learned from, and which tasks it can teach."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from napari_atomseg import weights
from napari_atomseg._napari.choices import NameOrFile
from napari_atomseg._napari.form import Inputs
from napari_atomseg._napari.inputs import FolderInput, WordInput
from napari_atomseg._napari.layer_pairs import LayerPairs, Pair
from napari_atomseg._napari.loss_list import LossList
from napari_atomseg._napari.preferences import preferences
from napari_atomseg._napari.ticks import TickList
from napari_atomseg._napari.train_recipe import arguments_text
from napari_atomseg._napari.train_settings import ANNOTATED, BLIND_SPOT, TASKS
from napari_atomseg._napari.train_watch import TASK_NAMES

if TYPE_CHECKING:
    import napari.viewer

_HELP_OF_TASKS = {
    "denoise": "Remove noise and scan errors",
    "denoise_background": "Also remove what varies slowly between the atoms",
    "superresolution": "Also narrow the atoms, as a sharper probe would",
    "column_map": "A spot on each column, for Localize",
    "column_mask": "A disc on each column, for Segment",
    "elements": "A disc on each column, in a map of its species",
}
_TAUGHT_BY = {
    "denoise": ("Image",),
    "column_map": ("Points", "Labels"),
    "column_mask": ("Points", "Labels"),
    "elements": ("Points",),
}
"""Kinds of layers any of which teaches a task."""


def train_inputs(viewer: napari.viewer.Viewer) -> Inputs:
    """Return what makes the inputs that are neither numbers nor fixed choices."""
    return {
        "name": partial(WordInput, "of the model"),
        "recipe": lambda: NameOrFile(_recipes(), "Simulation recipes (*.yaml *.yml)"),
        "folder": FolderInput,
        "pairs": partial(LayerPairs, viewer),
        "species": partial(WordInput, "a layer each"),
        "elements": partial(WordInput, "all of them"),
        "tasks": partial(TickList, TASK_NAMES, _HELP_OF_TASKS),
        "network": lambda: NameOrFile(_networks()),
        "losses": partial(LossList, TASK_NAMES),
        "arguments": partial(WordInput, "as it is by itself"),
        "initial": lambda: NameOrFile(beginnings(), "Model weights (*.safetensors)"),
    }


def possible_tasks(
    viewer: napari.viewer.Viewer, source: str, pairs: Sequence[Pair]
) -> tuple[str, ...]:
    """Return the tasks that a source can teach, as far as layers tell."""
    if source == BLIND_SPOT:
        return ("denoise",)
    if source != ANNOTATED:
        return TASKS
    kinds = [
        {type(viewer.layers[name]).__name__ for name in truth if name in viewer.layers}
        for _, truth in pairs
    ]
    return tuple(
        task
        for task, teachers in _TAUGHT_BY.items()
        if kinds and all(each.intersection(teachers) for each in kinds)
    )


def beginnings() -> dict[str, str]:
    """Return what a training can start from."""
    preferences()
    names = [str(name) for name in weights.models()["name"]]
    return {"": "random weights", **{name: name for name in names}}


def network_of(model: str) -> tuple[str, str] | None:
    """Return the name and the arguments of a model's network; None if its file is not here."""
    from napari_atomseg.networks.card import read_card
    from napari_atomseg.training.initial import size_arguments

    try:
        card = read_card(weights.resolve(model))
    except (OSError, ValueError):
        return None
    return card.architecture, arguments_text(size_arguments(card))


def _recipes() -> dict[str, str]:
    from napari_atomseg.simulation import recipes

    return {name: name for name in recipes()}


def _networks() -> dict[str, str]:
    from napari_atomseg import networks

    return {name: name.replace("_", " ") for name in networks.names()}
