"""The Train panel: networks for what the shipped ones have not met, and the user's own models."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QTabWidget, QVBoxLayout, QWidget

from napari_atomseg._napari.models.panel import OwnModels
from napari_atomseg._napari.train.annotate import Annotate
from napari_atomseg._napari.train.panel import Training

if TYPE_CHECKING:
    import napari.viewer


class Train(QWidget):
    """Three panels: `training`, `annotate`, and `models`, the user's own."""

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self.training, self.models = Training(viewer), OwnModels()
        self.annotate = Annotate(viewer, self.training)
        self.tabs = QTabWidget()
        self.tabs.addTab(self.training, "Train")
        self.tabs.addTab(self.annotate, "Annotate")
        self.tabs.addTab(self.models, "My models")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.tabs)

    def event(self, event: QEvent) -> bool:
        """Stop working when the dock that holds the panel is closed."""
        if event.type() == QEvent.Type.ParentChange and self.parent() is None:
            self.training.cancel()
            self.annotate.cancel()
        return bool(super().event(event))
