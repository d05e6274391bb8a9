"""Keys as overlays of napari's canvas.

Napari has colour bars for images and numbers, without a title, a unit, or names of kinds. Keys are
overlays of their layer as these are: napari stacks them in a corner, hides them with the layer,
takes them away with it, and draws them in screenshots of the canvas. How overlays are drawn is no
public part of napari (0.9); all that the plugin uses of it stands in this module.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from napari._vispy.overlays.base import LayerOverlayMixin, VispyCanvasOverlay
from napari._vispy.utils.visual import overlay_to_visual
from napari.components._viewer_constants import CanvasPosition
from napari.components.overlays import CanvasOverlay
from napari.layers import Image
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QApplication
from superqt.utils import qimage_to_array
from vispy.scene import Image as Picture
from vispy.visuals.transforms import STTransform

from napari_atomseg._napari.keys import draw_key


class KeyOverlay(CanvasOverlay):
    """A key, below the right upper corner of the canvas."""

    key: Any = None
    position: CanvasPosition | Any = CanvasPosition.TOP_RIGHT
    box: bool = False


class _VispyKey(LayerOverlayMixin, VispyCanvasOverlay):
    """Draws the key of a layer, anew whenever it, the layer's colours or the theme change."""

    def __init__(self, *, font_info: Any, **options: Any) -> None:
        blank = np.zeros((1, 1, 4), np.uint8)
        super().__init__(node=Picture(blank), font_info=font_info, **options)
        self.overlay.events.key.connect(self._draw)
        if isinstance(self.layer, Image):
            self.layer.events.contrast_limits.connect(self._draw)
            self.layer.events.colormap.connect(self._draw)
        self.viewer.canvas.events.background_color.connect(self._draw)
        self.reset()
        self._draw()

    def _draw(self, event: Any = None) -> None:
        key = self.overlay.key
        if isinstance(self.layer, Image):
            low, high = self.layer.contrast_limits
            key = replace(key, low=low, high=high, colormap=self.layer.colormap)
        ratio = QApplication.primaryScreen().devicePixelRatio()
        background = QColor.fromRgbF(*map(float, self.viewer.canvas.background_color))
        picture = draw_key(key, background, ratio)
        self.node.set_data(qimage_to_array(picture))
        self.x_size, self.y_size = picture.width() / ratio, picture.height() / ratio
        self.node.transform = STTransform(scale=(1.0 / ratio, 1.0 / ratio))
        self.node.update()
        self._on_position_change()

    def close(self) -> None:
        """Let go of the key and the layer."""
        self.overlay.events.key.disconnect(self._draw)
        super().close()


overlay_to_visual[KeyOverlay] = _VispyKey
