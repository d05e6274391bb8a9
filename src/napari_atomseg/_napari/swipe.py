"""Before and after: the recorded image over the left part of the restored one, up to a divider."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari.layers import Image
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QCheckBox, QHBoxLayout, QSlider, QWidget

from napari_atomseg._napari.layers import PASSING, PROVENANCE, Placement, grey_data

if TYPE_CHECKING:
    import napari.viewer

_STEPS = 1000
_LOOKS = ("contrast_limits", "colormap", "gamma", "interpolation2d")
"""How an image is shown; the part that is laid over follows its source in these."""


class Swipe(QWidget):
    """A slider that moves the border between an image and what was restored from it.

    napari clips no images, so a layer of its own shows the part of the source left of the border.
    It is there for as long as the swipe is on, and nobody's result: panels do not offer it.

    Parameters
    ----------
    viewer : with the layers.
    """

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self._viewer = viewer
        self._pair: tuple[Image, Image] | None = None
        self._part: Image | None = None
        self._hidden = False
        self.box, self.slider = QCheckBox("Before | after"), QSlider(Qt.Orientation.Horizontal)
        self.box.setToolTip("Lay the image as it was over the left part of the restored one")
        self.slider.setToolTip("Border between the image as it was and the restored one")
        self.slider.setRange(0, _STEPS)
        self.slider.setValue(_STEPS // 2)
        self.slider.setEnabled(False)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.box)
        row.addWidget(self.slider, 1)
        self.box.toggled.connect(self._switch)
        self.slider.valueChanged.connect(self._move)
        self.hide()

    @property
    def on(self) -> bool:
        """Whether the two images are compared now."""
        return self._part is not None

    @on.setter
    def on(self, on: bool) -> None:
        self.box.setChecked(on)

    @property
    def divider(self) -> float:
        """Place of the border, from 0, all restored, to 1, all as it was."""
        return self.slider.value() / _STEPS

    @divider.setter
    def divider(self, place: float) -> None:
        self.slider.setValue(round(place * _STEPS))

    def offer(self) -> None:
        """Show the swipe where a restored image and its source are there to be compared."""
        if not self.on:
            self._pair = self._newest()
        self.setVisible(self._pair is not None)

    def _newest(self) -> tuple[Image, Image] | None:
        """The restored image that is selected or was added last, and its source."""
        layers = self._viewer.layers
        active = layers.selection.active
        for layer in (active, *reversed(layers)):
            record = {} if layer is None else layer.metadata.get(PROVENANCE, {})
            source = str(record.get("source", ""))
            if record.get("action") == "restore" and isinstance(layer, Image) and source in layers:
                before = layers[source]
                if isinstance(before, Image):
                    return layer, before
        return None

    def _switch(self, on: bool) -> None:
        self.slider.setEnabled(on)
        if on == self.on:
            return
        if on:
            self._begin()
        else:
            self._end()

    def _begin(self) -> None:
        self._pair = self._newest()
        if self._pair is None:
            self.box.setChecked(False)
            return
        restored, source = self._pair
        layers = self._viewer.layers
        selected, active = set(layers.selection), layers.selection.active
        part = Image(
            self._left(source),
            name=f"{source.name} before",
            rgb=source.rgb,
            metadata={PASSING: True},
            **Placement.of(source).arguments(),
        )
        self._hidden, restored.visible = not restored.visible, True
        layers.insert(layers.index(restored) + 1, part)
        self._part = part
        self._copy_looks()
        layers.selection.clear()
        layers.selection.update(selected)
        layers.selection.active = active
        for name in _LOOKS:
            getattr(source.events, name).connect(self._copy_looks)
        layers.events.removed.connect(self._removed)
        self._move()

    def _end(self) -> None:
        part, pair = self._part, self._pair
        self._part = None
        layers = self._viewer.layers
        layers.events.removed.disconnect(self._removed)
        if pair is not None:
            restored, source = pair
            for name in _LOOKS:
                getattr(source.events, name).disconnect(self._copy_looks)
            if self._hidden and restored in layers:
                restored.visible = False
        if part is not None and part in layers:
            selected, active = set(layers.selection) - {part}, layers.selection.active
            layers.remove(part)
            layers.selection.clear()
            layers.selection.update(selected)
            if active is not part:
                layers.selection.active = active
        self.offer()

    def _removed(self, event: Any = None) -> None:
        """End with any of the layers: the user removed the image, the result or this part."""
        gone = {self._part, *(self._pair or ())} - set(self._viewer.layers)
        if gone:
            self.box.setChecked(False)

    def _move(self, _place: int = 0) -> None:
        if self._part is None or self._pair is None:
            return
        self._part.visible = self.slider.value() > 0
        self._part.data = self._left(self._pair[1])

    def _left(self, source: Image) -> Any:
        """The part of an image left of the border: a view of its data, lazy where they are."""
        axis = -2 if source.rgb else -1
        data = source.data[0] if source.multiscale else source.data
        until = max(1, round(self.divider * data.shape[axis]))
        return data[..., :until, :] if source.rgb else grey_data(source)[..., :until]

    def _copy_looks(self, event: Any = None) -> None:
        if self._part is None or self._pair is None:
            return
        for name in _LOOKS:
            setattr(self._part, name, getattr(self._pair[1], name))
