"""Rings of columns give way to the maps that are measured from them, and come back after them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from napari.layers import Layer, Points

if TYPE_CHECKING:
    import napari.viewer


class Cover:
    """Hides a layer of columns as long as one of its maps is shown.

    Columns that a user shows again over a map stay, and those that were hidden before it stay
    hidden after it.
    """

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        self._layers = viewer.layers
        self._columns: Points | None = None
        self._maps: list[Layer] = []
        self._covered = self._hidden = False
        self._layers.events.removed.connect(self._follow)

    def follow(self, columns: Points, maps: Iterable[Layer]) -> None:
        """Follow the maps of a measurement, in place of those of the one before."""
        for each in self._maps:
            each.events.visible.disconnect(self._follow)
        self._maps = []
        self._follow()
        self._columns, self._maps = columns, list(maps)
        for each in self._maps:
            each.events.visible.connect(self._follow)
        self._follow()

    def _follow(self, event: Any = None) -> None:
        covered = any(each.visible and each in self._layers for each in self._maps)
        if covered == self._covered or self._columns is None:
            return
        self._covered = covered
        if covered:
            self._hidden = self._columns.visible
            self._columns.visible = False
        elif self._hidden:
            self._hidden = False
            self._columns.visible = True
