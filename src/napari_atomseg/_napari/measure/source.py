"""Columns taken from their layer before a measurement, and features put back after it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from napari.layers import Image, Layer, Points
from numpy.typing import NDArray

from napari_atomseg._napari.columns.layers import described, table_of
from napari_atomseg._napari.layers import FEATURES, Placement, Source, layer_sampling
from napari_atomseg._napari.stack import frame_shown
from napari_atomseg._shared.types import Sampling
from napari_atomseg.figures.tables import kind_text
from napari_atomseg.io.inputs import table_digest
from napari_atomseg.measurements.observation import ALL, SELECTED, members

LATTICE = "napari-atomseg lattice"
"""Key of the metadata of a points layer for the lattice of its columns."""
_GROUPS = ("species", "sublattice", "grain")
"""Features whose values are groups."""
_INTENSITIES = ("volume", "amplitude", "intensity")
_MOST = 12


@dataclass(frozen=True)
class ChosenColumns:
    """Columns as they were when the measurement began: the layer may change or go meanwhile.

    Attributes
    ----------
    layer, name : of the points.
    data : (M, D) all points.
    table : (N) the columns to be measured, numbered from 0; ``selected`` are those selected.
    rows : (N,) their points.
    leading : index of the frame shown; empty for all frames, or where there is one.
    described : what they are, for the record.
    """

    layer: Points
    name: str
    data: NDArray[np.float64]
    table: pd.DataFrame
    rows: NDArray[np.intp]
    leading: tuple[int, ...]
    placement: Placement
    sampling: Sampling | None
    described: Mapping[str, Any]

    @property
    def edited(self) -> bool:
        """Whether they were changed by hand since they were made."""
        return "edited" in self.described

    @classmethod
    def of(cls, layer: Layer | None, use: str, point: Any, *, stack: bool) -> ChosenColumns:
        """Take the columns of a layer.

        Parameters
        ----------
        use : "all", "selected", or a feature and its value, such as "species=A".
        point : position of the viewer's sliders.
        stack : take all frames, or the one that is shown.

        Raises
        ------
        ValueError
            There are no columns that can be used.
        """
        if layer is None:
            raise ValueError("there are no columns: run Localize, or choose a points layer")
        if not isinstance(layer, Points):
            kind = type(layer).__name__.lower()
            raise ValueError(f"{layer.name!r} is a {kind} layer: choose a points layer of columns")
        if not len(layer.data):
            raise ValueError(f"{layer.name!r} has no columns: run Localize, or add points")
        table, data = table_of(layer), np.array(layer.data, dtype=float)
        leading = () if stack else frame_shown(layer, point)
        there = np.isfinite(data).all(axis=1)
        if leading:
            there &= np.all(np.rint(data[:, :-2]) == leading, axis=1)
        if not there.any():
            raise ValueError(f"{layer.name!r} has no columns in the frame shown: move the slider")
        selected = np.zeros(len(data), bool)
        selected[list(layer.selected_data)] = True
        table[SELECTED] = selected
        there &= members(table, use)
        if not there.any():
            raise ValueError(f"the frame shown has no columns of {use!r}: use others")
        rows = np.flatnonzero(there)
        return cls(
            layer,
            layer.name,
            data,
            table.iloc[rows].reset_index(drop=True),
            rows,
            leading,
            Placement.of(layer),
            layer_sampling(layer),
            described(layer),
        )

    def lattice(self, sampling: Sampling | None) -> Any:
        """Return the lattice that was found before, if it is of the same sampling."""
        lattice = self.layer.metadata.get(LATTICE)
        if lattice is None or (lattice.pixel is None) != (sampling is None):
            return None
        same = sampling is None or np.allclose(lattice.pixel, sampling)
        return lattice if same else None

    def unchanged(self) -> bool:
        """Whether the layer has the same points as before."""
        return np.array_equal(self.layer.data, self.data)


def groups(layer: Points | None) -> dict[str, str]:
    """Return the groups of columns that can be chosen, and their texts."""
    choices = {ALL: "all columns", SELECTED: "the selected columns"}
    if layer is None:
        return choices
    for name in _GROUPS:
        if name in layer.features:
            values = layer.features[name].dropna()
            kinds = sorted({kind_text(value) for value in values} - {"", "-1"})
            if 1 < len(kinds) <= _MOST or (name == "species" and kinds):
                choices |= {f"{name}={kind}": f"{name} {kind}" for kind in kinds[:_MOST]}
    return choices


def sublattices(layer: Points | None) -> dict[int, str]:
    """Return the sublattices of columns whose lattice was found, and their texts."""
    if layer is None or LATTICE not in layer.metadata or "sublattice" not in layer.features:
        return {}
    features = layer.features.dropna(subset=["sublattice"])
    names = features.groupby("sublattice")["species"].first() if "species" in features else {}
    count = len(layer.metadata[LATTICE])
    return {k: f"sublattice {k} ({names.get(k, '?')})" for k in range(count)}


def numeric_features(layer: Points | None) -> list[str]:
    """Return the names of features with numbers; intensities first, errors left out."""
    if layer is None:
        return []
    numbers = [str(n) for n in layer.features if layer.features[n].dtype.kind == "f"]
    names = [name for name in numbers if not name.endswith("_err")]
    first = [name for name in _INTENSITIES if name in names]
    return [*first, *(name for name in names if name not in first)]


def put_features(columns: ChosenColumns, features: pd.DataFrame) -> None:
    """Join measurements to the columns' layer; points that were not measured keep theirs."""
    table = columns.layer.features.copy()
    for name in features:
        fresh = features[name].to_numpy()
        if fresh.dtype.kind == "f" or features[name].dtype.kind == "i":
            fresh = features[name].to_numpy(dtype=float, na_value=np.nan)
        old = table[name].to_numpy(dtype=object) if name in table else np.full(len(table), None)
        values = np.array(old, dtype=object)
        values[columns.rows] = fresh
        table[name] = _typed(values, features[name].dtype.kind)
    columns.layer.features = table
    # Unless they were changed by hand before, and so stay.
    if not columns.edited:
        columns.layer.metadata[FEATURES] = table_digest(columns.layer.features)


def frame_of(layer: Image | None, point: Any) -> tuple[Any, tuple[int, ...], Placement | None]:
    """Return the picture of an image layer that the viewer shows, its index and its placement."""
    if layer is None:
        return None, (), None
    source = Source.of(layer)
    shown = frame_shown(layer, point)
    lengths = source.data.shape[:-2]
    leading = tuple(min(max(i, 0), n - 1) for i, n in zip(shown, lengths, strict=True))
    return source.data[leading], leading, source.placement


def _typed(values: NDArray[Any], kind: str) -> Any:
    """Whole numbers stay whole where none is missing; missing numbers are NaN."""
    if kind in "iuf":
        numbers = pd.to_numeric(pd.Series(values), errors="coerce").to_numpy(dtype=float)
        whole = kind in "iu" and np.isfinite(numbers).all()
        return numbers.astype(np.int64) if whole else numbers
    if kind == "b" and not any(value is None or value != value for value in values):
        return values.astype(bool)
    return values
