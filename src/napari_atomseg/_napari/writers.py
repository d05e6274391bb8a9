"""Layers to files: points as tables of columns, with their sampling and how they were made."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from napari_atomseg import io
from napari_atomseg._napari.layers import PROVENANCE, sampling_of

_PLACEMENT = ("scale", "translate", "rotate", "shear", "affine", "axis_labels")


def write_columns(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Write a points layer as a CSV table that `read_columns` puts back where it was.

    Points that were moved, added or deleted by hand are written as they are now: a point without
    measurements has empty fields.
    """
    positions = np.asarray(data, dtype=float)
    features = pd.DataFrame(attributes["features"]).reset_index(drop=True)
    table = features.drop(columns=["y", "x", "y_angstrom", "x_angstrom"], errors="ignore")
    table.insert(0, "y", positions[:, -2])
    table.insert(1, "x", positions[:, -1])
    if positions.shape[1] == 3:
        table = table.drop(columns="frame", errors="ignore")
        table.insert(0, "frame", np.rint(positions[:, 0]).astype(int))
    sampling = sampling_of(attributes["scale"], attributes["units"])
    if sampling is not None:
        dy, dx = np.broadcast_to(sampling, 2)
        table = table.assign(y_angstrom=table["y"] * dy, x_angstrom=table["x"] * dx)
    placement = {name: attributes[name] for name in _PLACEMENT}
    placement["units"] = [str(unit) for unit in attributes["units"]]
    table.attrs = {}
    record = {**attributes["metadata"].get(PROVENANCE, {}), "sampling": sampling}
    io.write_columns(path, table, {**record, "placement": placement})
    return [path]
