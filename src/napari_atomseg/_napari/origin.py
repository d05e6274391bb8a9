"""A row that says when an image is no recorded one, but what a network made of one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari.layers import Layer
from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QLabel, QPushButton, QVBoxLayout, QWidget

from napari_atomseg._napari.layers import raw_of

if TYPE_CHECKING:
    from collections.abc import Container


class Origin(QWidget):
    """Warns of a restored image, and offers the recorded one; hidden for all others.

    A network makes noise into shapes: columns on a restored image look more, and more precise,
    than the data can say.
    """

    asked = Signal(str)
    """The recorded image was asked for: its name."""

    def __init__(self) -> None:
        super().__init__()
        self._raw = ""
        self.text, self.button = QLabel(), QPushButton()
        self.text.setWordWrap(True)
        self.button.clicked.connect(lambda _on: self.asked.emit(self._raw))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.text)
        layout.addWidget(self.button)
        self.hide()

    def follow(self, layer: Layer | None, layers: Container[str]) -> None:
        """Show where a chosen layer comes from, of those in a viewer."""
        self._raw = "" if layer is None else raw_of(layer)
        restored = layer is not None and self._raw != layer.name
        if restored:
            self.text.setText(
                f"Restored from {self._raw!r}: more columns, and smaller errors, than the "
                "recorded image has."
            )
            self.button.setText(f"Take {self._raw!r}")
        self.button.setVisible(restored and self._raw in layers)
        self.setVisible(restored)
