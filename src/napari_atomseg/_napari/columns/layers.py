"""Points layers as tables of columns, and their changes since they were measured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from napari.layers import Image, Labels, Layer, Points
from numpy.typing import ArrayLike, NDArray

from napari_atomseg import io
from napari_atomseg._napari.layers import (
    FEATURES,
    MEASURED,
    PASSING,
    PROVENANCE,
    Source,
    grey_data,
    layer_sampling,
    sampling_of,
)
from napari_atomseg._shared.files import digest
from napari_atomseg.io.inputs import columns_input, image_input, positions, table_digest

ACTION = "measure"
"""Action in the record of layers that a measurement drew."""
COMPONENT = "napari-atomseg component"
"""Key of the metadata of an image of strain for the component that it shows."""


def columns_layers(layers: Iterable[Layer]) -> list[Points]:
    """Return the points layers that may be columns: not the symbols that measurements draw."""
    return [layer for layer in layers if isinstance(layer, Points) and not drawn(layer)]


def image_layers(layers: Iterable[Layer]) -> list[Image]:
    """Return the images that columns may lie on."""
    return [
        layer
        for layer in layers
        if isinstance(layer, Image) and not drawn(layer) and PASSING not in layer.metadata
    ]


def aligned(columns: Points, image: Image | None) -> bool:
    """Whether positions of columns count in the pixels of an image."""
    if image is None:
        return False
    corners = np.array([[0.0, 0.0], [0.0, 100.0], [100.0, 0.0]])

    def places(layer: Layer) -> NDArray[np.float64]:
        leading = [0.0] * (layer.ndim - 2)
        return np.array([layer.data_to_world([*leading, *corner])[-2:] for corner in corners])

    here, there = places(columns), places(image)
    return bool(np.allclose(here, there, atol=1e-3 * np.ptp(here)))


def own_image(columns: Points | None, images: list[Image]) -> Image | None:
    """Return the image that columns were measured on, or else one with the same pixels."""
    if columns is None:
        return None
    source = columns.metadata.get(PROVENANCE, {}).get("source")
    fitting = [image for image in images if aligned(columns, image)]
    named = [image for image in fitting if image.name == source]
    return next(iter(named or fitting), None)


def drawn(layer: Layer) -> bool:
    """Whether a measurement made the layer."""
    return bool(layer.metadata.get(PROVENANCE, {}).get("action") == ACTION)


_PLACEMENT = ("scale", "translate", "rotate", "shear", "affine", "axis_labels")
LEADING = "leading"
"""Key of a stored placement for the lengths of the leading axes, where there are several."""
_POSITIONS = ("y", "x", "y_angstrom", "x_angstrom")


def table_of(layer: Points, shape: tuple[int, ...] | None = None) -> pd.DataFrame:
    """Return the columns of a layer as they are now: ``y``, ``x`` (px), and all features.

    Parameters
    ----------
    shape : of the image, whose leading axes ``frame`` counts over; by default a single one.

    Returns
    -------
    Table with ``frame`` for layers of more than two axes. ``attrs`` has the layer's record, and
    ``sampling``, Å per pixel, None where the layer has no length units.
    """
    leading = None if shape is None else shape[:-2]
    table = position_table(layer.data, layer.features, layer_sampling(layer), leading)
    table.attrs = {**layer.metadata.get(PROVENANCE, {}), **table.attrs}
    return table


def position_table(
    data: ArrayLike, features: Any, sampling: Any = None, leading: tuple[int, ...] | None = None
) -> pd.DataFrame:
    """Return the positions (N, D) of points, in pixels, and their features as a table."""
    positions = np.asarray(data, dtype=float)
    table = pd.DataFrame(features).reset_index(drop=True)
    table = table.drop(columns=list(_POSITIONS), errors="ignore")
    table.insert(0, "y", positions[:, -2])
    table.insert(1, "x", positions[:, -1])
    axes = positions.shape[1] - 2
    if axes == 1 or (axes > 1 and leading is not None):
        index = np.rint(positions[:, :-2]).astype(int)
        frame = index[:, 0] if axes == 1 or leading is None else _count(index, leading)
        table = table.drop(columns="frame", errors="ignore")
        table.insert(0, "frame", frame)
    if sampling is not None:
        dy, dx = np.broadcast_to(sampling, 2)
        table = table.assign(y_angstrom=table["y"] * dy, x_angstrom=table["x"] * dx)
    table.attrs = {"sampling": sampling}
    return table


def write_layer(
    path: str | Path,
    data: Any,
    attributes: Mapping[str, Any],
    *,
    image: ArrayLike | None = None,
    elements: str | Mapping[Any, str] | None = None,
) -> None:
    """Write the data and attributes of a points layer as a table; the suffix gives the format.

    Points that were moved, added or deleted by hand are written as they are now: a point without
    measurements has empty fields. See `io.write_columns` for `image`, `elements` and errors.
    """
    sampling = sampling_of(attributes["scale"], attributes["units"])
    index = np.rint(np.asarray(data, dtype=float)[:, :-2])
    leading = tuple(int(n) + 1 for n in index.max(axis=0)) if len(index) > 0 else ()
    table = position_table(data, attributes["features"], sampling, leading)
    record = {**attributes["metadata"].get(PROVENANCE, {}), **table.attrs}
    by_hand = edited(data, attributes["features"], attributes["metadata"])
    if by_hand:
        record["edited"] = by_hand
    placement = {name: attributes[name] for name in _PLACEMENT}
    placement["units"] = [str(unit) for unit in attributes["units"]]
    if len(leading) > 1:
        # By which the frames of several axes are counted.
        placement[LEADING] = leading
    table.attrs = {"sampling": sampling}
    io.write_columns(
        path, table, {**record, "placement": placement}, image=image, elements=elements
    )


def edited(data: ArrayLike, features: Any, metadata: Mapping[str, Any]) -> str:
    """Return what was changed by hand in a points layer since it was made, in words; "" if nothing.

    Parameters
    ----------
    data, features, metadata : of the layer.
    """
    record, measured = metadata.get(PROVENANCE, {}), metadata.get(MEASURED)
    known = record.get("result")
    table = position_table(data, features)
    told = [record["edited"]] if record.get("edited") else []
    if known is not None and digest(positions(table)) != known:
        here = np.asarray(data, dtype=float)
        moved = gone = 0
        if measured is not None and np.shape(measured)[1:] == here.shape[1:]:
            moved = int((rows_at(here, measured) < 0).sum())
            gone = max(0, len(measured) - len(here))
        counts = {"added or moved": moved, "deleted": gone}
        parts = [f"{count} {how}" for how, count in counts.items() if count]
        told.append(f"columns changed by hand ({', '.join(parts) or 'measured again'})")
    elif FEATURES in metadata and table_digest(pd.DataFrame(features)) != metadata[FEATURES]:
        told.append("features changed by hand")
    return "; ".join(dict.fromkeys(told))


def described(layer: Points) -> dict[str, Any]:
    """Return what the columns of a layer are, for the record of what is measured of them."""
    by_hand = edited(layer.data, layer.features, layer.metadata)
    return columns_input(table_of(layer), layer.name, edited=by_hand)


def layer_described(layer: Layer) -> dict[str, Any]:
    """Return what any layer is, for its history; a name alone where the plugin knows nothing."""
    record = layer.metadata.get(PROVENANCE, {})
    if drawn(layer):
        return {"name": layer.name, "shape": [], "record": record}
    if isinstance(layer, Points) and record:
        return described(layer)
    if isinstance(layer, Image) and layer.ndim >= 2:
        return Source.of(layer).described()
    if isinstance(layer, Labels) and record:
        return image_input(grey_data(layer), layer.name, record=record)
    return {"name": layer.name}


def rows_at(positions: NDArray[Any], data: NDArray[Any]) -> NDArray[np.intp]:
    """Return (N,) the rows of `data` (M, D) with exactly the `positions` (N, D); -1 for none."""
    known = {each.tobytes(): row for row, each in enumerate(_rows(data))}
    return np.array([known.get(each.tobytes(), -1) for each in _rows(positions)], dtype=np.intp)


def changed(layer: Points) -> NDArray[np.bool_]:
    """Return (N,) which points were added or moved since the layer was measured.

    All of them in a layer that nothing has measured, as one drawn by hand.
    """
    measured = layer.metadata.get(MEASURED)
    if measured is None or np.shape(measured)[1:] != layer.data.shape[1:]:
        return np.ones(len(layer.data), dtype=bool)
    return rows_at(layer.data, measured) < 0


def deleted(layer: Points) -> int:
    """Return how many points fewer there are than when the layer was measured."""
    return max(0, len(layer.metadata.get(MEASURED, ())) - len(layer.data))


def blank(features: pd.DataFrame, rows: NDArray[Any]) -> pd.DataFrame:
    """Return features with some rows emptied, as those of new points, which are not measured yet.

    A new ``label`` is a number that no other column has.
    """
    result = features.copy()
    for name, values in features.items():
        if name == "label" and values.dtype.kind in "iuf":
            others = values.drop(index=values.index[rows]).max()
            first = 1 if pd.isna(others) else int(others) + 1
            new = values.to_numpy(copy=True)
            new[rows] = np.arange(first, first + len(rows))
            result[name] = new
        else:
            numbers = values.dtype.kind in "iuf"
            emptied = values.astype(float if numbers else object)
            emptied.iloc[rows] = np.nan if numbers else None
            result[name] = emptied
    return result


def take_measurements(
    layer: Points, rows: NDArray[Any], there: NDArray[Any], table: pd.DataFrame
) -> None:
    """Put measurements of some points into the layer; the others stay bit for bit.

    Other numbers of those points, such as a score or a strain, belong to their former positions and
    are emptied. Kinds and labels stay.

    Parameters
    ----------
    rows : (K,) points of the layer.
    there : (K,) their rows in `table`.
    table : the measurements, with `y` and `x` in pixels.
    """
    features = layer.features.copy()
    measured = [name for name in table if name not in ("y", "x", "frame")]
    for name in features:
        if name not in (*measured, "label", "frame") and features[name].dtype.kind == "f":
            values = features[name].to_numpy(copy=True)
            values[rows] = np.nan
            features[name] = values
    for name in measured:
        fresh = table[name].to_numpy()
        if name in features:
            values = features[name].to_numpy(copy=True)
        elif fresh.dtype.kind == "f":
            values = np.full(len(layer.data), np.nan)
        else:
            values = np.full(len(layer.data), None, dtype=object)
        values[rows] = fresh[there]
        features[name] = values
    data = np.array(layer.data, dtype=float)
    data[rows, -2:] = table[["y", "x"]].to_numpy(dtype=float)[there]
    layer.data = data
    layer.features = features.infer_objects()


def _rows(positions: NDArray[Any]) -> NDArray[Any]:
    return np.ascontiguousarray(positions, dtype=np.float64) + 0.0


def _count(index: NDArray[Any], leading: tuple[int, ...]) -> NDArray[Any]:
    limits = np.array(leading) - 1
    return np.ravel_multi_index(tuple(np.clip(index, 0, limits).T), leading)
