"""The History panel: how the chosen layer was made, in words, and to be repeated."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from napari.layers import Layer
from qtpy.QtCore import Qt
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import (
    QApplication,
    QFileDialog,
    QGridLayout,
    QLabel,
    QListWidget,
    QPushButton,
    QVBoxLayout,
)

from napari_atomseg._napari.columns.layers import layer_described
from napari_atomseg._napari.dock import Docked
from napari_atomseg._napari.forms.form import wrapped
from napari_atomseg._napari.jobs import Job, attempt
from napari_atomseg._napari.layers import unwrapped
from napari_atomseg._napari.replace import replacements
from napari_atomseg.progress import CancelToken, Progress
from napari_atomseg.workflow.recorded import Recorded
from napari_atomseg.workflow.records import History as LayerHistory
from napari_atomseg.workflow.records import history_of, other_pixels

if TYPE_CHECKING:
    import napari.viewer

_TITLE = "History"
_NOTHING = "Choose a layer to see how it was made."
_LEAST = 70
"""Least height of the list of steps, pixels."""


class History(Docked):
    """Shows how the layer that is chosen in the layer list was made, from the image file on.

    ``panel.history`` is that of the layer; its ``workflow``, ``python()`` and ``commands()`` are
    what the buttons give.
    """

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self.viewer = unwrapped(viewer)
        self.job: Job | None = None
        self.chosen = QLabel()
        self.chosen.setWordWrap(True)
        self.steps = QListWidget()
        self.steps.setWordWrap(True)
        self.steps.setMinimumHeight(_LEAST)
        self.steps.setSelectionMode(QListWidget.SelectionMode.NoSelection)
        self.steps.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.message = QLabel()
        self.message.setWordWrap(True)
        self.message.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.python_button = QPushButton("Copy as Python")
        self.python_button.setToolTip("Copy a Python script that makes this layer again")
        self.commands_button = QPushButton("Copy as command")
        self.commands_button.setToolTip("Copy the commands that make this layer again")
        self.save_button = QPushButton("Save workflow (YAML)…")
        self.save_button.setToolTip(
            wrapped(
                "Write the steps to a file: the Batch panel and `napari-atomseg run` repeat them "
                "on other images"
            )
        )
        self.python_button.clicked.connect(self.copy_python)
        self.commands_button.clicked.connect(self.copy_commands)
        self.save_button.clicked.connect(self._ask)
        buttons = QGridLayout()
        buttons.addWidget(self.python_button, 0, 0)
        buttons.addWidget(self.commands_button, 0, 1)
        buttons.addWidget(self.save_button, 1, 0, 1, 2)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 6, 6, 6)
        layout.setSpacing(4)
        layout.addWidget(self.chosen)
        layout.addWidget(self.steps, 1)
        layout.addWidget(self.message)
        layout.addLayout(buttons)
        self.viewer.layers.selection.events.active.connect(self._follow)
        replacements.happened.connect(self._follow)
        self._show(None)

    @property
    def layer(self) -> Layer | None:
        """The layer that is shown: the active one of the viewer."""
        return self.viewer.layers.selection.active

    @property
    def history(self) -> LayerHistory:
        """How the layer was made.

        Raises
        ------
        ValueError
            No layer is active.
        """
        if self.layer is None:
            raise ValueError(_NOTHING)
        return history_of(layer_described(self.layer))

    def refresh(self) -> None:
        """Show the history of the layer that is active now."""
        self._show(None if self.layer is None else self.history)

    def copy_python(self, _on: bool = False) -> None:
        """Copy a Python script that makes the layer again."""
        self._copy(lambda found: found.python(), "Python script")

    def copy_commands(self, _on: bool = False) -> None:
        """Copy the commands that make the layer again."""
        self._copy(lambda found: "\n".join(found.commands()) + "\n", "Commands")

    def save_workflow(self, path: str | Path) -> None:
        """Write the workflow of the layer as YAML.

        Raises
        ------
        ValueError
            The layer cannot be repeated; the message says why.
        OSError
            The file cannot be written.
        """
        found = self.history
        if found.workflow is None:
            raise ValueError(found.problem)
        found.workflow.save(path)
        self.message.setText(
            f"Saved as {Path(path).name}: napari-atomseg run {Path(path).name} IMAGES … repeats it"
        )

    def showEvent(self, event: QShowEvent) -> None:
        """Show what was done since the panel was last seen."""
        super().showEvent(event)
        self.refresh()

    def closed(self) -> None:
        if self.job is not None:
            self.job.cancel()

    def _copy(self, make: Callable[[LayerHistory], str], what: str) -> None:
        copied = attempt(_TITLE, lambda: (found := self.history, make(found)), self.message)
        if copied is None:
            return
        image, text = copied[0].image, copied[1]
        QApplication.clipboard().setText(text)
        self.message.setText(f"{what} copied")
        if image is not None and (self.job is None or self.job.done):
            self.job = Job("Look at the image file", partial(_compared, image), self._show_compared)
            self.job.start()

    def _show_compared(self, problem: str) -> str:
        """Say that the script would not read the pixels that the layer was made of."""
        if problem:
            self.message.setText(f"Copied, but {problem}")
        return problem

    def _show(self, found: LayerHistory | None) -> None:
        lines = () if found is None else found.lines
        name = "" if self.layer is None else self.layer.name
        self.chosen.setText(f"How {name!r} was made:")
        self.chosen.setVisible(len(lines) > 1)
        self.steps.clear()
        self.steps.addItems(lines[:1])
        self.steps.addItems([f"{number}. {line}" for number, line in enumerate(lines[1:], 1)])
        self.steps.setVisible(bool(lines))
        repeatable = found is not None and found.workflow is not None
        for button in (self.python_button, self.commands_button, self.save_button):
            button.setEnabled(repeatable)
        self.message.setText(_NOTHING if found is None else _caution(found))

    def _follow(self, *_event: object) -> None:
        if self.isVisible():
            self.refresh()

    def _ask(self) -> None:
        name = f"{self.history.result or 'workflow'}.yaml"
        path, _ = QFileDialog.getSaveFileName(self, "Save workflow", name, "Workflow (*.yaml)")
        if path:
            path = path if Path(path).suffix else f"{path}.yaml"
            attempt(_TITLE, partial(self.save_workflow, path), self.message)


def _caution(found: LayerHistory) -> str:
    """Why a layer cannot be repeated, or only in part; empty where it can."""
    if found.problem and len(found.lines) > 1:
        return f"Cannot be repeated: {found.problem}."
    if found.problem:
        return f"{found.problem[:1].upper()}{found.problem[1:]}."
    if found.image is not None and found.image.problem:
        return (
            f"The image is {found.image.problem}: for the script and the commands, save it and "
            "work on the file."
        )
    return ""


def _compared(image: Recorded, progress: Progress, cancel: CancelToken) -> str:
    return other_pixels(image)
