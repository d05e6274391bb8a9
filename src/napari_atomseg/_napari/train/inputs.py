"""Inputs of the Train panel: what can be learned from, and which tasks it can teach."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QCheckBox, QGridLayout, QWidget

from napari_atomseg import weights
from napari_atomseg._napari.forms.choices import NameOrFile
from napari_atomseg._napari.forms.form import Inputs
from napari_atomseg._napari.forms.inputs import FolderInput, WordInput
from napari_atomseg._napari.preferences import preferences
from napari_atomseg._napari.train.loss_list import LossList
from napari_atomseg._napari.train.pairs import LayerPairs, Pair
from napari_atomseg._napari.train.recipe import arguments_text
from napari_atomseg._napari.train.settings import ANNOTATED, BLIND_SPOT, TASKS
from napari_atomseg._napari.train.watch import TASK_NAMES

if TYPE_CHECKING:
    import napari.viewer


_COLUMNS = 2


class TickList(QWidget):
    """A box for each of some names; the value holds those that are ticked, in their order."""

    changed = Signal(object)

    def __init__(self, names: Mapping[str, str], tooltips: Mapping[str, str]) -> None:
        super().__init__()
        self.native = self
        self.boxes: dict[str, QCheckBox] = {}
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(2)
        for place, (name, text) in enumerate(names.items()):
            box = self.boxes[name] = QCheckBox(text)
            box.setToolTip(tooltips.get(name, ""))
            box.toggled.connect(lambda _ticked: self.changed.emit(self.value))
            grid.addWidget(box, place // _COLUMNS, place % _COLUMNS)

    @property
    def value(self) -> tuple[str, ...]:
        """Names that are ticked."""
        return tuple(name for name, box in self.boxes.items() if box.isChecked())

    @value.setter
    def value(self, names: Sequence[str]) -> None:
        unknown = [name for name in names if name not in self.boxes]
        if unknown:
            raise ValueError(f"{unknown[0]!r} is none of {', '.join(self.boxes)}")
        for name, box in self.boxes.items():
            box.setChecked(name in names)

    def setToolTip(self, text: str) -> None:
        """Keep the boxes' own."""


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
