"""The Train panel: training a network, annotating images for it, and the user's own models."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QSignalBlocker
from qtpy.QtWidgets import QFileDialog, QPushButton

from napari_atomseg._napari.forms.inputs import chosen_folder
from napari_atomseg._napari.jobs import Job, Show, Work
from napari_atomseg._napari.layers import unwrapped
from napari_atomseg._napari.models.choice import model_changes
from napari_atomseg._napari.models.panel import OwnModels
from napari_atomseg._napari.panel import Panel, PanelTabs
from napari_atomseg._napari.time_left import in_words
from napari_atomseg._napari.train.annotate import Annotate
from napari_atomseg._napari.train.inputs import (
    beginnings,
    network_of,
    possible_tasks,
    train_inputs,
)
from napari_atomseg._napari.train.job import (
    Order,
    checkpoint_file,
    read_log,
    recipe_file,
    require_work,
    run_training,
    save_recipe,
)
from napari_atomseg._napari.train.layers import take_pairs
from napari_atomseg._napari.train.recipe import (
    ANNOTATED,
    OPENED,
    OWN,
    SIMULATED,
    START,
    TrainSettings,
    rows_of,
    values_of,
)
from napari_atomseg._napari.train.watch import Listener, Watch
from napari_atomseg.training import TrainingRecipe, load_recipe
from napari_atomseg.weights.store import own_models

if TYPE_CHECKING:
    import napari.viewer

_FILES = "Training recipes (*.yaml *.yml)"
_OWN_LOSSES = "losses", "adversarial"
"""Settings whose names begin so count only where the user chooses the losses."""


class Training(Panel):
    """Trains a network, shows how it goes, and offers it to the other panels when it is done."""

    title = "Train"
    Settings = TrainSettings
    width_of_form = 350

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__(viewer, train_inputs(unwrapped(viewer)))
        self._left = math.nan
        self._listener = Listener()
        self.watch = Watch()
        self.watch.setVisible(False)
        self.run_button.setText("Train")
        self.cancel_button.setToolTip("Stop; Train goes on from there")
        self.pause_button = QPushButton("Pause")
        self.pause_button.setToolTip("Wait, and keep everything in memory")
        self.pause_button.clicked.connect(lambda _checked: self.pause(not self.paused))
        self.open_button, self.save_button = (
            QPushButton("Open recipe …"),
            QPushButton("Save recipe …"),
        )
        self.open_button.setToolTip("Set the panel to a training recipe (YAML)")
        self.save_button.setToolTip(
            "Write these settings as a file that napari-atomseg train runs to the same weights"
        )
        self.open_button.clicked.connect(lambda _checked: self._ask_recipe())
        self.save_button.clicked.connect(lambda _checked: self._ask_file())
        self.add_header(self.watch, stretch=2)
        self.add_body(self.open_button, self.save_button)
        self.add_button(self.pause_button)
        self.pause_button.hide()
        self._listener.arrived.connect(self._show_events)
        self.form.changed.connect(self._follow)
        model_changes.happened.connect(self._offer_models)
        self.show_recipe(START)

    @property
    def paused(self) -> bool:
        """Whether the training waits, or will after its step."""
        return self.job is not None and not self.job.done and self.job.paused

    def pause(self, wait: bool = True) -> None:
        """Let the training wait after its step, or go on."""
        if self.job is None or self.job.done:
            return
        if wait:
            self.job.pause()
            self.message.setText(f"Paused at step {self._step()}")
        else:
            self.job.resume()
        self.pause_button.setText("Go on" if wait else "Pause")

    def order(self) -> Order:
        """Return all that a training needs of the form and the layers.

        Raises
        ------
        ValueError
            Something is missing; a sentence for the user.
        """
        values = self.values()
        rows, taken = rows_of(values["source"]), []
        if rows["folder"]:
            chosen_folder(values["folder"])
        elif rows["pairs"]:
            truth = values["source"] == ANNOTATED
            taken = take_pairs(self.viewer, values["pairs"], values["species"], truth=truth)
        if not values["tasks"]:
            raise ValueError("choose a task for the network to learn")
        return Order(values, tuple(taken), self.base)

    def values(self) -> dict[str, Any]:
        """Return the values of the settings by name.

        Those that the user has not changed are exactly those of the opened recipe, which an input
        may show rounded.
        """
        return {
            name: self._opened[name] if now == self._shown[name] else now
            for name, now in self._now().items()
        }

    def _now(self) -> dict[str, Any]:
        return {name: self.form[name] for name in self.form.inputs}

    def prepare(self) -> tuple[str, Work, Show]:
        order = self.order()
        require_work(order)
        self._listener.take()
        self._left = math.nan
        self.watch.clear(read_log(order.name) if order.goes_on else ())
        self.watch.setVisible(True)
        work = partial(run_training, order, self._listener)
        return f"Train {order.name}", work, self._show

    def summary(self, result: Path) -> str:
        return f"Trained {result.stem!r}: Restore, Segment and Localize offer it in Advanced"

    def open_recipe(self, path: str | Path) -> None:
        """Set the panel to the training recipe of a file.

        Raises
        ------
        OSError, ValueError
            The file is no training recipe; the message gives the reason.
        """
        self.show_recipe(load_recipe(path))

    def show_recipe(self, recipe: TrainingRecipe) -> None:
        """Set the panel to a training recipe; what it has no setting for is kept for the training.

        Raises
        ------
        ValueError
            An input cannot show a value of the recipe.
        """
        values = values_of(recipe)
        with QSignalBlocker(self.form):
            for name, value in values.items():
                self.form[name] = value
        self.base, self._shown = recipe, self._now()
        self._opened = self._shown | values
        self._followed = self.form["source"], self.form["pairs"]
        self._network, self._initial = self.form["network"], self.form["initial"]
        self._follow()

    def save_recipe(self, path: str | Path) -> Path:
        """Write the settings as a training recipe; images of layers go to a folder beside it."""
        return save_recipe(self.order(), Path(path).with_suffix(".yaml"))

    def recipe_file(self) -> Path:
        """Return the file with the recipe of the last training of this name."""
        return recipe_file(self.form["name"])

    def _follow(self) -> None:
        """Show the rows that the source needs, its tasks, and whether a training would go on."""
        source, pairs = self.form["source"], self.form["pairs"]
        rows = rows_of(source)
        rows["recipe"] |= rows["share"] and self.form["share"] > 0
        for name, shown in rows.items():
            self.form.show_row(name, shown)
        self.form.show_row("elements", "elements" in self.form["tasks"] and source != OPENED)
        if (source, pairs) != self._followed:
            self._followed = source, pairs
            if source != OPENED:
                self.form["tasks"] = possible_tasks(self.viewer, source, pairs)
                self.form["flips"] = self.form["right_angles"] = source != SIMULATED
        self._follow_network()
        for name, widget in self.form.inputs.items():
            if name.startswith(_OWN_LOSSES):
                widget.native.setEnabled(self.form["objective"] == OWN)
        name = self.form["name"]
        goes_on = bool(name) and self.form["resume"] and checkpoint_file(name).is_file()
        further = "Train further" if name in own_models() else "Resume training"
        self.run_button.setText(further if goes_on else "Train")

    def _follow_network(self) -> None:
        """Take the network of the model to start from; another network has other arguments."""
        initial, before = self.form["initial"], self._initial
        self._initial = initial
        found = network_of(initial) if initial and initial != before else None
        if found is not None:
            self._network = found[0]
            self.form["network"], self.form["arguments"] = found
        elif self.form["network"] != self._network:
            self._network = self.form["network"]
            self.form["arguments"] = ""

    def _offer_models(self) -> None:
        self.form.inputs["initial"].offer(beginnings())

    def _show_events(self) -> None:
        """Show the events of the training since the last time."""
        events = self._listener.take()
        if events:
            self._left = events[-1].seconds_left
            self.watch.add(events)

    def _step(self) -> int:
        return int(self.watch.losses[0][-1]) if self.watch.losses[0] else 0

    def show_progress(self, done: int, total: int, message: str) -> None:
        if self.paused:
            return
        if total and message.startswith("loss"):
            left = f", {in_words(self._left)}" if math.isfinite(self._left) else ""
            message = f"step {done} of {total}, {message}{left}"
        elif total:
            message = ""  # the scores are in the plots
        super().show_progress(done, total, message)

    def _show(self, path: Path) -> Path:
        model_changes.happened.emit()
        return path

    def finished(self, job: Job) -> None:
        self._show_events()
        if job.cancelled and checkpoint_file(self.form["name"]).is_file():
            self.message.setText(f"Stopped at step {self._step()}; Resume training goes on")
        self._follow()

    def running_changed(self, running: bool) -> None:
        self.form.setEnabled(not running)
        self.pause_button.setText("Pause")
        self.pause_button.setVisible(running)
        self.open_button.setEnabled(not running)

    def _ask_recipe(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Open training recipe", "", _FILES)
        if path:
            self.attempt(partial(self.open_recipe, path))

    def _ask_file(self) -> None:
        name = f"{self.form['name']}.yaml"
        path, _ = QFileDialog.getSaveFileName(self, "Save training recipe", name, _FILES)
        if path:
            self.attempt(partial(self.save_recipe, path))


class Train(PanelTabs):
    """Three panels: `training`, `annotate`, and `models`, the user's own."""

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self.training, self.models = Training(viewer), OwnModels()
        self.annotate = Annotate(viewer, self.training)
        self.add_tab("Train", self.training)
        self.add_tab("Annotate", self.annotate)
        self.add_tab("My models", self.models)
