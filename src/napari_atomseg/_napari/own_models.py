"""A list of the user's own models: they can be added, renamed, exported and removed."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from napari.utils.notifications import show_error
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QFileDialog,
    QGridLayout,
    QInputDialog,
    QLabel,
    QListWidget,
    QMessageBox,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_atomseg import weights
from napari_atomseg._napari.jobs import describe
from napari_atomseg._napari.models import model_changes
from napari_atomseg._napari.preferences import preferences
from napari_atomseg._napari.train_watch import TASK_NAMES, metric_name
from napari_atomseg.weights import remove_model
from napari_atomseg.weights.own import (
    add_model,
    export_model,
    own_models,
    rename_model,
)

_FILES = "Model weights (*.safetensors)"
_NONE = "No models of your own yet: train one, or add a file."


class OwnModels(QWidget):
    """Names of the user's models, and what the chosen one says of itself."""

    def __init__(self) -> None:
        super().__init__()
        self.list = QListWidget()
        self.about = QLabel()
        self.about.setWordWrap(True)
        self.about.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.about.setAlignment(Qt.AlignmentFlag.AlignTop)
        self._buttons = {
            "Rename …": (self._ask_name, "Give the model another name"),
            "Export …": (self._ask_export, "Save a copy of the weights file, for others"),
            "Remove …": (self._ask_removal, "Delete the weights file"),
            "Add file …": (self._ask_file, "Copy a weights file, so that panels offer it"),
        }
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 6, 6, 6)
        layout.setSpacing(4)
        layout.addWidget(self.list, 2)
        layout.addWidget(self.about, 1)
        layout.addLayout(self._row_of_buttons())
        self.list.currentTextChanged.connect(lambda _name: self._describe())
        model_changes.happened.connect(self.refresh)
        self.refresh()

    def _row_of_buttons(self) -> QGridLayout:
        row = QGridLayout()
        self.buttons: dict[str, QPushButton] = {}
        for place, (text, (act, tooltip)) in enumerate(self._buttons.items()):
            button = self.buttons[text] = QPushButton(text)
            button.setToolTip(tooltip)
            button.clicked.connect(partial(self._try, act))
            row.addWidget(button, place // 2, place % 2)
        return row

    @property
    def selected(self) -> str:
        """Name of the chosen model; empty if there is none."""
        item = self.list.currentItem()
        return str(item.text()) if item is not None else ""

    def refresh(self) -> None:
        """List the models that are here now."""
        preferences()
        chosen, names = self.selected, list(own_models())
        self.list.clear()
        self.list.addItems(names)
        if names:
            self.list.setCurrentRow(names.index(chosen) if chosen in names else 0)
        for text, button in self.buttons.items():
            button.setEnabled(bool(names) or text.startswith("Add"))
        self._describe()

    def rename(self, name: str, new: str) -> None:
        """Give a model another name; panels offer it under that one at once."""
        rename_model(name, new)
        model_changes.happened.emit()
        self.list.setCurrentRow(list(own_models()).index(new))

    def export(self, name: str, path: str | Path) -> Path:
        """Copy a model to a file, and return its path."""
        return export_model(name, path)

    def remove(self, name: str) -> None:
        """Delete a model; panels offer it no more."""
        remove_model(name)
        model_changes.happened.emit()

    def add(self, path: str | Path) -> None:
        """Copy a weights file, so that panels offer it by its name."""
        added = add_model(path)
        model_changes.happened.emit()
        self.list.setCurrentRow(list(own_models()).index(added.stem))

    def _describe(self) -> None:
        if not self.selected:
            self.about.setText(_NONE)
            return
        try:
            self.about.setText(_described(weights.resolve(self.selected)))
        except (OSError, ValueError) as error:
            self.about.setText(describe(error))

    def _try(self, act: Callable[[], Any], _checked: bool) -> None:
        try:
            act()
        except (OSError, ValueError) as error:
            show_error(f"Models: {describe(error)}")

    def _ask_name(self) -> None:
        new, agreed = QInputDialog.getText(self, "Rename model", "New name", text=self.selected)
        if agreed and new.strip() != self.selected:
            self.rename(self.selected, new.strip())

    def _ask_export(self) -> None:
        name = f"{self.selected}.safetensors"
        path, _ = QFileDialog.getSaveFileName(self, "Export model", name, _FILES)
        if path:
            self.export(self.selected, path)

    def _ask_removal(self) -> None:
        question = f"Delete the model {self.selected!r}? This cannot be undone."
        if QMessageBox.question(self, "Remove model", question) == QMessageBox.StandardButton.Yes:
            self.remove(self.selected)

    def _ask_file(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Add model", "", _FILES)
        if path:
            self.add(path)


def _described(path: Path) -> str:
    """Return what the card of a weights file says, a line each."""
    from napari_atomseg.networks.card import read_card

    card = read_card(path)
    scores = {k: v for k, v in card.scores.items() if k.startswith(("f1", "psnr", "dice"))}
    lines = [
        card.description,
        f"{card.architecture}, {card.steps} steps, {path.stat().st_size / 1e6:.1f} MB",
        "for " + ", ".join(TASK_NAMES.get(task, task) for task in card.tasks),
        "; ".join(f"{metric_name(name)} {value:.3g}" for name, value in scores.items()),
    ]
    return "\n".join(line for line in lines if line)
