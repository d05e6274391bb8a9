"""A panel with a layer of columns, and the image that they lie on."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from magicgui.widgets import ComboBox
from napari.layers import Image, Layer, Points

from napari_atomseg._napari.calibrate import Calibrate
from napari_atomseg._napari.columns.layers import columns_layers, image_layers, own_image
from napari_atomseg._napari.forms.form import Inputs, make_narrow
from napari_atomseg._napari.layers import Placement, Source, unwrapped
from napari_atomseg._napari.panel import Panel
from napari_atomseg._napari.replace import replacements
from napari_atomseg._napari.steps import columns_behind

if TYPE_CHECKING:
    import napari.viewer


class ColumnsLayerPanel(Panel):
    """A panel with a points layer of columns, which it follows, and their image."""

    def __init__(self, viewer: napari.viewer.Viewer, inputs: Inputs | None = None) -> None:
        super().__init__(viewer, inputs)
        self._followed: Points | None = None
        self._columns = self._chooser("columns", Points, "The points layer of columns")
        self._image = self._chooser("image", Image, "The image that the columns lie on")
        self.form.rows.insertRow(0, "Columns", self._columns.native)
        self.form.rows.insertRow(1, "Image", self._image.native)
        self.calibration = Calibrate(self.viewer, lambda: self.image)
        self.form.rows.insertRow(2, self.calibration)
        self._seen: WeakSet[Layer] = WeakSet()
        self._choose_newest()
        for react in (self._follow, self._saw):
            self._columns.changed.connect(react)
        replacements.happened.connect(self._follow_replaced)

    @property
    def columns(self) -> Points | None:
        """The layer of columns; set it to a layer of the viewer or to its name."""
        return self._columns.value

    @columns.setter
    def columns(self, layer: Points | str) -> None:
        self._choose(self._columns, layer, Points)
        self._saw()
        self._follow()

    @property
    def image(self) -> Image | None:
        """The image of the columns; set it to a layer of the viewer or to its name."""
        return self._image.value

    @image.setter
    def image(self, layer: Image | str) -> None:
        self._choose(self._image, layer, Image)

    def reset_choices(self, event: Any = None) -> None:
        """Offer the layers that the viewer holds now; napari calls this when they change."""
        self._columns.reset_choices()
        self._image.reset_choices()
        self.calibration.reset_choices()
        self._follow()

    def take_newest(self) -> None:
        """Choose the columns that are selected, or those that were added last.

        Only layers that came after the last choice count: what the user chose stays.
        """
        self._choose_newest()
        self._follow()

    def _choose_newest(self) -> None:
        layers = self.viewer.layers
        fresh = [layer for layer in layers if layer not in self._seen]
        active = layers.selection.active
        candidates = [active] if active in fresh else []
        for layer in (*candidates, *reversed(fresh)):
            columns = columns_behind(layer, layers)
            if columns is not None:
                self._columns.reset_choices()
                self._columns.value = columns
                break
        self._saw()

    def _saw(self, _layer: object = None) -> None:
        self._seen.update(self.viewer.layers)

    def require_columns(self) -> Points:
        """Return the layer of columns, or raise a ValueError for the user that there is none."""
        if self.columns is None:
            raise ValueError("there are no columns: run Localize, or choose a points layer")
        return self.columns

    def own_image(self) -> Image | None:
        """Return the image, if the columns lie on its pixels."""
        image, layer = self.image, self.columns
        if image is None or layer is None:
            return None
        return image if Placement.of(layer).agrees(Placement.of(image)) else None

    def _chooser(self, name: str, kind: type, about: str) -> ComboBox:
        box = ComboBox(
            name=name,
            choices=lambda _widget: [(each.name, each) for each in self._layers(kind)],
            nullable=False,
        )
        make_narrow(box.native)
        box.native.setToolTip(about)
        return box

    def _layers(self, kind: type) -> list[Any]:
        """Return the layers that can be chosen: not those that measurements drew."""
        choose = columns_layers if kind is Points else image_layers
        return list(choose(self.viewer.layers))

    def _choose(self, box: ComboBox, layer: Any, kind: type[Layer]) -> None:
        layer = self.viewer.layers[layer] if isinstance(layer, str) else unwrapped(layer)
        if not isinstance(layer, kind):
            raise ValueError(f"{layer!r} is not a {kind.__name__.lower()} layer: choose another")
        if isinstance(layer, Image):
            Source.of(layer)
        if layer not in self.viewer.layers:
            raise ValueError(f"{layer.name!r} is not a layer of this viewer: add it first")
        box.reset_choices()
        box.value = layer

    def _follow(self, event: Any = None) -> None:
        """Follow the layer that is chosen now, and choose its image."""
        layer = self.columns
        if layer is self._followed:
            return
        before, self._followed = self._followed, layer
        image = own_image(layer, self._layers(Image))
        if image is not None:
            self._image.value = image
        self.layer_changed(before)

    def _follow_replaced(self, old: Layer, new: Layer) -> None:
        """Follow the layer that came in place of a chosen one, or its other data."""
        if new not in self.viewer.layers:
            return
        if old is self._followed and old is new:
            self.layer_changed(old)
        elif old is self._followed:
            self.columns = new
        elif old is not new and old is self.image:
            self.image = new

    @abstractmethod
    def layer_changed(self, before: Points | None) -> None:
        """Show the newly chosen layer, or that there is none, in place of the one before."""
