"""Inputs of the Train panel that are neither numbers nor fixed choices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QGridLayout,
    QHBoxLayout,
    QListWidget,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_atomseg import weights
from napari_atomseg._napari.forms.choices import NameOrFile
from napari_atomseg._napari.forms.form import Inputs, make_narrow
from napari_atomseg._napari.forms.inputs import WordInput
from napari_atomseg._napari.preferences import preferences
from napari_atomseg._napari.train.layers import LayerPairs, Pair
from napari_atomseg._napari.train.names import TASK_NAMES
from napari_atomseg._napari.train.recipe import ANNOTATED, BLIND_SPOT, arguments_text
from napari_atomseg.networks import names
from napari_atomseg.networks.card import read_card
from napari_atomseg.networks.tasks import TASKS
from napari_atomseg.simulation import recipes
from napari_atomseg.training.initial import size_arguments
from napari_atomseg.training.losses import KINDS, fits

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


Losses = dict[str, list[dict[str, Any]]]
_HEIGHT = 84


class LossList(QWidget):
    """Losses that are added one after the other; tasks without any have their usual ones.

    Parameters
    ----------
    tasks : what the panel calls them, by name.

    The value is a recipe's `losses`: for each task a list of losses, as a recipe writes them.
    """

    changed = Signal(object)
    whole_row = True
    """Takes the room of its label too."""

    def __init__(self, tasks: Mapping[str, str]) -> None:
        super().__init__()
        self.native = self
        self._tasks = tasks
        self._losses: Losses = {}
        self.task_box, self.kind_box, self.weight_box = QComboBox(), QComboBox(), QDoubleSpinBox()
        self.task_box.currentIndexChanged.connect(lambda _place: self._offer_kinds())
        for name, text in tasks.items():
            self.task_box.addItem(text, name)
        for box in (self.task_box, self.kind_box):
            make_narrow(box)
        self.weight_box.setRange(0.0, 1e6)
        self.weight_box.setDecimals(4)
        self.weight_box.setSpecialValueText("usual weight")
        self.add_button, self.drop_button = QPushButton("Add loss"), QPushButton("−")
        self.add_button.clicked.connect(self._add)
        self.drop_button.clicked.connect(self._drop)
        self.drop_button.setToolTip("Take the chosen line away")
        self.drop_button.setMaximumWidth(28)
        self.list = QListWidget()
        self.list.setMaximumHeight(_HEIGHT)
        self._lay_out()
        make_narrow(self)

    def _lay_out(self) -> None:
        which, buttons = QHBoxLayout(), QHBoxLayout()
        which.addWidget(self.task_box, 1)
        which.addWidget(self.kind_box, 1)
        buttons.addWidget(self.weight_box, 1)
        buttons.addWidget(self.add_button, 1)
        buttons.addWidget(self.drop_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self.list)
        layout.addLayout(which)
        layout.addLayout(buttons)

    @property
    def value(self) -> Losses:
        """The losses of each task."""
        return {task: [dict(loss) for loss in losses] for task, losses in self._losses.items()}

    @value.setter
    def value(self, losses: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
        self._losses = {task: [dict(loss) for loss in some] for task, some in losses.items()}
        self.list.clear()
        for task, loss in self._lines():
            text = f"{self._tasks.get(task, task)}: {KINDS[loss['kind']].label}"
            self.list.addItem(text + (f" × {loss['weight']:g}" if "weight" in loss else ""))
        self.changed.emit(self.value)

    def setToolTip(self, text: str) -> None:
        """Explain the list; the other parts have tooltips of their own."""
        self.list.setToolTip(text)

    def _lines(self) -> list[tuple[str, dict[str, Any]]]:
        return [(task, loss) for task, losses in self._losses.items() for loss in losses]

    def _offer_kinds(self) -> None:
        """Offer the losses that fit the chosen task."""
        task, chosen = self.task_box.currentData(), self.kind_box.currentData()
        self.kind_box.clear()
        for kind, loss in KINDS.items():
            if fits(kind, task):
                self.kind_box.addItem(loss.label, kind)
        self.kind_box.setCurrentIndex(max(0, self.kind_box.findData(chosen)))

    def _add(self) -> None:
        loss: dict[str, Any] = {"kind": self.kind_box.currentData()}
        if self.weight_box.value() > 0:
            loss["weight"] = self.weight_box.value()
        losses, task = self.value, self.task_box.currentData()
        others = [each for each in losses.get(task, []) if each["kind"] != loss["kind"]]
        self.value = losses | {task: [*others, loss]}

    def _drop(self) -> None:
        row = self.list.currentRow()
        if row >= 0:
            lines = self._lines()
            del lines[row]
            tasks = dict.fromkeys(task for task, _ in lines)
            self.value = {task: [loss for t, loss in lines if t == task] for task in tasks}


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
    """Return what makes these inputs, by the names of their settings."""
    simulations = {name: name for name in recipes()}
    return {
        "name": partial(WordInput, "of the model"),
        "recipe": lambda: NameOrFile(simulations, "Simulation recipes (*.yaml *.yml)"),
        "pairs": partial(LayerPairs, viewer),
        "species": partial(WordInput, "a layer each"),
        "elements": partial(WordInput, "all of them"),
        "tasks": partial(TickList, TASK_NAMES, _HELP_OF_TASKS),
        "network": lambda: NameOrFile({name: name.replace("_", " ") for name in names()}),
        "losses": partial(LossList, TASK_NAMES),
        "arguments": partial(WordInput, "those of the network"),
        "initial": lambda: NameOrFile(beginnings(), "Model weights (*.safetensors)"),
    }


def possible_tasks(
    viewer: napari.viewer.Viewer, source: str, pairs: Sequence[Pair]
) -> tuple[str, ...]:
    """Return the tasks that can be learnt from a source and from the kinds of the layers."""
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
    return {"": "random weights", **{name: name for name in weights.models_for(())}}


def network_of(model: str) -> tuple[str, str] | None:
    """Return the name and the arguments of a model's network; None if its file is not here."""
    try:
        card = read_card(weights.resolve(model))
    except (OSError, ValueError):
        return None
    return card.architecture, arguments_text(size_arguments(card))
