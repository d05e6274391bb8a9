"""Edits of a points layer of columns: watched, undone, and measured again on the image."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from napari.layers import Image, Points
from napari.utils.events import Event
from numpy.typing import NDArray
from qtpy.QtCore import QObject, Signal  # type: ignore[attr-defined]

from napari_atomseg._napari.columns.layers import (
    blank,
    changed,
    deleted,
    rows_at,
    table_of,
    take_measurements,
)
from napari_atomseg._napari.jobs import Show, Work
from napari_atomseg._napari.layers import MEASURED, PROVENANCE, Placement, Source
from napari_atomseg._napari.preferences import preferences
from napari_atomseg.io import provenance
from napari_atomseg.localization.settings import FitSettings
from napari_atomseg.progress import CancelToken, Progress

UNDO_STEPS = 20
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

    Signals: `edited` when columns were added, dragged, deleted or measured, `features_changed`,
    and `selection_changed`.
    """

    edited = Signal()
    features_changed = Signal()
    selection_changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.layer: Points | None = None
        self._history: list[_Snapshot] = []
        self._busy = False

    def watch(self, layer: Points | None) -> None:
        """Watch another layer, or none; edits of the former one can no longer be undone."""
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
        """How many of the measured columns were deleted."""
        return 0 if self.layer is None else deleted(self.layer)

    @property
    def can_undo(self) -> bool:
        """Whether there is a step to be undone."""
        return bool(self._history)

    @contextmanager
    def as_one_step(self) -> Iterator[None]:
        """Context whose changes of the layer are undone as one step."""
        if self.layer is None:
            raise ValueError("there is no layer of columns")
        self._remember()
        self._busy = True
        try:
            yield
        finally:
            self._busy = False
            self.edited.emit()

    def undo(self) -> bool:
        """Undo the last step; return whether there was one."""
        if self.layer is None or not self._history:
            return False
        snapshot = self._history.pop()
        self._busy = True
        try:
            snapshot.restore(self.layer)
        finally:
            self._busy = False
            self.edited.emit()
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
            del self._history[:-UNDO_STEPS]

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
        self.edited.emit()

    def _on_features(self, event: Event) -> None:
        if not self._busy:
            self.features_changed.emit()

    def _on_selection(self, event: object) -> None:
        if not self._busy:
            self.selection_changed.emit()


_MEASURED_WITH = (*FitSettings.model_fields, "contrast")
"""Settings in a layer's record that a refit takes over."""
_START = ("frame", "y", "x", "sigma", "background")
"""Columns of a table that a fit starts from, or that all columns may share."""
REFIT = "refit"
"""Key of a layer's record for the refit of some of its columns."""


def refit(
    edits: Edits, image: Image | None, refine: str, all_columns: bool
) -> tuple[str, Work, Show]:
    """Return the job that measures the columns which changed, or all of them.

    Parameters
    ----------
    refine : one of the refinements of `localize`; empty for that of the layer.
    all_columns : whether to measure also those that did not change.

    Raises
    ------
    ValueError
        There is nothing to measure, or the image is not that of the columns.
    """
    layer = edits.layer
    if layer is None:
        raise ValueError("there are no columns: run Localize, or choose a points layer")
    if not len(layer.data):
        raise ValueError(f"{layer.name!r} has no points: add some with napari's tools")
    rows = np.ones(len(layer.data), dtype=bool) if all_columns else edits.changed
    if not rows.any():
        raise ValueError(f"no column of {layer.name!r} was added or moved since it was measured")
    source = Source.of(image)
    _check(layer, rows, source)
    table = table_of(layer, tuple(source.data.shape))
    made = _measured_with(layer, refine)
    table = table[[name for name in _START if name in table]]
    attrs: dict[Any, Any] = {"sampling": source.sampling, **made}
    table.attrs = attrs
    return (
        f"Refit {int(rows.sum())} columns of {layer.name}",
        partial(_measure, source.data, table, rows),
        partial(_show, edits, layer, np.array(layer.data), rows, source.name),
    )


def _check(layer: Points, rows: NDArray[np.bool_], source: Source) -> None:
    """Raise ValueError where the points do not lie on the pixels of the image."""
    if layer.ndim != len(source.data.shape):
        raise ValueError(
            f"{layer.name!r} has {layer.ndim} axes and {source.name!r} "
            f"{len(source.data.shape)}: choose the image that the columns were found on"
        )
    if not Placement.of(layer).agrees(source.placement):
        raise ValueError(
            f"{layer.name!r} does not lie on the pixels of {source.name!r}: "
            "choose the image that the columns were found on"
        )
    limits = np.array(source.data.shape) - 0.5
    outside = rows & ((layer.data < -0.5) | (layer.data > limits)).any(axis=1)
    if outside.any():
        raise ValueError(
            f"{int(outside.sum())} of the columns to measure lie outside of {source.name!r}: "
            "move or delete them, or choose the image that they were found on"
        )


def _measured_with(layer: Points, refine: str) -> dict[str, Any]:
    """Return the settings of a refit: those that the layer was measured with, or another method."""
    record = layer.metadata.get(PROVENANCE, {})
    settings = record.get("settings", {})
    said = (settings if isinstance(settings, dict) else {}) | record
    made: dict[str, Any] = {name: said[name] for name in _MEASURED_WITH if said.get(name)}
    if refine:
        made["refine"] = refine
    elif made.get("refine", "none") == "none":
        made["refine"] = "gaussian"
    if made.get("contrast") not in ("bright", "dark") and not isinstance(
        made.get("contrast"), list
    ):
        made.pop("contrast", None)
        if "amplitude" in layer.features:
            heights = pd.to_numeric(layer.features["amplitude"], errors="coerce")
            if heights.notna().any():
                made["contrast"] = "dark" if heights.median() < 0 else "bright"
    return made


def _measure(
    image: Any,
    table: pd.DataFrame,
    rows: NDArray[np.bool_],
    progress: Progress,
    cancel: CancelToken,
) -> pd.DataFrame:
    from napari_atomseg.inference.predicting import common_contrast
    from napari_atomseg.inference.scale import estimate_spacing, leaning
    from napari_atomseg.inference.stacks import Frames, sample, settled_contrasts
    from napari_atomseg.localization.refit import refine_columns

    if "contrast" not in table.attrs:
        frames = Frames(image)

        def lean(plane: Any) -> float:
            return leaning(plane, estimate_spacing(plane))

        view = settled_contrasts("auto", *sample(frames), lean)
        numbers = table["frame"].to_numpy()[rows] if "frame" in table else np.zeros(1, int)
        own = {
            int(number): view.contrast(int(number), frames[int(number)].frames[0], lean)
            for number in np.unique(numbers)
        }
        # Of frames without a column to measure none is needed.
        any_of = next(iter(own.values()))
        contrasts = [own.get(number, any_of) for number in range(len(frames))]
        table.attrs["contrast"] = common_contrast(contrasts)
    return refine_columns(
        image, table, rows, device=preferences().device, progress=progress, cancel=cancel
    )


def _show(
    edits: Edits,
    layer: Points,
    before: NDArray[Any],
    rows: NDArray[np.bool_],
    image: str,
    table: pd.DataFrame,
) -> Points:
    """Assign measurements to the columns as they are now; some may have been edited meanwhile."""
    if edits.layer is not layer:
        raise ValueError(f"{layer.name!r} was removed, or another layer chosen, meanwhile")
    there = np.flatnonzero(rows)
    now = rows_at(before[there], layer.data)
    there, now = there[now >= 0], now[now >= 0]
    still = ~edits.changed
    still[now] = True
    with edits.as_one_step():
        take_measurements(layer, now, there, table)
        layer.metadata[MEASURED] = np.array(layer.data)[still]
        record = layer.metadata.get(PROVENANCE, {})
        refit_record = provenance(
            REFIT, image, {k: table.attrs.get(k) for k in (*_MEASURED_WITH, "sampling")}
        )
        failed = int((~table["converged"].to_numpy(dtype=bool)[there]).sum())
        refit_record |= {"columns": len(now), "failed": failed}
        layer.metadata[PROVENANCE] = {**record, REFIT: refit_record}
    return layer
