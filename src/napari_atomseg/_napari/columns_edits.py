"""What a user does to a layer of columns with napari's own tools: noticed, and undone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from napari.layers import Points
from napari.utils.events import Event
from numpy.typing import NDArray
from qtpy.QtCore import QObject, Signal  # type: ignore[attr-defined]

from napari_atomseg._napari.columns_table import blank, changed, deleted
from napari_atomseg._napari.layers import MEASURED

DEEPEST = 20
"""Steps that can be undone."""
_BEFORE = ("adding", "changing", "removing")


@dataclass(frozen=True)
class _Snapshot:
    data: NDArray[Any]
    features: pd.DataFrame
    size: NDArray[Any]
    measured: Any

    @classmethod
    def of(cls, layer: Points) -> _Snapshot:
        return cls(
            np.array(layer.data),
            layer.features.copy(deep=False),
            np.array(layer.size),
            layer.metadata.get(MEASURED),
        )

    def restore(self, layer: Points) -> None:
        layer.selected_data = set()
        layer.data = self.data.copy()
        layer.size = self.size
        layer.features = self.features.copy()
        if self.measured is None:
            layer.metadata.pop(MEASURED, None)
        else:
            layer.metadata[MEASURED] = self.measured


class Edits(QObject):
    """Watches one layer of columns at a time.

    `happened` tells that columns were added, dragged, deleted or measured, `told` that features
    are others, and `chosen` that others are selected.
    """

    happened = Signal()
    told = Signal()
    chosen = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.layer: Points | None = None
        self._history: list[_Snapshot] = []
        self._busy = False

    def watch(self, layer: Points | None) -> None:
        """Watch another layer, or none; what was done to the former can no more be undone."""
        for emitter, callback in self._connections():
            emitter.disconnect(callback)
        self.layer = layer
        self._history.clear()
        for emitter, callback in self._connections():
            emitter.connect(callback)

    @property
    def changed(self) -> NDArray[np.bool_]:
        """(N,) which columns were added or moved since they were measured."""
        return np.zeros(0, dtype=bool) if self.layer is None else changed(self.layer)

    @property
    def deleted(self) -> int:
        """How many columns less there are than were measured."""
        return 0 if self.layer is None else deleted(self.layer)

    @property
    def can_undo(self) -> bool:
        """Whether there is a step to be undone."""
        return bool(self._history)

    @contextmanager
    def one_step(self) -> Iterator[None]:
        """Whatever is done to the layer inside is undone as one step."""
        if self.layer is None:
            raise ValueError("there is no layer of columns")
        self._remember()
        self._busy = True
        try:
            yield
        finally:
            self._busy = False
            self.happened.emit()

    def undo(self) -> bool:
        """Take the last step back; return whether there was one."""
        if self.layer is None or not self._history:
            return False
        snapshot = self._history.pop()
        self._busy = True
        try:
            snapshot.restore(self.layer)
        finally:
            self._busy = False
            self.happened.emit()
        return True

    def _connections(self) -> list[tuple[Any, Any]]:
        if self.layer is None:
            return []
        return [
            (self.layer.events.data, self._on_data),
            (self.layer.events.features, self._on_features),
            (self.layer.selected_data.events.items_changed, self._on_selection),
        ]

    def _remember(self) -> None:
        if self.layer is not None:
            self._history.append(_Snapshot.of(self.layer))
            del self._history[:-DEEPEST]

    def _on_data(self, event: Event) -> None:
        if self._busy or self.layer is None:
            return
        action = str(getattr(event.action, "value", event.action))
        if action in _BEFORE:
            self._remember()
            return
        count, before = len(self.layer.data), len(self._history[-1].data) if self._history else 0
        if count > before and len(self.layer.features.columns):
            self._busy = True
            self.layer.features = blank(self.layer.features, np.arange(before, count))
            self._busy = False
        self.happened.emit()

    def _on_features(self, event: Event) -> None:
        if not self._busy:
            self.told.emit()

    def _on_selection(self, event: object) -> None:
        if not self._busy:
            self.chosen.emit()
