"""The choice of a model in a panel: those available, and any weights file."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from magicgui.widgets import ComboBox
from qtpy.QtCore import QObject, Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QFileDialog, QWidget

from napari_atomseg import weights
from napari_atomseg._napari.preferences import preferences
from napari_atomseg.progress import CancelToken, Progress

BROWSE = "browse"
"""Value of the last choice, which opens a file dialog."""


class _Changes(QObject):
    """Notifies all panels when models are added, removed or renamed."""

    happened = Signal()


model_changes = _Changes()


def model_choices(tasks: Collection[str] = ()) -> list[tuple[str, str]]:
    """Return the models that can do the tasks, the default first, and the choice of a file.

    Where there is no such model, the first choice is a message with an empty name.
    """
    preferences()
    names = [(name, name) for name in weights.models_for(tasks)]
    return [*(names or [("no model can do this", "")]), ("Choose a file …", BROWSE)]


def fetch_model(model: str | Path | None, progress: Progress, cancel: CancelToken) -> Path:
    """Return the file of a model, downloaded if need be with progress and Cancel."""
    progress(0, 0, "loading the model")
    return weights.resolve(model, progress=progress, cancel=cancel)


def identity(weights_file: Path) -> dict[str, Any]:
    """Return the name and hash of a model, for the provenance of a result."""
    from napari_atomseg.networks.card import read_card

    return {"model": read_card(weights_file).name, "sha256": weights.sha256(weights_file)}


class ModelChooser:
    """Offers models for some tasks, and weights files chosen by dialog or script, in a combo box.

    Parameters
    ----------
    tasks : returns the tasks that the panel needs at the moment.
    """

    def __init__(
        self, box: ComboBox, parent: QWidget, tasks: Callable[[], Collection[str]]
    ) -> None:
        self._box, self._parent, self._tasks = box, parent, tasks
        self._files: list[str] = []
        self._last: Any = box.value
        box.choices = lambda _widget: self._choices()
        box.changed.connect(self._choose)

    @property
    def value(self) -> str:
        """Name of the model or path of its file; empty where no model can do the tasks."""
        return str(self._box.value)

    @value.setter
    def value(self, model: str | Path | None) -> None:
        name = weights.DEFAULT if model is None else str(model)
        if name.endswith(".safetensors") and name not in self._files:
            self._files.append(name)
            self._box.reset_choices()
        if name not in [value for _, value in self._choices()]:
            able = f"cannot {' and '.join(self._tasks())}, or is not known"
            raise ValueError(f"model={name!r} {able}; {weights.choice(self._tasks())}")
        self._box.value = name

    def refresh(self) -> None:
        """Update the choices for the current models and tasks; a choice that is no longer there
        is replaced by the first one.
        """
        chosen, choices = self._box.value, self._choices()
        with self._box.changed.blocked():
            self._box.reset_choices()
            known = [value for _, value in choices]
            self._box.value = self._last = chosen if chosen in known else known[0]

    def _choices(self) -> list[tuple[str, str]]:
        *names, browse = model_choices(self._tasks())
        return [*names, *((Path(file).name, file) for file in self._files), browse]

    def _choose(self, model: Any) -> None:
        if model != BROWSE:
            self._last = model
            return
        self._box.value = self._last
        name, _ = QFileDialog.getOpenFileName(
            self._parent, "Choose a model", "", "Model weights (*.safetensors)"
        )
        if name:
            self.value = name
