"""The models that a panel offers: those at hand, and any weights file of the user's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from magicgui.widgets import ComboBox
from qtpy.QtCore import QObject, Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QFileDialog, QWidget

from napari_atomseg import weights
from napari_atomseg._napari.preferences import preferences
from napari_atomseg.progress import CancelToken, Progress

BROWSE = "browse"
"""Value of the last choice, which asks for a file."""


class _Changes(QObject):
    """Tells all panels that models came, went or got other names."""

    happened = Signal()


model_changes = _Changes()


def model_choices() -> list[tuple[str, str]]:
    """Return names of the models at hand, the default first, and the way to a file."""
    preferences()
    names = [str(name) for name in weights.models()["name"]]
    names.sort(key=lambda name: name != weights.DEFAULT)
    return [*((name, name) for name in names), ("Choose a file …", BROWSE)]


def fetch_model(model: str | Path | None, progress: Progress, cancel: CancelToken) -> Path:
    """Return the file of a model; a download shows and can be cancelled."""
    progress(0, 0, "loading the model")
    return weights.resolve(model, progress=progress, cancel=cancel)


def identity(weights_file: Path) -> dict[str, str]:
    """Return the name and hash of a model, for the record of a result."""
    from napari_atomseg.networks.card import read_card

    return {"model": read_card(weights_file).name, "sha256": weights.sha256(weights_file)}


class ModelChooser:
    """Adds weights files to a combo box of models, by dialog or by script."""

    def __init__(self, box: ComboBox, parent: QWidget) -> None:
        self._box, self._parent = box, parent
        self._files: list[str] = []
        self._last: Any = box.value
        box.choices = lambda _widget: self._choices()
        box.changed.connect(self._choose)

    @property
    def value(self) -> str:
        """Name of the model, or the path of its file."""
        return str(self._box.value)

    @value.setter
    def value(self, model: str | Path | None) -> None:
        name = weights.DEFAULT if model is None else str(model)
        if name.endswith(".safetensors") and name not in self._files:
            self._files.append(name)
            self._box.reset_choices()
        self._box.value = name

    def refresh(self) -> None:
        """Offer the models that are here now; the default stands for one that is gone."""
        chosen, known = self._box.value, [value for _, value in self._choices()]
        self._box.reset_choices()
        self._box.value = self._last = chosen if chosen in known else weights.DEFAULT

    def _choices(self) -> list[tuple[str, str]]:
        *names, browse = model_choices()
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
