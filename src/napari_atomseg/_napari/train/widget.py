"""The Train panel: networks for what the shipped ones have not met, and the user's own models."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_atomseg._napari.models.panel import OwnModels
from napari_atomseg._napari.panel import PanelTabs
from napari_atomseg._napari.train.annotate import Annotate
from napari_atomseg._napari.train.panel import Training

if TYPE_CHECKING:
    import napari.viewer


class Train(PanelTabs):
    """Three panels: `training`, `annotate`, and `models`, the user's own."""

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self.training, self.models = Training(viewer), OwnModels()
        self.annotate = Annotate(viewer, self.training)
        self.add_tab("Train", self.training)
        self.add_tab("Annotate", self.annotate)
        self.add_tab("My models", self.models)
